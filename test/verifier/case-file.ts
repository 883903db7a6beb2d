/**
 * Verifier cases as text: programs in LLVM's notation, each with the verdict that Linux gives.
 *
 * ```text
 * # what the case shows
 * .type xdp
 * .map values array 4 8 1 rdonly_prog frozen
 * r1 = map[values] ll
 * r0 = *(u64 *)(r10 - 8)
 * exit
 * --- reject: invalid read from stack
 * --- log: a part of a line that the log at level 2 has
 * ```
 *
 * `.map NAME TYPE KEY VALUE ENTRIES FLAGS…` makes a map, which `map[NAME]` and `map[NAME][0]+OFF` refer to;
 * `.func NAME SLOT static|global PARAM…` describes the function that begins at a slot by BTF; `.attach`, `.license`, `.flags` and `.caps` (`all`, `bpf`, `none`) are what the program is loaded with; `.target KIND
 * NAME` is the type of the kernel that it attaches to. `call NAME` calls a helper, or a function of the kernel by its
 * BTF. The verdict is `--- accept` or `--- reject: a part of the last line of the log`, and ends the case.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Btf } from '../../src/btf/index.ts';
import { assembleLlvm } from '../../src/isa/index.ts';
import {
  type AttachType,
  helperId,
  isHelper,
  MAP_CREATE_FLAGS,
  type MapType,
  PROG_LOAD_FLAGS,
  type ProgType,
} from '../../src/sys/index.ts';
import { type CaseFunc, parseFunc } from './case-btf.ts';

export interface CaseMap {
  readonly name: string;
  readonly type: MapType;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly frozen: boolean;
}

export interface VerifierCase {
  readonly file: string;
  readonly name: string;
  readonly type: ProgType;
  readonly attach: AttachType | undefined;
  /** Kind and name of what it attaches to. */
  readonly target: readonly ['func' | 'struct' | 'typedef', string] | undefined;
  /** It calls functions of the kernel or attaches to one of its types. */
  readonly needsKernelBtf: boolean;
  readonly license: string;
  readonly flags: number;
  readonly caps: 'all' | 'bpf' | 'none';
  readonly maps: readonly CaseMap[];
  readonly funcs: readonly CaseFunc[];
  readonly asm: string;
  /** Part of the message of a refusal; `undefined` for a program that is accepted. */
  readonly reject: string | undefined;
  readonly log: readonly string[];
}

/** All cases of the `.txt` files under a folder. @throws Error for a file without cases */
export function casesIn(folder: string): VerifierCase[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.txt'))
    .sort();
  return files.flatMap((file) => {
    const cases = parseCases(readFileSync(join(folder, file), 'utf8'), file);
    if (cases.length === 0) throw new Error(`${file} has no cases`);
    return cases;
  });
}

export function parseCases(text: string, file: string): VerifierCase[] {
  const cases: VerifierCase[] = [];
  let part: string[] = [];
  const lines = text.split('\n');
  for (const [i, line] of lines.entries()) {
    part.push(line);
    if (!line.startsWith('---') || lines[i + 1]?.startsWith('---')) continue;
    cases.push(parseCase(part, file, i + 1));
    part = [];
  }
  if (part.some((line) => line.trim() !== ''))
    throw new Error(`${file} ends with a case that has no verdict`);
  return cases;
}

function parseCase(lines: readonly string[], file: string, end: number): VerifierCase {
  const where = `${file}:${end}`;
  const maps: CaseMap[] = [];
  const funcs: CaseFunc[] = [];
  const asm: string[] = [];
  const log: string[] = [];
  const options = new Map<string, string>();
  let name = '';
  let verdict: { reject: string | undefined } | undefined;
  for (const line of lines) {
    const rest = line.slice(line.indexOf(' ') + 1);
    if (line.startsWith('#')) name ||= line.slice(1).trim();
    else if (line.startsWith('.map ')) maps.push(parseMap(rest, where));
    else if (line.startsWith('.func ')) funcs.push(parseFunc(rest, where));
    else if (line.startsWith('.')) options.set(line.split(' ')[0]!, rest);
    else if (line === '--- accept') verdict = { reject: undefined };
    else if (line.startsWith('--- reject:')) verdict = { reject: line.slice(11).trim() };
    else if (line.startsWith('--- log:')) log.push(line.slice(8).trim());
    else asm.push(line);
  }
  if (verdict === undefined) throw new Error(`the case before ${where} has no verdict`);
  const flags = (options.get('.flags') ?? '').split(' ').filter(Boolean);
  const target = options.get('.target')?.split(' ') as VerifierCase['target'];
  const text = asm.join('\n');
  return {
    file,
    name: name || where,
    type: (options.get('.type') ?? 'socket_filter') as ProgType,
    attach: options.get('.attach') as AttachType | undefined,
    target,
    needsKernelBtf: target !== undefined || callsKernel(text),
    license: options.get('.license') ?? 'GPL',
    flags: bits(flags, PROG_LOAD_FLAGS, where),
    caps: (options.get('.caps') ?? 'all') as VerifierCase['caps'],
    maps,
    funcs,
    asm: text,
    reject: verdict.reject,
    log,
  };
}

function callsKernel(text: string): boolean {
  const called = [...text.matchAll(/^\s*call (\w+)/gm)].map((found) => found[1]!);
  return called.some((name) => helperOf(name) === undefined && !text.includes(`${name}:`));
}

function helperOf(name: string): number | undefined {
  const short = name.replace(/^bpf_/, '');
  return isHelper(short) ? helperId(short) : undefined;
}

function bits(names: readonly string[], flags: Readonly<Record<string, number>>, where: string): number {
  return names.reduce((sum, name) => {
    const bit = flags[`BPF_F_${name.toUpperCase()}`];
    if (bit === undefined) throw new Error(`${where}: no flag ${name}`);
    return sum | bit;
  }, 0);
}

function parseMap(text: string, where: string): CaseMap {
  const [name = '', type = '', key, value, entries, ...flags] = text.split(/\s+/);
  const frozen = flags.includes('frozen');
  return {
    name,
    type: type as MapType,
    keySize: Number(key),
    valueSize: Number(value),
    maxEntries: Number(entries),
    flags: bits(
      flags.filter((flag) => flag !== 'frozen'),
      MAP_CREATE_FLAGS,
      where,
    ),
    frozen,
  };
}

/** The instructions, with the maps' descriptors and the ids of kernel functions in place. */
export function assembleCase(
  one: VerifierCase,
  fd: (map: CaseMap) => number,
  kernelBtf: Btf | undefined,
): Uint8Array {
  const text = one.asm.replace(/map\[(\w+)\]/g, (whole, name: string) => {
    const map = one.maps.find((map) => map.name === name);
    return map === undefined ? whole : `map[fd:${fd(map)}]`;
  });
  const kfunc = (name: string) => {
    const btfId = kernelBtf?.find(name, 'func');
    return btfId === undefined ? undefined : { btfId, fdIdx: 0 };
  };
  return assembleLlvm(text, { what: one.file, helper: helperOf, kfunc }).bytes;
}

/** The id of what the program attaches to. */
export function targetOf({ target }: VerifierCase, kernelBtf: Btf | undefined): number | undefined {
  return target === undefined ? undefined : kernelBtf?.find(target[1], target[0]);
}
