import { MAP_CREATE_FLAGS, MAP_UPDATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, at, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import { genericBatchRead } from './batch.ts';
import {
  type Check,
  checkFlags,
  checkKeySize,
  checkNonZero,
  checkPercpuValue,
  first,
  refuse,
} from './checks.ts';
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

/** Rules common to all types whose key is an index. */
export const checkArrayLike: Check = (shape) =>
  first(
    checkNonZero(shape, 'maxEntries', 'valueSize'),
    checkKeySize(shape, 4),
    checkFlags(shape),
    shape.valueSize > 0x7fff_ffff
      ? refuse('E2BIG', `a value of ${shape.valueSize} bytes is more than 2 GiB`)
      : undefined,
  );

export const checkPercpuArray: Check = (shape, context) =>
  first(
    checkArrayLike(shape, context),
    context.numaNode !== undefined ? refuse('EINVAL', 'a per-CPU map is on every NUMA node') : undefined,
    checkPercpuValue(shape),
  );

/** A map whose key is an index below `max_entries`. */
abstract class IndexedMap extends BpfMap {
  protected indexIn(key: Addr): number {
    return this.machine.memory.readU32(key);
  }

  /** The status for an index and the flags of an update, before anything is written. */
  protected checkUpdate(index: number, flags: number): Status {
    const wrong = this.checkUpdateFlags(flags);
    if (wrong !== 0 && (flags & MAP_UPDATE_FLAGS.BPF_F_LOCK) === 0) return wrong;
    if (index >= this.shape.maxEntries) return errno('E2BIG');
    if (flags & MAP_UPDATE_FLAGS.BPF_NOEXIST) return errno('EEXIST');
    return wrong;
  }

  delete(_key: Addr): Status {
    return errno('EINVAL');
  }

  nextKey(key: Uint8Array | undefined): SysValue {
    return nextIndex(key, this.shape.maxEntries);
  }
}

/** The index after a key's; 0 after none and after one that is out of range. */
export function nextIndex(key: Uint8Array | undefined, count: number): SysValue {
  const index = key ? u32(key) : 0xffff_ffff;
  if (index < count && index === count - 1) return errno('ENOENT');
  return u32Bytes(index >= count ? 0 : index + 1);
}

export function u32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}

export function u32Bytes(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** Where the elements are, for compiled programs: index times `stride` from `base` on, bytes. */
export interface ElementPlaces {
  readonly base: Addr;
  readonly stride: number;
  /** From one CPU's elements to the next one's; 0 where all share them. */
  readonly cpuStride: number;
}

/** Values one behind the other, each rounded up to 8 bytes. */
export class ArrayMap extends IndexedMap {
  readonly #values: Addr;
  readonly #stride: number;
  override readonly batches = { lookup: true, update: true } as const;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape);
    this.#stride = roundUp8(shape.valueSize);
    const size = this.#stride * shape.maxEntries;
    // What user space maps begins and ends with a page.
    const mappable = (shape.flags & MAP_CREATE_FLAGS.BPF_F_MMAPABLE) !== 0;
    this.#values = machine.memory.allocate(mappable ? pageAlign(size) : size, {
      kind: 'map_value',
      owner: this.label,
      access: this.valueAccess,
      cells: { stride: this.#stride, offset: 0, size: shape.valueSize },
    });
  }

  get elementPlaces(): ElementPlaces {
    return { base: this.#values, stride: this.#stride, cpuStride: 0 };
  }

  override userPages(offset: number, length: number, _writable: boolean): Addr | Status {
    if ((this.shape.flags & MAP_CREATE_FLAGS.BPF_F_MMAPABLE) === 0) return errno('EINVAL');
    if (offset + length > pageAlign(this.#stride * this.shape.maxEntries)) return errno('EINVAL');
    return at(this.#values, offset);
  }

  lookup(key: Addr): Addr {
    const index = this.indexIn(key);
    return index < this.shape.maxEntries ? at(this.#values, index * this.#stride) : NULL;
  }

  update(key: Addr, value: Addr, flags: number): Status {
    const index = this.indexIn(key);
    const status = this.checkUpdate(index, flags);
    if (status !== 0) return status;
    const place = at(this.#values, index * this.#stride);
    this.storeValue(place, value);
    this.releaseValue(place);
    return 0;
  }

  override *elements(): Iterable<MapElement> {
    yield* indexElements(this, (index) => at(this.#values, index * this.#stride));
  }

  /** Linux lets a program point into the whole array of values only when that is one value. */
  override directValue(offset: number): Addr {
    if (this.shape.maxEntries !== 1 || offset >= this.shape.valueSize) return NULL;
    return at(this.#values, offset);
  }

  override batchRead(cursor: Uint8Array | undefined, count: number): BatchRead {
    return genericBatchRead(this, cursor, count);
  }

  override destroy(): void {
    if (this.fields.length > 0) {
      for (let i = 0; i < this.shape.maxEntries; i++) this.releaseValue(at(this.#values, i * this.#stride));
    }
    this.machine.memory.free(this.#values);
    super.destroy();
  }
}

function pageAlign(size: number): number {
  return Math.ceil(size / 4096) * 4096;
}

/** One array for each CPU. */
export class PercpuArrayMap extends IndexedMap {
  readonly #values: Addr;
  readonly #stride: number;
  override readonly batches = { lookup: true, update: true } as const;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape);
    this.#stride = roundUp8(shape.valueSize);
    this.#values = machine.memory.allocate(this.#stride * shape.maxEntries * machine.cpus, {
      kind: 'map_value',
      owner: this.label,
      access: this.valueAccess,
      cells: { stride: this.#stride, offset: 0, size: shape.valueSize },
    });
  }

  override get sysValueSize(): number {
    return roundUp8(this.shape.valueSize) * this.machine.cpus;
  }

  get elementPlaces(): ElementPlaces {
    const cpuStride = this.#stride * this.shape.maxEntries;
    return { base: this.#values, stride: this.#stride, cpuStride };
  }

  #place(index: number, cpu: number): Addr {
    return at(this.#values, (cpu * this.shape.maxEntries + index) * this.#stride);
  }

  lookup(key: Addr): Addr {
    return this.lookupPercpu(key, this.machine.cpu);
  }

  override lookupPercpu(key: Addr, cpu: number): Addr {
    const index = this.indexIn(key);
    return cpu < this.machine.cpus && index < this.shape.maxEntries ? this.#place(index, cpu) : NULL;
  }

  update(key: Addr, value: Addr, flags: number): Status {
    const index = this.indexIn(key);
    const status = this.checkUpdate(index, flags);
    if (status !== 0) return status;
    const place = this.#place(index, this.machine.cpu);
    this.storeValue(place, value);
    this.releaseValue(place);
    return 0;
  }

  override sysLookup(key: Uint8Array): SysValue {
    const index = u32(key);
    if (index >= this.shape.maxEntries) return errno('ENOENT');
    return this.readPercpu((cpu) => this.#place(index, cpu));
  }

  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    if (flags > MAP_UPDATE_FLAGS.BPF_EXIST) return errno('EINVAL');
    const index = u32(key);
    if (index >= this.shape.maxEntries) return errno('E2BIG');
    if (flags === MAP_UPDATE_FLAGS.BPF_NOEXIST) return errno('EEXIST');
    this.writePercpu(value, (cpu) => this.#place(index, cpu));
    for (let cpu = 0; cpu < this.machine.cpus; cpu++) this.releaseValue(this.#place(index, cpu));
    return 0;
  }

  override *elements(): Iterable<MapElement> {
    yield* indexElements(this, (index) => this.#place(index, this.machine.cpu));
  }

  override batchRead(cursor: Uint8Array | undefined, count: number): BatchRead {
    return genericBatchRead(this, cursor, count);
  }

  override destroy(): void {
    const count = this.fields.length > 0 ? this.shape.maxEntries * this.machine.cpus : 0;
    for (let i = 0; i < count; i++) this.releaseValue(at(this.#values, i * this.#stride));
    this.machine.memory.free(this.#values);
    super.destroy();
  }
}

/** Walks an indexed map's elements; the key is a copy that is good until the next step. */
function* indexElements(map: BpfMap, place: (index: number) => Addr): Iterable<MapElement> {
  const { memory } = map.machine;
  const key = memory.allocate(4, { kind: 'map_value', owner: `${map.label}: key`, access: 'r' });
  try {
    for (let index = 0; index < map.shape.maxEntries; index++) {
      memory.writeU32(key, index);
      yield { key, value: place(index) };
    }
  } finally {
    memory.free(key);
  }
}
