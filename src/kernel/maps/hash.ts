import { MAP_CREATE_FLAGS, MAP_UPDATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, at, type Mapping, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
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
import { HashTable, NONE } from './hash-table.ts';
import {
  type BatchRead,
  BpfMap,
  errno,
  type MapElement,
  type MapShape,
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

/** What the hash maps share: all but how a value is stored. */
export abstract class HashBase extends BpfMap {
  protected readonly table: HashTable;
  override readonly batches = { lookup: true, lookupAndDelete: true, update: true, delete: true } as const;

  constructor(machine: Machine, shape: MapShape, slots: number, spare: number) {
    super(machine, shape);
    const stride = roundUp8(shape.valueSize);
    const values: Mapping = {
      kind: 'map_value',
      owner: this.label,
      access: this.valueAccess,
      cells: { stride, offset: 0, size: shape.valueSize },
    };
    this.table = new HashTable(machine, {
      keySize: shape.keySize,
      valueBytes: stride * slots,
      maxEntries: shape.maxEntries,
      preallocated: this.preallocated,
      spare,
      seed: shape.flags & F.BPF_F_ZERO_SEED ? 0 : machine.random(),
      label: this.label,
      values,
    });
  }

  protected get preallocated(): boolean {
    return (this.shape.flags & F.BPF_F_NO_PREALLOC) === 0;
  }

  protected find(key: Addr): number {
    return this.table.find(key, this.table.hashOf(key));
  }

  lookup(key: Addr): Addr {
    const elem = this.find(key);
    return elem === NONE ? NULL : this.table.value(elem);
  }

  /** An element's value as user space sees it. */
  protected elemValue(elem: number): Uint8Array<ArrayBuffer> {
    return this.readValue(this.table.value(elem));
  }

  override sysLookup(key: Uint8Array, _flags: number): SysValue {
    const elem = this.find(this.keyIn(key));
    return elem === NONE ? errno('ENOENT') : this.elemValue(elem);
  }

  /** The status of the existence flags against what is there. */
  protected checkExistence(elem: number, flags: number): Status {
    if (elem !== NONE && (flags & ~U.BPF_F_LOCK) === U.BPF_NOEXIST) return errno('EEXIST');
    if (elem === NONE && (flags & ~U.BPF_F_LOCK) === U.BPF_EXIST) return errno('ENOENT');
    return 0;
  }

  /** An element for a key that is not there yet, or a negative errno. */
  protected takeElem(): number {
    if (!this.preallocated && this.table.count >= this.shape.maxEntries) return errno('E2BIG');
    const elem = this.table.take();
    if (elem !== NONE) return elem;
    return this.preallocated ? errno('E2BIG') : errno('ENOMEM');
  }

  delete(key: Addr): Status {
    const elem = this.find(key);
    if (elem === NONE) return errno('ENOENT');
    this.drop(elem);
    return 0;
  }

  protected drop(elem: number): void {
    this.table.remove(elem);
    this.releaseElem(elem);
    this.table.give(elem);
  }

  /** Lets go of what the special fields of an element's value or values hold. */
  protected releaseElem(elem: number): void {
    if (this.fields.length > 0) this.releaseValue(this.table.value(elem));
  }

  /** Drops elements of one bucket, in the order of the bucket. */
  protected dropAll(elems: readonly number[]): void {
    for (const elem of elems) this.drop(elem);
  }

  override sysLookupAndDelete(key: Uint8Array, _flags: number): SysValue {
    const elem = this.find(this.keyIn(key));
    if (elem === NONE) return errno('ENOENT');
    const value = this.elemValue(elem);
    this.drop(elem);
    return value;
  }

  nextKey(key: Uint8Array | undefined): SysValue {
    // A key that is gone starts over.
    const elem = this.table.following(key ? this.find(this.keyIn(key)) : NONE);
    return elem === NONE ? errno('ENOENT') : this.#keyBytes(elem);
  }

  #keyBytes(elem: number): Uint8Array<ArrayBuffer> {
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
      const elems: number[] = [];
      for (let elem = start; elem !== NONE; elem = this.table.after(elem)) elems.push(elem);
      if (elems.length > count - batch.count) {
        return batch.done(batch.count === 0 ? errno('ENOSPC') : 0, u32Bytes(bucket));
      }
      for (const elem of elems) batch.push(this.#keyBytes(elem), this.elemValue(elem));
      if (remove) this.dropAll(elems);
      bucket += 1;
    }
  }

  override *elements(): Iterable<MapElement> {
    for (const elem of this.table.all()) yield { key: this.table.key(elem), value: this.table.value(elem) };
  }

  override destroy(): void {
    if (this.fields.length > 0) for (const elem of this.table.all()) this.releaseElem(elem);
    this.table.destroy();
    super.destroy();
  }
}

export class HashMap extends HashBase {
  /** The element that the next replacement on each CPU goes into. */
  readonly #replacement: number[];

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape, 1, machine.cpus);
    this.#replacement = this.preallocated
      ? Array.from({ length: machine.cpus }, () => this.table.take())
      : [];
  }

  update(key: Addr, value: Addr, flags: number): Status {
    const wrong = this.checkUpdateFlags(flags);
    if (wrong !== 0) return wrong;
    const hash = this.table.hashOf(key);
    const old = this.table.find(key, hash);
    const status = this.checkExistence(old, flags);
    if (status !== 0) return status;
    if (old !== NONE && flags & U.BPF_F_LOCK) {
      this.storeValue(this.table.value(old), value);
      return 0;
    }
    const elem = this.#elemFor(old);
    if (elem < 0) return elem;
    this.storeValue(this.table.value(elem), value);
    this.table.insert(elem, key, hash);
    if (old === NONE) return 0;
    // A program that looked the old value up still sees it.
    this.table.remove(old);
    this.releaseElem(old);
    if (this.preallocated) this.#replacement[this.machine.cpu] = old;
    else this.table.give(old);
    return 0;
  }

  /** A new element for a key, in place of `old` if there is one. @returns it or a negative errno */
  #elemFor(old: number): number {
    if (old === NONE) return this.takeElem();
    if (this.preallocated) return this.#replacement[this.machine.cpu]!;
    const elem = this.table.take();
    return elem === NONE ? errno('ENOMEM') : elem;
  }
}

/** One value for each CPU, one behind the other. */
export class PercpuHashMap extends HashBase {
  readonly #stride: number;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape, machine.cpus, 0);
    this.#stride = roundUp8(shape.valueSize);
  }

  override get sysValueSize(): number {
    return roundUp8(this.shape.valueSize) * this.machine.cpus;
  }

  override lookup(key: Addr): Addr {
    return this.lookupPercpu(key, this.machine.cpu);
  }

  override lookupPercpu(key: Addr, cpu: number): Addr {
    const elem = cpu < this.machine.cpus ? this.find(key) : NONE;
    return elem === NONE ? NULL : at(this.table.value(elem), cpu * this.#stride);
  }

  update(key: Addr, value: Addr, flags: number): Status {
    return this.#store(key, flags, (elem, fresh) => {
      const { memory, cpu, cpus } = this.machine;
      const values = this.table.value(elem);
      if (fresh) memory.fill(values, cpus * this.#stride, 0);
      this.storeValue(at(values, cpu * this.#stride), value);
    });
  }

  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    return this.#store(this.keyIn(key), flags, (elem) => {
      this.writePercpu(value, (cpu) => at(this.table.value(elem), cpu * this.#stride));
    });
  }

  #store(key: Addr, flags: number, write: (elem: number, fresh: boolean) => void): Status {
    if (flags > U.BPF_EXIST) return errno('EINVAL');
    const hash = this.table.hashOf(key);
    const old = this.table.find(key, hash);
    const status = this.checkExistence(old, flags);
    if (status !== 0) return status;
    if (old !== NONE) {
      write(old, false);
      return 0;
    }
    const elem = this.takeElem();
    if (elem < 0) return elem;
    write(elem, true);
    this.table.insert(elem, key, hash);
    return 0;
  }

  protected override elemValue(elem: number): Uint8Array<ArrayBuffer> {
    return this.readPercpu((cpu) => at(this.table.value(elem), cpu * this.#stride));
  }

  protected override releaseElem(elem: number): void {
    if (this.fields.length === 0) return;
    const { cpus } = this.machine;
    for (let cpu = 0; cpu < cpus; cpu++) this.releaseValue(at(this.table.value(elem), cpu * this.#stride));
  }

  override *elements(): Iterable<MapElement> {
    for (const { key, value } of super.elements()) {
      yield { key, value: at(value, this.machine.cpu * this.#stride) };
    }
  }
}
