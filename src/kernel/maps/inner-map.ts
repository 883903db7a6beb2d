/** Maps of maps: which inner maps fit, by the one that was given at creation. */
import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, type Mapping, NULL } from '../memory/index.ts';
import { type FieldRecord, NO_FIELDS } from '../objects/field-record.ts';
import {
  ARRAY_HEADER,
  ARRAY_VALUES,
  HASH_MAX_ENTRIES,
  KIND_ARRAY_OF_MAPS,
  MAP_KIND,
} from '../wasm/assembly/layout.ts';
import { u32, u32Bytes } from './array.ts';
import { genericBatchRead } from './batch.ts';
import { type Check, checkValueSize, first, type Refusal, refuse } from './checks.ts';
import { mapTypeFacts } from './facts.ts';
import { checkHash, HashMap } from './hash.ts';
import type { Elem } from './hash-table.ts';
import {
  type BatchRead,
  BpfMap,
  errno,
  type MapHost,
  type MapShape,
  type NativeOperations,
  type Status,
  type SysValue,
} from './map.ts';
import { ObjectArray } from './object-array.ts';

/** Why a map can't be the pattern of inner maps. */
export function checkPattern(pattern: BpfMap): Refusal | undefined {
  const { type } = pattern.shape;
  if (pattern instanceof ArrayOfMaps || pattern instanceof HashOfMaps) {
    return refuse('EINVAL', `the inner map is itself a ${type}, and maps nest only once`);
  }
  if (mapTypeFacts(type)?.inner !== 'no') return undefined;
  return refuse('ENOTSUPP', `a ${type} map can't be an inner map`);
}

export const checkHashOfMaps: Check = (shape, context) =>
  first(checkHash(shape, context), checkValueSize(shape, 4));

/** Whether a map can stand where programs were verified against the pattern. */
function fits(pattern: MapShape, shape: MapShape): boolean {
  const same =
    pattern.type === shape.type &&
    pattern.keySize === shape.keySize &&
    pattern.valueSize === shape.valueSize &&
    pattern.flags === shape.flags &&
    sameFields(pattern.fields ?? NO_FIELDS, shape.fields ?? NO_FIELDS);
  // Programs index an array without asking for its size, unless it says that the size may differ.
  const sized = mapTypeFacts(shape.type)?.inner === 'same size';
  const free = (pattern.flags & MAP_CREATE_FLAGS.BPF_F_INNER_MAP) !== 0;
  return same && (!sized || free || pattern.maxEntries === shape.maxEntries);
}

function sameFields(a: FieldRecord, b: FieldRecord): boolean {
  return (
    a.length === b.length && a.every(({ kind, offset }, i) => b[i]!.kind === kind && b[i]!.offset === offset)
  );
}

function admit(host: MapHost, pattern: MapShape, fd: number): BpfMap | Status {
  const object = host.objectAt(fd);
  if (object === undefined) return errno('EBADF');
  return object instanceof BpfMap && fits(pattern, object.shape) ? object : errno('EINVAL');
}

export class ArrayOfMaps extends ObjectArray<BpfMap> {
  readonly pattern: MapShape;
  override readonly batches = { lookup: true, update: true } as const;

  /** Addresses of the inner maps, for programs. */
  readonly #addresses: Addr;

  constructor(host: MapHost, shape: MapShape, pattern: MapShape) {
    super(host, shape);
    this.pattern = pattern;
    const { memory } = host;
    const words: Mapping = { kind: 'kernel', owner: this.label, access: 'none' };
    this.#addresses = memory.allocate(4 * shape.maxEntries, words);
    memory.writeU32(this.addr + MAP_KIND, KIND_ARRAY_OF_MAPS);
    memory.writeU32(this.addr + ARRAY_VALUES, this.#addresses);
    memory.writeU32(this.addr + HASH_MAX_ENTRIES, shape.maxEntries);
    this.onChange = (index, map) => memory.writeU32(this.#addresses + 4 * index, map?.addr ?? NULL);
  }

  protected override get headerSize(): number {
    return ARRAY_HEADER;
  }

  override get native(): NativeOperations {
    return { lookup: { name: 'array_lookup_inner' } };
  }

  override destroy(): void {
    super.destroy();
    this.machine.memory.free(this.#addresses);
  }

  protected admit(fd: number): BpfMap | Status {
    return admit(this.host, this.pattern, fd);
  }

  override lookup(key: Addr): Addr {
    const { memory } = this.machine;
    return (memory.native.functions.array_lookup_inner(this.addr, key) >>> 0) as Addr;
  }

  override batchRead(cursor: Uint8Array | undefined, count: number): BatchRead {
    return genericBatchRead(this, cursor, count);
  }
}

/** Its values in memory are the inner maps' addresses. */
export class HashOfMaps extends HashMap {
  readonly host: MapHost;
  readonly pattern: MapShape;

  constructor(host: MapHost, shape: MapShape, pattern: MapShape) {
    super(host, shape);
    this.host = host;
    this.pattern = pattern;
  }

  /** Programs look inner maps up, and do nothing else. */
  override get native(): NativeOperations {
    return { lookup: { name: 'hash_lookup_inner' } };
  }

  override lookup(key: Addr): Addr {
    return (this.functions.hash_lookup_inner(this.addr, key) >>> 0) as Addr;
  }

  override update(_key: Addr, _value: Addr, _flags: number): Status {
    return errno('EINVAL');
  }

  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    const inner = admit(this.host, this.pattern, u32(value));
    if (typeof inner === 'number') return inner;
    inner.hold();
    const status = super.update(this.keyIn(key), this.valueIn(u32Bytes(inner.addr)), flags);
    if (status !== 0) inner.release();
    return status;
  }

  #inner(elem: Elem): BpfMap | undefined {
    return this.host.mapAt(this.machine.memory.readU32(this.table.value(elem)) as Addr);
  }

  protected override elemValue(elem: Elem): Uint8Array<ArrayBuffer> {
    return u32Bytes(this.#inner(elem)?.id ?? 0);
  }

  protected override get releases(): boolean {
    return true;
  }

  protected override releaseElem(elem: Elem): void {
    const inner = this.#inner(elem);
    if (inner) this.machine.grace.after(() => inner.release());
  }

  override sysLookupAndDelete(_key: Uint8Array, _flags: number): SysValue {
    return errno('ENOTSUPP');
  }
}
