import { MAP_CREATE_FLAGS, MAP_UPDATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, at } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import { HASH_HEADER } from '../wasm/assembly/layout.ts';
import type { KernelFunctions } from '../wasm/native.ts';
import { u32, u32Bytes } from './array.ts';
import { BatchBuffer } from './batch.ts';
import {
  type Check,
  checkFlags,
  checkNonZero,
  checkPercpuValue,
  first,
  KMALLOC_MAX_SIZE,
  refuse,
} from './checks.ts';
import { type Elem, HashTable, NONE } from './hash-table.ts';
import {
  type BatchRead,
  BpfMap,
  errno,
  type MapElement,
  type MapShape,
  type NativeOperation,
  type NativeOperations,
  narrow,
  roundUp8,
  type Status,
  type SysValue,
} from './map.ts';

const F = MAP_CREATE_FLAGS;
const U = MAP_UPDATE_FLAGS;
/** `sizeof(struct htab_elem)` and `sizeof(struct bucket)`: they bound what a key and a value, and all buckets, may take. */
const HTAB_ELEM_SIZE = 48;
const BUCKET_SIZE = 16;

export const checkHash: Check = (shape, context) => {
  const lru = shape.type === 'lru_hash' || shape.type === 'lru_percpu_hash';
  const percpu = shape.type === 'percpu_hash' || shape.type === 'lru_percpu_hash';
  if (shape.flags & F.BPF_F_ZERO_SEED && !context.admin) {
    return refuse('EPERM', 'BPF_F_ZERO_SEED needs CAP_SYS_ADMIN: it lets collisions be chosen');
  }
  const wrong = checkFlags(lru ? { ...shape, flags: shape.flags & ~F.BPF_F_NO_PREALLOC } : shape);
  if (wrong) return wrong;
  if (lru && shape.flags & F.BPF_F_NO_PREALLOC) {
    return refuse('ENOTSUPP', `a ${shape.type} map is always preallocated`);
  }
  if (context.numaNode !== undefined && (percpu || shape.flags & F.BPF_F_NO_COMMON_LRU)) {
    return refuse('EINVAL', 'a per-CPU map is on every NUMA node');
  }
  return first(
    checkNonZero(shape, 'maxEntries', 'keySize', 'valueSize'),
    shape.keySize + shape.valueSize >= KMALLOC_MAX_SIZE - HTAB_ELEM_SIZE
      ? refuse('E2BIG', `a key and a value of ${shape.keySize} and ${shape.valueSize} bytes exceed 4 MiB`)
      : undefined,
    percpu ? checkPercpuValue(shape) : undefined,
    // Linux counts the bytes of the buckets, a power of two of them, in 32 bits.
    2 ** Math.ceil(Math.log2(Math.max(shape.maxEntries, 1))) > Math.floor(0xffff_ffff / BUCKET_SIZE)
      ? refuse('E2BIG', `max_entries ${shape.maxEntries} exceeds ${2 ** 27}`)
      : undefined,
  );
};

/** In place of a CPU's number: all of them. */
export const ALL_CPUS = -1;

/** The function that looks up keys of a size. */
export function lookupOf(prefix: 'hash' | 'lru', keySize: number): NativeOperation {
  const sized = keySize === 4 || keySize === 8 || keySize === 16;
  return { name: sized ? `${prefix}_lookup${keySize}` : `${prefix}_lookup` };
}

/** What the hash maps share: all but how a value is stored. */
export abstract class HashBase extends BpfMap {
  protected readonly table: HashTable;
  protected readonly functions: KernelFunctions;
  readonly #lookup: (map: number, key: number) => number;
  override readonly batches = { lookup: true, lookupAndDelete: true, update: true, delete: true } as const;

  constructor(machine: Machine, shape: MapShape, lru?: 'common' | 'split') {
    super(machine, shape);
    const percpu = shape.type === 'percpu_hash' || shape.type === 'lru_percpu_hash';
    this.functions = machine.memory.native.functions;
    this.table = new HashTable(machine, {
      map: this.addr,
      keySize: shape.keySize,
      valueSize: shape.valueSize,
      slots: percpu ? machine.cpus : 1,
      percpu,
      maxEntries: shape.maxEntries,
      ofMaps: shape.type === 'hash_of_maps',
      preallocated: (shape.flags & F.BPF_F_NO_PREALLOC) === 0,
      ...(lru && { lru }),
      seed: shape.flags & F.BPF_F_ZERO_SEED ? 0 : machine.random(),
      ordered: (shape.flags & F.BPF_F_ZERO_SEED) !== 0,
      label: this.label,
      access: this.valueAccess,
      fields: this.fields,
      ...(this.releases && { release: (elem: Elem) => this.releaseElem(elem) }),
    });
    const { name } = lookupOf(lru ? 'lru' : 'hash', shape.keySize);
    this.#lookup = this.functions[name] as (map: number, key: number) => number;
  }

  protected override get headerSize(): number {
    return HASH_HEADER;
  }

  /** Whether there is something to let go when an element ends. */
  protected get releases(): boolean {
    return this.fields.some(({ kind }) => kind !== 'spin_lock');
  }

  override share(): string | undefined {
    if (this.releases) return 'has values that hold something, which is let go on one processor only';
    return this.table.reserve() ? undefined : 'may grow beyond the memory that there is';
  }

  lookup(key: Addr): Addr {
    return (this.#lookup(this.addr, key) >>> 0) as Addr;
  }

  /** An element's value as user space sees it. */
  protected elemValue(elem: Elem): Uint8Array<ArrayBuffer> {
    return this.readValue(this.table.value(elem));
  }

  override sysLookup(key: Uint8Array, flags: number): SysValue {
    const elem = this.table.find(this.keyIn(key));
    if (elem === NONE) return errno('ENOENT');
    const lock = flags & U.BPF_F_LOCK ? this.fields.find(({ kind }) => kind === 'spin_lock') : undefined;
    if (!lock) return this.elemValue(elem);
    const place = at(this.table.value(elem), lock.offset);
    this.functions.spin_lock(place);
    const value = this.elemValue(elem);
    this.functions.spin_unlock(place);
    return value;
  }

  delete(key: Addr): Status {
    return this.functions.hash_delete(this.addr, key, this.machine.cpu);
  }

  /** Lets go of what the special fields of an element's value or values hold. */
  protected releaseElem(elem: Elem): void {
    this.releaseValue(this.table.value(elem));
  }

  /** Gives back an element that is in no bucket any more. */
  protected give(elem: Elem): void {
    this.functions.hash_give(this.addr, elem, this.machine.cpu);
  }

  /** Gives back elements of one bucket, in the order of the bucket, that are not in it any more. */
  protected giveAll(elems: readonly Elem[]): void {
    for (const elem of elems) this.give(elem);
  }

  override sysLookupAndDelete(key: Uint8Array, _flags: number): SysValue {
    const keyAddr = this.keyIn(key);
    const found = this.table.find(keyAddr);
    if (found === NONE) return errno('ENOENT');
    // Only where it still is, with the bucket locked.
    const value = this.table.locked(this.table.bucketOf(found), () => {
      const elem = this.table.find(keyAddr);
      if (elem === NONE) return undefined;
      this.table.unlink(elem);
      return { elem, bytes: this.elemValue(elem) };
    });
    if (!value) return errno('ENOENT');
    if (this.releases) this.releaseElem(value.elem);
    this.give(value.elem);
    return value.bytes;
  }

  nextKey(key: Uint8Array | undefined): SysValue {
    // A key that is gone starts over.
    const elem = this.table.following(key ? this.table.find(this.keyIn(key)) : NONE);
    return elem === NONE ? errno('ENOENT') : this.#keyBytes(elem);
  }

  #keyBytes(elem: Elem): Uint8Array<ArrayBuffer> {
    return this.machine.memory.read(this.table.key(elem), this.shape.keySize);
  }

  /** Whole buckets, as many as fit; the cursor is the number of the next bucket. */
  override batchRead(
    cursor: Uint8Array | undefined,
    count: number,
    remove: boolean,
    _flags: number,
  ): BatchRead {
    const batch = new BatchBuffer();
    let bucket = cursor ? u32(cursor) : 0;
    if (bucket >= this.table.buckets) return batch.done(errno('ENOENT'));
    for (;;) {
      const start = this.table.firstFrom(bucket);
      if (start === NONE) return batch.done(errno('ENOENT'));
      bucket = this.table.bucketOf(start);
      const elems = this.table.locked(bucket, () => this.#readBucket(bucket, batch, count, remove));
      if (!elems) return batch.done(batch.count === 0 ? errno('ENOSPC') : 0, u32Bytes(bucket));
      if (remove) {
        if (this.releases) for (const elem of elems) this.releaseElem(elem);
        this.giveAll(elems);
      }
      bucket += 1;
    }
  }

  /** The elements of a bucket, if there is room for all of them. */
  #readBucket(bucket: number, batch: BatchBuffer, count: number, remove: boolean): Elem[] | undefined {
    const elems: Elem[] = [];
    let elem = this.table.firstFrom(bucket);
    if (elem !== NONE && this.table.bucketOf(elem) !== bucket) return elems;
    for (; elem !== NONE; elem = this.table.after(elem)) elems.push(elem);
    if (elems.length > count - batch.count) return undefined;
    for (const each of elems) {
      batch.push(this.#keyBytes(each), this.elemValue(each));
      if (remove) this.table.unlink(each);
    }
    return elems;
  }

  override *elements(): Iterable<MapElement> {
    for (const elem of this.table.all()) yield { key: this.table.key(elem), value: this.table.value(elem) };
  }

  override destroy(): void {
    if (this.releases) for (const elem of this.table.all()) this.releaseElem(elem);
    this.table.destroy();
    super.destroy();
  }
}

export class HashMap extends HashBase {
  override get native(): NativeOperations {
    return {
      lookup: lookupOf('hash', this.shape.keySize),
      update: { name: 'hash_update', cpu: true },
      delete: { name: 'hash_delete', cpu: true },
    };
  }

  update(key: Addr, value: Addr, flags: number): Status {
    return this.functions.hash_put(this.addr, key, value, narrow(flags), this.machine.cpu);
  }
}

/** One value for each CPU, one behind the other. */
export class PercpuHashMap extends HashBase {
  readonly #stride: number;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape);
    this.#stride = roundUp8(shape.valueSize);
  }

  override get sysValueSize(): number {
    return roundUp8(this.shape.valueSize) * this.machine.cpus;
  }

  override get native(): NativeOperations {
    return {
      lookup: { name: 'hash_lookup_percpu', cpu: true },
      lookupPercpu: { name: 'hash_lookup_percpu' },
      update: { name: 'hash_update_percpu', cpu: true },
      delete: { name: 'hash_delete', cpu: true },
    };
  }

  override lookup(key: Addr): Addr {
    return this.lookupPercpu(key, this.machine.cpu);
  }

  override lookupPercpu(key: Addr, cpu: number): Addr {
    return (this.functions.hash_lookup_percpu(this.addr, key, cpu) >>> 0) as Addr;
  }

  update(key: Addr, value: Addr, flags: number): Status {
    const { cpu } = this.machine;
    return this.functions.hash_put_percpu(this.addr, key, value, narrow(flags), cpu, cpu);
  }

  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    const [from, to] = [this.valueIn(value), this.keyIn(key)];
    return this.functions.hash_put_percpu(this.addr, to, from, narrow(flags), ALL_CPUS, this.machine.cpu);
  }

  protected override elemValue(elem: Elem): Uint8Array<ArrayBuffer> {
    return this.readPercpu((cpu) => at(this.table.value(elem), cpu * this.#stride));
  }

  protected override releaseElem(elem: Elem): void {
    const { cpus } = this.machine;
    for (let cpu = 0; cpu < cpus; cpu++) this.releaseValue(at(this.table.value(elem), cpu * this.#stride));
  }

  override *elements(): Iterable<MapElement> {
    for (const { key, value } of super.elements()) {
      yield { key, value: at(value, this.machine.cpu * this.#stride) };
    }
  }
}
