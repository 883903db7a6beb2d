/**
 * The table beneath the hash maps: buckets of chained elements, keys and values in the kernel's memory. It has
 * Linux's shape (a power of two of buckets, new elements in front), which user space can see: in the order of keys
 * and in where a batch ends.
 */
import { type Addr, at, type Mapping, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import { jhash } from './jhash.ts';
import { roundUp8 } from './map.ts';

/** Index of an element; -1 is none. */
type Elem = number;
export const NONE: Elem = -1;

const CHUNK_SHIFT = 12;
const CHUNK = 1 << CHUNK_SHIFT;

export interface TableOptions {
  readonly keySize: number;
  /** Bytes of memory of one element's value or values. */
  readonly valueBytes: number;
  readonly maxEntries: number;
  /** All memory is taken at creation. */
  readonly preallocated: boolean;
  /** Elements beyond `maxEntries`: the replacements of those that are being updated. */
  readonly spare: number;
  readonly seed: number;
  readonly label: string;
  readonly values: Mapping;
}

export class HashTable {
  readonly buckets: number;
  readonly #machine: Machine;
  readonly #options: TableOptions;
  readonly #keyStride: number;
  readonly #keys: Mapping;
  /** First element of each bucket plus one, in chunks that exist once something is in them. */
  readonly #heads: (Int32Array | undefined)[] = [];
  readonly #next: number[] = [];
  readonly #hash: number[] = [];
  readonly #inBucket: boolean[] = [];
  /** Addresses of the elements; for preallocated ones they follow from the index. */
  readonly #keyAddr: Addr[] = [];
  readonly #valueAddr: Addr[] = [];
  readonly #free: Elem[] = [];
  readonly #keyPool: Addr = NULL;
  readonly #valuePool: Addr = NULL;
  #count = 0;

  constructor(machine: Machine, options: TableOptions) {
    this.#machine = machine;
    this.#options = options;
    this.#keyStride = roundUp8(options.keySize);
    this.#keys = { kind: 'map_value', owner: `${options.label}: key`, access: 'r' };
    this.buckets = 1;
    while (this.buckets < options.maxEntries) this.buckets *= 2;
    if (options.preallocated) {
      const elements = options.maxEntries + options.spare;
      const { memory } = machine;
      const cells = { stride: this.#keyStride, offset: 0, size: options.keySize };
      this.#keyPool = memory.allocate(elements * this.#keyStride, { ...this.#keys, cells });
      this.#valuePool = memory.allocate(elements * options.valueBytes, options.values);
    }
  }

  /** Elements in the buckets. */
  get count(): number {
    return this.#count;
  }

  key(elem: Elem): Addr {
    return this.#keyAddr[elem]!;
  }
  value(elem: Elem): Addr {
    return this.#valueAddr[elem]!;
  }

  hashOf(key: Addr): number {
    return jhash(this.#machine.memory.view, key, this.#options.keySize, this.#options.seed);
  }

  find(key: Addr, hash: number): Elem {
    for (let elem = this.first(hash & (this.buckets - 1)); elem !== NONE; elem = this.#next[elem]!) {
      if (this.#hash[elem] === hash && this.#sameKey(this.#keyAddr[elem]!, key)) return elem;
    }
    return NONE;
  }

  #sameKey(a: Addr, b: Addr): boolean {
    const { keySize } = this.#options;
    const { u8 } = this.#machine.memory;
    for (let i = 0; i < keySize; i++) if (u8[a + i] !== u8[b + i]) return false;
    return true;
  }

  /** An element that is in no bucket, or `NONE` when there is no memory (or, preallocated, none left). */
  take(): Elem {
    const { preallocated, maxEntries, spare, valueBytes, keySize, values } = this.#options;
    const free = this.#free.pop();
    const elem = free ?? this.#next.length;
    if (preallocated) {
      if (free === undefined) {
        if (elem >= maxEntries + spare) return NONE;
        this.#append(at(this.#keyPool, elem * this.#keyStride), at(this.#valuePool, elem * valueBytes));
      }
      return elem;
    }
    const { memory } = this.#machine;
    const key = memory.tryAllocate(keySize, this.#keys);
    const value = key === NULL ? NULL : memory.tryAllocate(valueBytes, values);
    if (value === NULL) {
      memory.free(key);
      if (free !== undefined) this.#free.push(free);
      return NONE;
    }
    if (free === undefined) this.#append(key, value);
    this.#keyAddr[elem] = key;
    this.#valueAddr[elem] = value;
    return elem;
  }

  #append(key: Addr, value: Addr): void {
    this.#next.push(NONE);
    this.#hash.push(0);
    this.#inBucket.push(false);
    this.#keyAddr.push(key);
    this.#valueAddr.push(value);
  }

  /** Gives back an element that is in no bucket. A program that runs may read it until it ends. */
  give(elem: Elem): void {
    if (this.#options.preallocated) {
      this.#free.push(elem);
      return;
    }
    const { memory, grace } = this.#machine;
    const key = this.#keyAddr[elem]!;
    const value = this.#valueAddr[elem]!;
    this.#free.push(elem);
    grace.after(() => {
      memory.free(key);
      memory.free(value);
    });
  }

  /** Puts an element in front of its bucket. */
  insert(elem: Elem, key: Addr, hash: number): void {
    this.#machine.memory.copy(this.#keyAddr[elem]!, key, this.#options.keySize);
    const bucket = hash & (this.buckets - 1);
    this.#hash[elem] = hash;
    this.#next[elem] = this.first(bucket);
    this.#setFirst(bucket, elem);
    this.#inBucket[elem] = true;
    this.#count += 1;
  }

  /** Whether the element is in a bucket. */
  holds(elem: Elem): boolean {
    return this.#inBucket[elem] === true;
  }

  remove(elem: Elem): void {
    const bucket = this.#hash[elem]! & (this.buckets - 1);
    const next = this.#next[elem]!;
    let before = this.first(bucket);
    if (before === elem) {
      this.#setFirst(bucket, next);
    } else {
      while (this.#next[before] !== elem) before = this.#next[before]!;
      this.#next[before] = next;
    }
    this.#inBucket[elem] = false;
    this.#count -= 1;
  }

  first(bucket: number): Elem {
    const chunk = this.#heads[bucket >>> CHUNK_SHIFT];
    return chunk ? chunk[bucket & (CHUNK - 1)]! - 1 : NONE;
  }

  #setFirst(bucket: number, elem: Elem): void {
    const index = bucket >>> CHUNK_SHIFT;
    this.#heads[index] ??= new Int32Array(Math.min(CHUNK, this.buckets));
    this.#heads[index][bucket & (CHUNK - 1)] = elem + 1;
  }

  /** The next element of the same bucket. */
  after(elem: Elem): Elem {
    return this.#next[elem]!;
  }

  /** The element behind this one, over the buckets; the first for `NONE`. */
  following(elem: Elem): Elem {
    if (elem === NONE) return this.firstFrom(0);
    const next = this.#next[elem]!;
    return next !== NONE ? next : this.firstFrom((this.#hash[elem]! & (this.buckets - 1)) + 1);
  }

  /** The first element of this bucket or a later one. */
  firstFrom(bucket: number): Elem {
    for (let b = bucket; b < this.buckets; b++) {
      if (this.#heads[b >>> CHUNK_SHIFT] === undefined) {
        b |= CHUNK - 1;
        continue;
      }
      const elem = this.first(b);
      if (elem !== NONE) return elem;
    }
    return NONE;
  }

  bucketOf(elem: Elem): number {
    return this.#hash[elem]! & (this.buckets - 1);
  }

  *all(): Iterable<Elem> {
    let elem = this.following(NONE);
    while (elem !== NONE) {
      // The visitor may remove what it is given.
      const next = this.following(elem);
      yield elem;
      elem = next;
    }
  }

  destroy(): void {
    const { memory } = this.#machine;
    if (this.#options.preallocated) {
      memory.free(this.#keyPool);
      memory.free(this.#valuePool);
      return;
    }
    for (const elem of this.all()) {
      memory.free(this.#keyAddr[elem]!);
      memory.free(this.#valueAddr[elem]!);
    }
  }
}
