import { MAP_CREATE_FLAGS, MAP_UPDATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, at, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import {
  ARRAY_CPU_STRIDE,
  ARRAY_HEADER,
  ARRAY_STRIDE,
  ARRAY_VALUES,
  HASH_CPUS,
  HASH_FLAGS,
  HASH_IS_LOCKED,
  HASH_IS_RELEASED,
  HASH_LOCK_OFFSET,
  HASH_MAX_ENTRIES,
  HASH_VALUE_SIZE,
  KIND_ARRAY,
  KIND_PERCPU_ARRAY,
  MAP_KIND,
} from '../wasm/assembly/layout.ts';
import type { KernelFunctions } from '../wasm/native.ts';
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
import { writeFields } from './field-table.ts';
import {
  type BatchRead,
  BpfMap,
  errno,
  type MapElement,
  type MapShape,
  type NativeOperations,
  narrow,
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
  protected readonly functions: KernelFunctions;
  readonly #fieldTable: Addr;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape);
    this.functions = machine.memory.native.functions;
    this.#fieldTable = writeFields(machine.memory, this.addr, this.fields, this.label);
    if (!this.releases) return;
    machine.memory.native.hooks.set(this.addr, { release: (value) => this.releaseValue(value as Addr) });
  }

  protected override get headerSize(): number {
    return ARRAY_HEADER;
  }

  protected get releases(): boolean {
    return this.fields.some(({ kind }) => kind !== 'spin_lock');
  }

  override share(): string | undefined {
    if (!this.releases) return undefined;
    return 'has values that hold something, which is let go on one processor only';
  }

  /** Tells WebAssembly where the values are. @param cpuStride from one CPU's to the next one's, 0 where all share them */
  protected writeHeader(kind: number, values: Addr, cpuStride: number): void {
    const { memory, cpus } = this.machine;
    const { valueSize, maxEntries } = this.shape;
    const lock = this.fields.find((field) => field.kind === 'spin_lock');
    const words: readonly [offset: number, value: number][] = [
      [MAP_KIND, kind],
      [ARRAY_VALUES, values],
      [ARRAY_STRIDE, roundUp8(valueSize)],
      [ARRAY_CPU_STRIDE, cpuStride],
      [HASH_VALUE_SIZE, valueSize],
      [HASH_MAX_ENTRIES, maxEntries],
      [HASH_FLAGS, (this.releases ? HASH_IS_RELEASED : 0) | (lock ? HASH_IS_LOCKED : 0)],
      [HASH_CPUS, cpus],
      [HASH_LOCK_OFFSET, lock?.offset ?? 0],
    ];
    for (const [offset, value] of words) memory.writeU32(this.addr + offset, value);
  }

  override destroy(): void {
    const { memory } = this.machine;
    memory.native.hooks.delete(this.addr);
    memory.free(this.#fieldTable);
    super.destroy();
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
    this.writeHeader(KIND_ARRAY, this.#values, 0);
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
    return (this.functions.array_lookup(this.addr, key, 0) >>> 0) as Addr;
  }

  update(key: Addr, value: Addr, flags: number): Status {
    return this.functions.array_put(this.addr, key, value, narrow(flags), 0);
  }

  override get native(): NativeOperations {
    return { update: { name: 'array_update', cpu: true } };
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
    this.writeHeader(KIND_PERCPU_ARRAY, this.#values, this.#stride * shape.maxEntries);
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
    return (this.functions.array_lookup(this.addr, key, cpu) >>> 0) as Addr;
  }

  override get native(): NativeOperations {
    return { lookupPercpu: { name: 'array_lookup' }, update: { name: 'array_update', cpu: true } };
  }

  update(key: Addr, value: Addr, flags: number): Status {
    return this.functions.array_put(this.addr, key, value, narrow(flags), this.machine.cpu);
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
