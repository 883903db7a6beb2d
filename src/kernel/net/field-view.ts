/** Loads and stores of a context, by the program type's field table: what each reaches in the kernel's object. */
import type { Size } from '../../isa/index.ts';
import type { AttachType } from '../../sys/tables.ts';
import type { Memory } from '../memory/index.ts';
import type { ContextField, ContextStruct, FieldCapability } from '../programs/index.ts';
import { locate, type Place, resolvePath } from './path.ts';

interface Access {
  readonly field: ContextField;
  readonly place: Place;
  /** Bytes from the field's start. */
  readonly delta: number;
}

/** The largest queue number that a store may set: the value behind it means that none is set. */
const NO_QUEUE_MAPPING = 0xffff;

/** Stores whose value Linux looks at before it takes it. */
const STORE_GUARDS: Readonly<Record<string, (value: bigint) => boolean>> = {
  queue_mapping: (value) => value < BigInt(NO_QUEUE_MAPPING),
};

/** The table of one program type and attach type. It holds no object: one serves any number of them. */
export class FieldView {
  readonly size: number;
  readonly #struct: ContextStruct;
  readonly #attach: AttachType | undefined;
  readonly #caps: ReadonlySet<FieldCapability>;
  /** By `offset * 16 + size`; `null` is not allowed. */
  readonly #reads = new Map<number, Access | null>();
  readonly #writes = new Map<number, Access | null>();
  readonly #places = new Map<string, Place>();

  constructor(
    struct: ContextStruct,
    attach: AttachType | undefined,
    caps: ReadonlySet<FieldCapability> = new Set(['bpf', 'perfmon']),
  ) {
    this.size = struct.size;
    this.#struct = struct;
    this.#attach = attach;
    this.#caps = caps;
  }

  /** The value of a load, or `undefined` where the table does not allow it. A packet pointer comes whole. */
  read(memory: Memory, object: number, offset: number, size: Size): bigint | undefined {
    const key = offset * 16 + size;
    let access = this.#reads.get(key);
    if (access === undefined) {
      access = this.#resolve('read', offset, size);
      this.#reads.set(key, access);
    }
    if (access === null) return undefined;
    const { field, place, delta } = access;
    const addr = locate(memory, object, place);
    if (addr === 0) return 0n;
    if (field.value !== 'scalar') return memory.readU64(addr);
    if (place.derive === 'value' && place.size >= field.size) return readSized(memory, addr + delta, size);
    const value = readSized(memory, addr, Math.min(place.size, 8) as Size);
    const derived = derive(value, place.derive);
    return BigInt.asUintN(size * 8, derived >> BigInt(delta * 8));
  }

  /** False where the table does not allow the store. */
  write(memory: Memory, object: number, offset: number, size: Size, value: bigint): boolean {
    const key = offset * 16 + size;
    let access = this.#writes.get(key);
    if (access === undefined) {
      access = this.#resolve('write', offset, size);
      this.#writes.set(key, access);
    }
    if (access === null) return false;
    const { field, place, delta } = access;
    const addr = locate(memory, object, place);
    if (addr === 0 || STORE_GUARDS[field.name]?.(value) === false) return true;
    writeSized(memory, addr + delta, Math.min(size, place.size) as Size, value);
    return true;
  }

  #resolve(kind: 'read' | 'write', offset: number, size: Size): Access | null {
    const found = this.#struct.access(kind, offset, size, this.#attach, this.#caps);
    if (found === undefined || !('name' in found)) return null;
    const { kernelObject } = this.#struct;
    if (found.reads === undefined || kernelObject === undefined) return null;
    let place = this.#places.get(found.name);
    if (!place) {
      place = resolvePath(kernelObject, found.reads);
      this.#places.set(found.name, place);
    }
    return { field: found, place, delta: offset - found.offset };
  }
}

function derive(value: bigint, how: Place['derive']): bigint {
  if (how === 'value') return value;
  if (how === 'nonzero') return value === 0n ? 0n : 1n;
  return value << BigInt(how.shift);
}

function readSized({ view }: Memory, addr: number, size: Size): bigint {
  switch (size) {
    case 1:
      return BigInt(view.getUint8(addr));
    case 2:
      return BigInt(view.getUint16(addr, true));
    case 4:
      return BigInt(view.getUint32(addr, true));
    case 8:
      return view.getBigUint64(addr, true);
  }
}

function writeSized({ view }: Memory, addr: number, size: Size, value: bigint) {
  switch (size) {
    case 1:
      return view.setUint8(addr, Number(value & 0xffn));
    case 2:
      return view.setUint16(addr, Number(value & 0xffffn), true);
    case 4:
      return view.setUint32(addr, Number(BigInt.asUintN(32, value)), true);
    case 8:
      return view.setBigUint64(addr, value, true);
  }
}
