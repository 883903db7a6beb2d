import type { TypeTable } from './check.ts';
import type { BtfStrings } from './strings.ts';
import type { BtfTypeId } from './type.ts';

const UNDERSCORE = 0x5f;

/**
 * A name without its flavor: `task_struct___old` is a flavor of `task_struct`. The last three underscores that stand
 * between two other characters separate the two.
 */
export function essentialName(name: string): string {
  for (let i = name.length - 5; i >= 0; i--) {
    if (name.startsWith('___', i + 1) && name[i] !== '_' && name[i + 4] !== '_') return name.slice(0, i + 1);
  }
  return name;
}

function essentialEnd(bytes: Uint8Array, from: number, to: number): number {
  for (let i = to - 5; i >= from; i--) {
    if (
      bytes[i + 2] === UNDERSCORE &&
      bytes[i + 1] === UNDERSCORE &&
      bytes[i + 3] === UNDERSCORE &&
      bytes[i] !== UNDERSCORE &&
      bytes[i + 4] !== UNDERSCORE
    ) {
      return i + 1;
    }
  }
  return to;
}

/** Finds types by name: a hash of the names' bytes, so that no name is decoded to be found. Anonymous types aren't in it. */
export class NameIndex {
  readonly #heads: Int32Array;
  readonly #next: Int32Array;
  readonly #table: TypeTable;
  readonly #strings: BtfStrings;
  readonly #mode: 'whole' | 'essential';

  /** @param mode by the whole name, or by the name without its flavor */
  constructor(table: TypeTable, strings: BtfStrings, mode: 'whole' | 'essential') {
    const count = table.starts.length;
    let buckets = 16;
    while (buckets < count) buckets *= 2;
    this.#heads = new Int32Array(buckets).fill(-1);
    this.#next = new Int32Array(count);
    this.#table = table;
    this.#strings = strings;
    this.#mode = mode;
    // Backwards, so that each chain lists its ids in rising order.
    for (let i = count - 1; i >= 0; i--) {
      const offset = table.words[table.starts[i]!]!;
      if (offset === 0) continue;
      const { bytes, at } = strings.locate(offset);
      const bucket = hash(bytes, at, this.#end(bytes, at)) & (buckets - 1);
      this.#next[i] = this.#heads[bucket]!;
      this.#heads[bucket] = i;
    }
  }

  #end(bytes: Uint8Array, at: number): number {
    let end = at;
    while (end < bytes.length && bytes[end] !== 0) end++;
    return this.#mode === 'whole' ? end : essentialEnd(bytes, at, end);
  }

  /** Ids of the own types whose (essential) name is this, rising. */
  find(name: string): BtfTypeId[] {
    const wanted = new TextEncoder().encode(name);
    const found: BtfTypeId[] = [];
    if (wanted.length === 0) return found;
    const bucket = hash(wanted, 0, wanted.length) & (this.#heads.length - 1);
    for (let i = this.#heads[bucket]!; i >= 0; i = this.#next[i]!) {
      const { bytes, at } = this.#strings.locate(this.#table.words[this.#table.starts[i]!]!);
      const end = this.#end(bytes, at);
      if (end - at === wanted.length && wanted.every((byte, k) => bytes[at + k] === byte)) {
        found.push((this.#table.firstId + i) as BtfTypeId);
      }
    }
    return found;
  }
}

/** FNV-1a. */
function hash(bytes: Uint8Array, from: number, to: number): number {
  let value = 0x811c9dc5;
  for (let i = from; i < to; i++) value = Math.imul(value ^ bytes[i]!, 0x01000193);
  return value ^ (value >>> 15);
}
