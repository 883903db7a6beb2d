/**
 * What Linux's selftests expect of their programs: read from the declaration tags of the compiled objects, and (to
 * see which expectations two versions share) from the sources.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Btf, BtfTypeId } from '../src/btf/index.ts';
import { PROG_LOAD_FLAGS } from '../src/sys/index.ts';

/** What is expected in one mode of privilege. */
export interface Expectation {
  /** `undefined` where the program only goes along with others, or nothing is said. */
  readonly accept: boolean | undefined;
  /** Each in the log, behind the one before; `{{…}}` is a regular expression. */
  readonly messages: readonly string[];
  /** What a test run must return; `undefined` for none, or for a pointer. */
  readonly retval: number | undefined;
}

export interface Annotations {
  readonly root: Expectation;
  readonly unprivileged: Expectation | undefined;
  readonly logLevel: number;
  readonly flagsSet: number;
  readonly flagsCleared: number;
  /** Whether it is for this processor. */
  readonly here: boolean;
  /** The object with the types that it is relocated to, in place of the kernel's. */
  readonly btfPath: string | undefined;
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'X86_64', arm64: 'ARM64', riscv64: 'RISCV64' };
const RETVALS: Readonly<Record<string, number | undefined>> = {
  INT_MIN: -(2 ** 31),
  TEST_DATA_LEN: 64,
  POINTER_VALUE: undefined,
};
const PREFIX = 'comment:test_';

interface Draft {
  accept: boolean | undefined;
  messages: string[];
  retval: string | undefined;
  said: boolean;
}

const emptyDraft = (): Draft => ({ accept: undefined, messages: [], retval: undefined, said: false });

function retval(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return text in RETVALS ? RETVALS[text] : Number(text);
}

/** Tags of a function, or `undefined` when it has none of a test. */
export function readAnnotations(btf: Btf, func: BtfTypeId): Annotations | undefined {
  const texts: string[] = [];
  for (let id = 1; id < btf.length; id++) {
    const type = btf.type(id as BtfTypeId);
    if (
      type.kind === 'decl_tag' &&
      type.type === func &&
      type.component === -1 &&
      type.name.startsWith(PREFIX)
    )
      texts.push(type.name.slice(PREFIX.length));
  }
  return texts.length === 0 ? undefined : parseTags(texts);
}

function parseTags(texts: readonly string[]): Annotations {
  const root = emptyDraft();
  const unprivileged = emptyDraft();
  const architectures: string[] = [];
  let logLevel = 0;
  let flagsSet = 0;
  let flagsCleared = 0;
  let btfPath: string | undefined;
  for (const text of texts) {
    const [, key = '', value = ''] = /^([a-z0-9_]+)(?:=([\s\S]*))?$/i.exec(text) ?? [];
    const mode = key.endsWith('_unpriv') ? unprivileged : root;
    const name = key.replace(/_unpriv$/, '');
    switch (name) {
      case 'expect_success':
      case 'expect_failure':
        mode.accept = name === 'expect_success';
        mode.said = true;
        break;
      case 'expect_msg':
        mode.messages.push(value.slice(value.indexOf('=') + 1));
        mode.said = true;
        break;
      case 'retval':
        mode.retval = value;
        mode.said = true;
        break;
      case 'log_level':
        logLevel = Number(value);
        break;
      case 'btf_path':
        btfPath = value;
        break;
      case 'arch':
        architectures.push(value);
        break;
      case 'prog_flags': {
        const bit = flagBit(value.replace('!', ''));
        if (value.startsWith('!')) flagsCleared |= bit;
        else flagsSet |= bit;
        break;
      }
      default:
    }
  }
  const settle = (draft: Draft, base?: Draft): Expectation => ({
    accept: draft.accept ?? base?.accept ?? (draft.said ? true : undefined),
    messages: draft.messages.length > 0 ? draft.messages : (base?.messages ?? []),
    retval: retval(draft.retval ?? base?.retval),
  });
  return {
    root: settle(root),
    unprivileged: unprivileged.said ? settle(unprivileged, root) : undefined,
    logLevel,
    flagsSet,
    flagsCleared,
    btfPath,
    here: architectures.length === 0 || architectures.includes(ARCHITECTURES[process.arch] ?? ''),
  };
}

function flagBit(name: string): number {
  const known = PROG_LOAD_FLAGS as Readonly<Record<string, number>>;
  return known[name] ?? Number(name);
}

/** Whether each message stands in the log behind the one before; the first that does not, or `undefined`. */
export function missingMessage(log: string, messages: readonly string[]): string | undefined {
  let rest = log;
  for (const message of messages) {
    const found = messagePattern(message).exec(rest);
    if (!found) return message;
    rest = rest.slice(found.index + found[0].length);
  }
  return undefined;
}

function messagePattern(message: string): RegExp {
  const parts = message.split(/\{\{([\s\S]*?)\}\}/);
  const source = parts.map((part, i) => (i % 2 === 1 ? part : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')));
  return new RegExp(source.join(''), 'm');
}

const MACRO =
  /__(success|failure|msg|retval|flag|log_level|success_unpriv|failure_unpriv|msg_unpriv|retval_unpriv)\b(?:\(((?:"(?:[^"\\]|\\.)*"|[^()"]|\([^()]*\))*)\))?/g;

/** The expectations in a folder of sources, as text, by `FILE:PROGRAM`. */
export function sourceAnnotations(folder: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.c'))) {
    const text = readFileSync(join(folder, file), 'utf8');
    for (const match of text.matchAll(/^SEC\("/gm)) {
      const end = text.indexOf('\n{', match.index);
      if (end < 0) continue;
      const head = text.slice(match.index, end);
      const macros = [...head.matchAll(MACRO)];
      if (macros.length === 0) continue;
      const declaration = head.slice(macros.at(-1)!.index + macros.at(-1)![0].length);
      const name =
        /\bBPF_[A-Z0-9_]*PROG\w*\(\s*(\w+)/.exec(declaration)?.[1] ??
        /(\w+)\s*\([^()]*\)\s*$/.exec(declaration)?.[1] ??
        /(\w+)\s*\(/.exec(declaration)?.[1];
      if (name === undefined) continue;
      const lines = macros.map(
        ([, macro, value]) => `${macro}(${(value ?? '').replace(/\s+/g, ' ').trim()})`,
      );
      found.set(`${file.slice(0, -2)}:${name}`, lines.join('\n'));
    }
  }
  return found;
}

/** Programs whose expectations are the same text in both folders. */
export function commonExpectations(older: string, newer: string): Set<string> {
  const old = sourceAnnotations(older);
  const now = sourceAnnotations(newer);
  return new Set([...old].filter(([key, text]) => now.get(key) === text).map(([key]) => key));
}
