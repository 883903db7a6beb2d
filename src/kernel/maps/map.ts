/**
 * What every map is. A program reaches it by address ({@link BpfMap.lookup} and its kin: 0 or a negative errno, as the
 * helpers answer); user space by bytes (the `sys` methods, as bpf(2) answers).
 *
 * What bpf(2) checks before it asks the map (the file descriptor's mode, the presence of a key) is done in `syscall/`.
 */
import { Bug } from '../../base/error.ts';
import { type Errno, errnoId } from '../../sys/errno.ts';
import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import type { MapType } from '../../sys/map-types.ts';
import { type Addr, type Mapping, NULL } from '../memory/index.ts';
import type { BtfObject } from '../objects/btf-object.ts';
import { type FieldRecord, NO_FIELDS } from '../objects/field-record.ts';
import type { Machine } from '../objects/machine.ts';
import { KernelObject } from '../objects/object.ts';
import type { KernelFunctions } from '../wasm/native.ts';
import { copyAroundFields, maskFields, releaseFields } from './value-fields.ts';

/** 0, or a negative errno. */
export type Status = number;

/** The status that says `name`. */
export function errno(name: Errno): Status {
  return -errnoId(name);
}

/** What maps of objects need: the objects that file descriptors stand for. */
export interface MapHost extends Machine {
  /** The object behind a file descriptor. */
  objectAt(fd: number): KernelObject | undefined;
  mapAt(addr: Addr): BpfMap | undefined;
  /** Whether there is a network device of that number. */
  hasDevice(ifindex: number): boolean;
}

/** The properties of a map that don't change, checked. */
export interface MapShape {
  readonly type: MapType;
  readonly name: string;
  /** Bytes. */
  readonly keySize: number;
  /** Bytes; of one CPU's value for the per-CPU types. */
  readonly valueSize: number;
  readonly maxEntries: number;
  /** Bits of `MAP_CREATE_FLAGS`. */
  readonly flags: number;
  readonly extra: bigint;
  /** The special fields of a value, where BTF says that there are some. */
  readonly fields?: FieldRecord;
}

/** The answer of a lookup by bytes: the value or a negative errno. */
export type SysValue = Uint8Array<ArrayBuffer> | Status;

/** A key's and its value's place, as `bpf_for_each_map_elem` walks them. */
export interface MapElement {
  readonly key: Addr;
  readonly value: Addr;
}

export interface BatchRead {
  readonly status: Status;
  readonly count: number;
  readonly keys: Uint8Array<ArrayBuffer>;
  readonly values: Uint8Array<ArrayBuffer>;
  /** Where to go on; absent when the map is exhausted. */
  readonly cursor?: Uint8Array<ArrayBuffer>;
}

/** Which batch commands a type has. Linux answers `ENOTSUPP` for the others. */
export interface BatchSupport {
  readonly lookup?: true;
  readonly lookupAndDelete?: true;
  readonly update?: true;
  readonly delete?: true;
}

/** A function of the kernel in WebAssembly that does an operation, and whether it is told the CPU. */
export interface NativeOperation {
  readonly name: keyof KernelFunctions;
  readonly cpu?: true;
}

/**
 * The operations that compiled programs call in WebAssembly, without JavaScript in between. All take the map's address
 * first; then keys and values by address, an update's or a push's flags as 64 bits, and last the CPU where they want it.
 * Lookups answer an address or 0, the others 0 or a negative errno.
 */
export interface NativeOperations {
  readonly lookup?: NativeOperation;
  /** Takes the CPU whose value it is, which is the program's own argument. */
  readonly lookupPercpu?: NativeOperation;
  readonly update?: NativeOperation;
  readonly delete?: NativeOperation;
  readonly push?: NativeOperation;
  readonly pop?: NativeOperation;
  readonly peek?: NativeOperation;
}

/** Bytes that a map without state of its own in memory takes there. */
const HEADER_SIZE = 64;

export abstract class BpfMap extends KernelObject<'map'> {
  readonly machine: Machine;
  readonly shape: MapShape;
  /** What a program's map pointer points to. */
  readonly addr: Addr;
  /** No more writes from user space. */
  frozen = false;
  /** Mappings into user space that it may write to. */
  writers = 0;
  /** The types of its keys and values, where the creator gave them; it holds the BTF. */
  types: { readonly btf: BtfObject; readonly key: number; readonly value: number } | undefined;
  /** A key's and a value's worth of memory, for calls by bytes. */
  readonly #scratchKey: Addr;
  readonly #scratchValue: Addr;

  constructor(machine: Machine, shape: MapShape) {
    super('map');
    this.machine = machine;
    this.shape = shape;
    const { memory } = machine;
    this.addr = memory.allocate(this.headerSize, { kind: 'map', owner: this.label, access: 'none' });
    const scratch: Mapping = { kind: 'kernel', owner: this.label, access: 'none' };
    this.#scratchKey = memory.allocate(shape.keySize, scratch);
    this.#scratchValue = memory.allocate(this.sysValueSize, scratch);
  }

  /** For messages: `map counters`. */
  get label(): string {
    return `map ${this.shape.name || `of type ${this.shape.type}`}`;
  }

  /** Bytes of a value as user space gives and takes it. */
  get sysValueSize(): number {
    return this.shape.valueSize;
  }

  /**
   * Bytes at the map's address, where WebAssembly finds what it is and where its parts are (`wasm/assembly/layout.ts`).
   * Asked for while the map is made.
   */
  protected get headerSize(): number {
    return HEADER_SIZE;
  }

  get native(): NativeOperations {
    return {};
  }

  /**
   * Makes ready for programs on other threads, which can't allocate: there is memory for all that they may put in.
   * @returns what stands against it, if something does
   */
  share(): string | undefined {
    return undefined;
  }

  /** What programs may do to the values, by the map's flags. */
  protected get valueAccess(): Mapping['access'] {
    if (this.shape.flags & MAP_CREATE_FLAGS.BPF_F_RDONLY_PROG) return 'r';
    if (this.shape.flags & MAP_CREATE_FLAGS.BPF_F_WRONLY_PROG) return 'w';
    return 'rw';
  }

  // Program side.

  /** Address of the value, or `NULL`. For maps of maps, of the inner map. */
  abstract lookup(key: Addr): Addr;

  /** The value of a given CPU (`bpf_map_lookup_percpu_elem`), or `NULL`. */
  lookupPercpu(_key: Addr, _cpu: number): Addr {
    return NULL;
  }

  /** @param flags `MAP_UPDATE_FLAGS`; a 64-bit value too large for them must arrive as a number that is as large */
  abstract update(key: Addr, value: Addr, flags: number): Status;
  abstract delete(key: Addr): Status;

  /** `bpf_map_push_elem`. */
  push(_value: Addr, _flags: number): Status {
    return errno('EINVAL');
  }
  /** `bpf_map_pop_elem`. */
  pop(_value: Addr): Status {
    return errno('EINVAL');
  }
  /** `bpf_map_peek_elem`. */
  peek(_value: Addr): Status {
    return errno('EINVAL');
  }

  /** Every element there is when it is reached. */
  *elements(): Iterable<MapElement> {}

  /** Address of a byte of the first value, for `BPF_PSEUDO_MAP_VALUE`; `NULL` where the type has none. */
  directValue(_offset: number): Addr {
    return NULL;
  }

  // User space.

  /**
   * What mmap(2) shows, from `offset` on, both in whole pages.
   * @returns the address, or a negative errno: `ENOTSUPP` where the type can't be mapped
   */
  userPages(_offset: number, _length: number, _writable: boolean): Addr | Status {
    return errno('ENOTSUPP');
  }

  /** @param _asked what the caller's room for the value holds, where the type reads it */
  sysLookup(key: Uint8Array, _flags: number, _asked?: Uint8Array): SysValue {
    const value = this.lookup(this.keyIn(key));
    return value === NULL ? errno('ENOENT') : this.readValue(value);
  }

  sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    return this.update(this.keyIn(key), this.valueIn(value), flags);
  }

  sysDelete(key: Uint8Array): Status {
    return this.delete(this.keyIn(key));
  }

  sysLookupAndDelete(_key: Uint8Array, _flags: number): SysValue {
    return errno('ENOTSUPP');
  }

  /** The key after `key` (the first for `undefined`), or a negative errno: `ENOENT` after the last. */
  abstract nextKey(key: Uint8Array | undefined): SysValue;

  readonly batches: BatchSupport = {};

  /** Reads up to `count` elements from `cursor` on. */
  batchRead(_cursor: Uint8Array | undefined, _count: number, _remove: boolean, _flags: number): BatchRead {
    throw new Bug(`${this.label}: no batches`);
  }

  /** The last user of the map (file descriptor or pin) is gone, programs may still hold it. */
  releaseUser(): void {}

  /** Gives back all memory. Nothing refers to the map any more. */
  override destroy(): void {
    const { memory } = this.machine;
    memory.free(this.#scratchKey);
    memory.free(this.#scratchValue);
    memory.free(this.addr);
    this.types?.btf.release();
  }

  /** Puts a key where the program-side methods can read it, until the next call. */
  protected keyIn(key: Uint8Array): Addr {
    this.machine.memory.write(this.#scratchKey, key);
    return this.#scratchKey;
  }

  protected valueIn(value: Uint8Array): Addr {
    this.machine.memory.write(this.#scratchValue, value);
    return this.#scratchValue;
  }

  protected get fields(): FieldRecord {
    return this.shape.fields ?? NO_FIELDS;
  }

  /** A value's copy for user space: special fields in it show as zeros. */
  protected readValue(value: Addr): Uint8Array<ArrayBuffer> {
    const copy = this.machine.memory.read(value, this.shape.valueSize);
    maskFields(this.fields, copy);
    return copy;
  }

  /** The values of all CPUs, one behind the other, for user space. */
  protected readPercpu(place: (cpu: number) => Addr): Uint8Array<ArrayBuffer> {
    const stride = roundUp8(this.shape.valueSize);
    const values = new Uint8Array(stride * this.machine.cpus);
    for (let cpu = 0; cpu < this.machine.cpus; cpu++) {
      const value = values.subarray(cpu * stride, (cpu + 1) * stride);
      value.set(this.machine.memory.window(place(cpu), stride));
      maskFields(this.fields, value);
    }
    return values;
  }

  /** Takes the values of all CPUs from user space, with what is between them. */
  protected writePercpu(values: Uint8Array, place: (cpu: number) => Addr): void {
    const { memory, cpus } = this.machine;
    const stride = roundUp8(this.shape.valueSize);
    for (let cpu = 0; cpu < cpus; cpu++) {
      const from = values.subarray(cpu * stride, (cpu + 1) * stride);
      if (this.fields.length === 0) memory.write(place(cpu), from);
      else copyAroundFields(memory, this.fields, place(cpu), this.valueIn(from), stride);
    }
  }

  /** Copies a value into its place in the map; the special fields there stay as they are. */
  protected storeValue(to: Addr, from: Addr): void {
    copyAroundFields(this.machine.memory, this.fields, to, from, this.shape.valueSize);
  }

  /** Lets go of what the special fields of a value hold. */
  protected releaseValue(value: Addr): void {
    if (this.fields.length > 0) releaseFields(this.machine, this.fields, value);
  }
}

/** Flags as functions in WebAssembly take them: what does not fit is too large for any map. */
export function narrow(flags: number): number {
  return Math.min(flags, 0x7fff_ffff);
}

export function roundUp8(size: number): number {
  return Math.ceil(size / 8) * 8;
}
