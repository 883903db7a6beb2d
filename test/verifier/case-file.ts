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
 * `.attach`, `.license`, `.flags` and `.caps` (`all`, `bpf`, `none`) are what the program is loaded with. The verdict
 * is `--- accept` or `--- reject: a part of the last line of the log`, and ends the case.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
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
  readonly license: string;
  readonly flags: number;
  readonly caps: 'all' | 'bpf' | 'none';
  readonly maps: readonly CaseMap[];
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
  const asm: string[] = [];
  const log: string[] = [];
  const options = new Map<string, string>();
  let name = '';
  let verdict: { reject: string | undefined } | undefined;
  for (const line of lines) {
    const rest = line.slice(line.indexOf(' ') + 1);
    if (line.startsWith('#')) name ||= line.slice(1).trim();
    else if (line.startsWith('.map ')) maps.push(parseMap(rest, where));
    else if (line.startsWith('.')) options.set(line.split(' ')[0]!, rest);
    else if (line === '--- accept') verdict = { reject: undefined };
    else if (line.startsWith('--- reject:')) verdict = { reject: line.slice(11).trim() };
    else if (line.startsWith('--- log:')) log.push(line.slice(8).trim());
    else asm.push(line);
  }
  if (verdict === undefined) throw new Error(`the case before ${where} has no verdict`);
  const flags = (options.get('.flags') ?? '').split(' ').filter(Boolean);
  return {
    file,
    name: name || where,
    type: (options.get('.type') ?? 'socket_filter') as ProgType,
    attach: options.get('.attach') as AttachType | undefined,
    license: options.get('.license') ?? 'GPL',
    flags: bits(flags, PROG_LOAD_FLAGS, where),
    caps: (options.get('.caps') ?? 'all') as VerifierCase['caps'],
    maps,
    asm: asm.join('\n'),
    reject: verdict.reject,
    log,
  };
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

/** The instructions, with the maps' descriptors in place. */
export function assembleCase(one: VerifierCase, fd: (map: CaseMap) => number): Uint8Array {
  const text = one.asm.replace(/map\[(\w+)\]/g, (whole, name: string) => {
    const map = one.maps.find((map) => map.name === name);
    return map === undefined ? whole : `map[fd:${fd(map)}]`;
  });
  const helper = (name: string) => {
    const short = name.replace(/^bpf_/, '');
    return isHelper(short) ? helperId(short) : undefined;
  };
  return assembleLlvm(text, { what: one.file, helper }).bytes;
}
