/**
 * The table beneath the hash maps, as WebAssembly keeps it in the kernel's memory (`wasm/assembly/hash.ts`): buckets of
 * chained elements, keys and values in them. With `BPF_F_ZERO_SEED` it has Linux's shape (as many buckets, new elements in
 * front), which user space can see: in the order of keys and in where a batch ends.
 */
import { type Addr, at, type Mapping, NULL } from '../memory/index.ts';
import type { FieldRecord } from '../objects/field-record.ts';
import type { Machine } from '../objects/machine.ts';
import {
  ELEM_SIZE,
  FREE_STRIDE,
  HASH_BUCKETS,
  HASH_CPUS,
  HASH_FLAGS,
  HASH_FREE,
  HASH_FRESH,
  HASH_FRESH_END,
  HASH_IS_LOCKED,
  HASH_IS_PREALLOCATED,
  HASH_IS_RELEASED,
  HASH_IS_SPLIT,
  HASH_KEY_SIZE,
  HASH_LOCK_OFFSET,
  HASH_LRU,
  HASH_LRU_SCANS,
  HASH_LRU_TARGET,
  HASH_MASK,
  HASH_MAX_ENTRIES,
  HASH_SEED,
  HASH_SLOTS,
  HASH_SPARES,
  HASH_STRIDE,
  HASH_VALUE_OFFSET,
  HASH_VALUE_SIZE,
  HASH_VALUE_STRIDE,
  KIND_HASH,
  KIND_HASH_OF_MAPS,
  KIND_LRU_HASH,
  KIND_LRU_PERCPU_HASH,
  KIND_PERCPU_HASH,
  LISTS_STRIDE,
  LRU_ELEM_SIZE,
  MAP_KIND,
} from '../wasm/assembly/layout.ts';
import type { KernelFunctions } from '../wasm/native.ts';
import { writeFields } from './field-table.ts';
import { roundUp8 } from './map.ts';

/** Address of an element; 0 is none. */
export type Elem = Addr;
export const NONE: Elem = NULL;

/** Elements that a CPU takes from the common LRU list at once, at most, and that are looked at for it. */
const LOCAL_FREE_TARGET = 128;
/** The same for CPUs with lists of their own. */
const PERCPU_FREE_TARGET = 4;

/** Bytes of the first elements that a map takes which are not preallocated, and most that it takes at once. */
const FIRST_CHUNK = 4096;
const LARGEST_CHUNK = 1 << 20;

export interface TableOptions {
  /** Where the map's header is. */
  readonly map: Addr;
  readonly keySize: number;
  readonly valueSize: number;
  /** Values of an element: 1, or one for each CPU. */
  readonly slots: number;
  readonly percpu: boolean;
  readonly maxEntries: number;
  /** Its values are addresses of maps. */
  readonly ofMaps: boolean;
  /** All memory is taken at creation. */
  readonly preallocated: boolean;
  /** An LRU map: with lists that all CPUs share, or one list for each. */
  readonly lru?: 'common' | 'split';
  readonly seed: number;
  /** With Linux's order of keys: `BPF_F_ZERO_SEED`. */
  readonly ordered: boolean;
  readonly label: string;
  readonly access: Mapping['access'];
  readonly fields: FieldRecord;
  /** Called for an element that ends: in place, or replaced; absent when there is nothing to do. */
  readonly release?: (elem: Elem) => void;
}

/** Buckets up to which a table is made so much wider than Linux's: most chains are then of one element. */
const WIDER = [
  { factor: 4, upTo: 1 << 18 },
  { factor: 2, upTo: 1 << 22 },
] as const;

/** Linux's number, where the order of keys is asked for; with a secret seed there is none, and more buckets are faster. */
function bucketCount({ maxEntries, ordered }: TableOptions): number {
  let buckets = 1;
  while (buckets < maxEntries) buckets *= 2;
  if (ordered) return buckets;
  return buckets * (WIDER.find(({ upTo }) => buckets <= upTo)?.factor ?? 1);
}

export class HashTable {
  readonly buckets: number;
  readonly functions: KernelFunctions;
  readonly #machine: Machine;
  readonly #options: TableOptions;
  readonly #keyOffset: number;
  readonly #valueOffset: number;
  readonly #stride: number;
  readonly #elements: Mapping;
  readonly #blocks: Addr[] = [];
  /** Elements that there is memory for. */
  #capacity = 0;

  constructor(machine: Machine, options: TableOptions) {
    this.#machine = machine;
    this.#options = options;
    this.functions = machine.memory.native.functions;
    const { keySize, valueSize, slots, label, access } = options;
    const valueStride = roundUp8(valueSize);
    this.#keyOffset = options.lru ? LRU_ELEM_SIZE : ELEM_SIZE;
    this.#valueOffset = this.#keyOffset + roundUp8(keySize);
    this.#stride = this.#valueOffset + valueStride * slots;
    this.#elements = {
      kind: 'map_value',
      owner: label,
      access,
      cells: {
        stride: this.#stride,
        offset: this.#valueOffset,
        size: valueSize,
        ...(slots > 1 && { repeat: { stride: valueStride, count: slots } }),
        key: { offset: this.#keyOffset, size: keySize },
      },
    };
    this.buckets = bucketCount(options);
    this.#writeHeader(valueStride);
    const { map, fields } = options;
    this.#blocks.push(writeFields(machine.memory, map, fields, label));
    if (options.lru) this.#beginLru(options.lru);
    else if (options.preallocated) this.#preallocate();
    const { release } = options;
    machine.memory.native.hooks.set(map, {
      grow: () => this.#grow(),
      ...(release && { release: (elem: number) => release(elem as Elem) }),
    });
  }

  #writeHeader(valueStride: number): void {
    const { memory, cpus } = this.#machine;
    const { map, lru, percpu, fields, ...options } = this.#options;
    const lock = fields.find(({ kind }) => kind === 'spin_lock');
    const flags =
      (options.preallocated ? HASH_IS_PREALLOCATED : 0) |
      (options.release ? HASH_IS_RELEASED : 0) |
      (lock ? HASH_IS_LOCKED : 0) |
      (lru === 'split' ? HASH_IS_SPLIT : 0);
    const kinds = lru ? [KIND_LRU_HASH, KIND_LRU_PERCPU_HASH] : [KIND_HASH, KIND_PERCPU_HASH];
    const kind = options.ofMaps ? KIND_HASH_OF_MAPS : kinds[percpu ? 1 : 0]!;
    const words: readonly [offset: number, value: number][] = [
      [MAP_KIND, kind],
      [HASH_BUCKETS, this.#allocate(4 * this.buckets)],
      [HASH_MASK, this.buckets - 1],
      [HASH_SEED, options.seed],
      [HASH_KEY_SIZE, options.keySize],
      [HASH_VALUE_OFFSET, this.#valueOffset],
      [HASH_VALUE_SIZE, options.valueSize],
      [HASH_VALUE_STRIDE, valueStride],
      [HASH_SLOTS, options.slots],
      [HASH_MAX_ENTRIES, options.maxEntries],
      [HASH_FLAGS, flags],
      [HASH_FREE, lru ? NULL : this.#allocate(FREE_STRIDE * cpus)],
      [HASH_CPUS, cpus],
      [HASH_LOCK_OFFSET, lock?.offset ?? 0],
      [HASH_STRIDE, this.#stride],
    ];
    for (const [offset, value] of words) memory.writeU32(map + offset, value);
  }

  /** Replacements of elements that are updated in place have elements of their own, one for each CPU. */
  #preallocate(): void {
    const { map, maxEntries, percpu } = this.#options;
    const { memory, cpus } = this.#machine;
    const spare = percpu ? 0 : cpus;
    const pool = this.#allocateElements(maxEntries + spare);
    const end = pool + maxEntries * this.#stride;
    memory.writeU32(map + HASH_FRESH, pool);
    memory.writeU32(map + HASH_FRESH_END, end);
    if (spare === 0) return;
    const spares = this.#allocate(4 * spare);
    for (let cpu = 0; cpu < spare; cpu++) memory.writeU32(spares + 4 * cpu, end + cpu * this.#stride);
    memory.writeU32(map + HASH_SPARES, spares);
  }

  /** All elements are the lists'; in the buckets are those that have a key. */
  #beginLru(lru: 'common' | 'split'): void {
    const { map, maxEntries } = this.#options;
    const { memory, cpus } = this.#machine;
    const share = Math.floor(Math.floor(maxEntries / cpus) / 2);
    const split = lru === 'split';
    const target = split ? PERCPU_FREE_TARGET : Math.min(Math.max(share, 1), LOCAL_FREE_TARGET);
    memory.writeU32(map + HASH_LRU, this.#allocate(LISTS_STRIDE * (split ? cpus : 1 + cpus)));
    memory.writeU32(map + HASH_LRU_TARGET, target);
    memory.writeU32(map + HASH_LRU_SCANS, split ? PERCPU_FREE_TARGET : LOCAL_FREE_TARGET);
    this.functions.lru_begin(map, this.#allocateElements(maxEntries), maxEntries);
  }

  #allocate(size: number): Addr {
    const mapping: Mapping = { kind: 'kernel', owner: this.#options.label, access: 'none' };
    const block = this.#machine.memory.allocate(size, mapping);
    this.#blocks.push(block);
    return block;
  }

  #allocateElements(count: number): Addr {
    const block = this.#machine.memory.allocate(count * this.#stride, this.#elements);
    this.#blocks.push(block);
    this.#capacity += count;
    return block;
  }

  /** Takes memory for more elements: about half as many as there are. @returns false when there is none */
  #grow(): boolean {
    const { maxEntries, map } = this.#options;
    const { memory, cpus } = this.#machine;
    // Beyond the limit, each CPU may have one in hand, and so may user space.
    const room = Math.max(maxEntries + cpus + 1 - this.#capacity, 1);
    const wanted = Math.max(Math.floor(FIRST_CHUNK / this.#stride), this.#capacity >> 1);
    const most = Math.max(Math.floor(LARGEST_CHUNK / this.#stride), 1);
    for (let count = Math.max(Math.min(room, wanted, most), 1); count > 0; count >>= 1) {
      const block = memory.tryAllocate(count * this.#stride, this.#elements);
      if (block === NULL) continue;
      this.#blocks.push(block);
      this.#capacity += count;
      this.functions.hash_add(map, block, count);
      return true;
    }
    return false;
  }

  /** Takes memory for all elements that there may be. It is touched only where one is used. @returns false when it is short */
  reserve(): boolean {
    const { maxEntries, map, preallocated } = this.#options;
    const { memory, cpus } = this.#machine;
    const count = maxEntries + cpus + 1 - this.#capacity;
    if (preallocated || count <= 0) return true;
    const block = memory.tryAllocate(count * this.#stride, this.#elements);
    if (block === NULL) return false;
    this.#blocks.push(block);
    this.#capacity += count;
    memory.writeU32(map + HASH_FRESH, block);
    memory.writeU32(map + HASH_FRESH_END, block + count * this.#stride);
    return true;
  }

  key(elem: Elem): Addr {
    return at(elem, this.#keyOffset);
  }

  /** The first value, where there are several. */
  value(elem: Elem): Addr {
    return at(elem, this.#valueOffset);
  }

  find(key: Addr): Elem {
    return this.#elem(this.functions.hash_find(this.#options.map, key));
  }

  /** The next element of the same bucket. */
  after(elem: Elem): Elem {
    return this.#elem(this.functions.hash_after(elem));
  }

  /** The element behind this one, over the buckets; the first for `NONE`. */
  following(elem: Elem): Elem {
    if (elem === NONE) return this.firstFrom(0);
    return this.#elem(this.functions.hash_following(this.#options.map, elem));
  }

  /** The first element of this bucket or a later one. */
  firstFrom(bucket: number): Elem {
    return this.#elem(this.functions.hash_first_from(this.#options.map, bucket));
  }

  bucketOf(elem: Elem): number {
    return this.functions.hash_bucket(this.#options.map, elem);
  }

  /** Addresses come as signed numbers. */
  #elem(address: number): Elem {
    return (address >>> 0) as Elem;
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

  /** Does something while no program changes a bucket. */
  locked<T>(bucket: number, act: () => T): T {
    const { map } = this.#options;
    this.functions.hash_lock(map, bucket);
    try {
      return act();
    } finally {
      this.functions.hash_unlock(map, bucket);
    }
  }

  /** Takes an element out of its bucket, which is locked. */
  unlink(elem: Elem): void {
    this.functions.hash_unlink(this.#options.map, elem);
  }

  destroy(): void {
    const { memory } = this.#machine;
    memory.native.hooks.delete(this.#options.map);
    for (const block of this.#blocks) memory.free(block);
  }
}
