/** Reads the `.data` files of bpf_conformance: a program in the mnemonic notation, memory, and what r0 must be. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assembleMnemonic } from '../src/isa/index.ts';

export interface ConformanceCase {
  /** The file's name without its suffix. */
  readonly name: string;
  readonly insns: Uint8Array;
  readonly memory: Uint8Array;
  /** What r0 must be; absent where an error is expected. */
  readonly r0: bigint | undefined;
  /** Text that the error must contain. */
  readonly error: string | undefined;
}

/** The text of each part, by the name behind `--`. */
function parts(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let name: string | undefined;
  for (const line of text.split('\n')) {
    const head = /^--\s*(.+?)\s*$/.exec(line);
    if (head !== null) name = head[1]!;
    else if (name !== undefined) found.set(name, `${found.get(name) ?? ''}${line}\n`);
  }
  return found;
}

function words(text: string): readonly string[] {
  return text
    .split('\n')
    .flatMap((line) => line.replace(/#.*/, '').split(/\s+/))
    .filter((word) => word !== '');
}

function rawSlots(text: string): Uint8Array {
  const slots = BigUint64Array.from(words(text), BigInt);
  return new Uint8Array(slots.buffer);
}

/** @throws Error when the file has no program, no result, or its `raw` differs from its assembled `asm` */
function readCase(path: string, name: string): ConformanceCase {
  const found = parts(readFileSync(path, 'utf8'));
  const asm = found.get('asm');
  const raw = found.get('raw');
  const rawInsns = raw === undefined ? undefined : rawSlots(raw);
  const insns = asm === undefined ? rawInsns : assembleMnemonic(asm, { what: name }).bytes;
  if (insns === undefined) throw new Error(`${path} has neither asm nor raw`);
  if (rawInsns !== undefined && Buffer.compare(insns, rawInsns) !== 0) {
    throw new Error(`${path}: asm assembles to something other than raw`);
  }
  const [result] = words(found.get('result') ?? '');
  const error = found.get('error')?.trim();
  if (result === undefined && error === undefined)
    throw new Error(`${path} expects neither a result nor an error`);
  return {
    name,
    insns,
    memory: Uint8Array.from(words(found.get('mem') ?? ''), (word) => Number.parseInt(word, 16)),
    r0: result === undefined ? undefined : BigInt.asUintN(64, BigInt(result)),
    error,
  };
}

/** The cases of a folder, by name. */
export function readCases(folder: string): readonly ConformanceCase[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.data'))
    .toSorted()
    .map((file) => readCase(join(folder, file), file.slice(0, -'.data'.length)));
}
