/** Loads and stores of a context, by the program type's field table: what each reaches in the kernel's object. */
import type { Size } from '../../isa/index.ts';
import type { AttachType } from '../../sys/tables.ts';
import type { Memory } from '../memory/index.ts';
import type { ContextField, ContextStruct, FieldCapability } from '../programs/index.ts';
import { locate, type Place, resolvePath } from './path.ts';

export interface FieldAccess {
  readonly field: ContextField;
  readonly place: Place;
  /** Bytes from the field's start. */
  readonly delta: number;
  /** Of a store: only values below this one are taken. */
  readonly below?: number;
}

/** The largest queue number that a store may set: the value behind it means that none is set. */
const NO_QUEUE_MAPPING = 0xffff;

/** Stores whose value Linux looks at before it takes it: by field, the first value that it does not take. */
const STORE_BELOW: Readonly<Record<string, number>> = { queue_mapping: NO_QUEUE_MAPPING };

/** The table of one program type and attach type. It holds no object: one serves any number of them. */
export class FieldView {
  readonly size: number;
  readonly #struct: ContextStruct;
  readonly #attach: AttachType | undefined;
  readonly #caps: ReadonlySet<FieldCapability>;
  /** By `offset * 16 + size`; `null` is not allowed. */
  readonly #reads = new Map<number, FieldAccess | null>();
  readonly #writes = new Map<number, FieldAccess | null>();
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

  /** What a load or store reaches, or `undefined` where the table does not allow it. */
  access(kind: 'read' | 'write', offset: number, size: Size): FieldAccess | undefined {
    const known = kind === 'read' ? this.#reads : this.#writes;
    const key = offset * 16 + size;
    let access = known.get(key);
    if (access === undefined) {
      access = this.#resolve(kind, offset, size);
      known.set(key, access);
    }
    return access ?? undefined;
  }

  /** The value of a load, or `undefined` where the table does not allow it. A packet pointer comes whole. */
  read(memory: Memory, object: number, offset: number, size: Size): bigint | undefined {
    const access = this.access('read', offset, size);
    if (access === undefined) return undefined;
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
    const access = this.access('write', offset, size);
    if (access === undefined) return false;
    const { place, delta, below } = access;
    const addr = locate(memory, object, place);
    if (addr === 0 || (below !== undefined && value >= BigInt(below))) return true;
    writeSized(memory, addr + delta, Math.min(size, place.size) as Size, value);
    return true;
  }

  #resolve(kind: 'read' | 'write', offset: number, size: Size): FieldAccess | null {
    const found = this.#struct.access(kind, offset, size, this.#attach, this.#caps);
    if (found === undefined || !('name' in found)) return null;
    const { kernelObject } = this.#struct;
    if (found.reads === undefined || kernelObject === undefined) return null;
    let place = this.#places.get(found.name);
    if (!place) {
      place = resolvePath(kernelObject, found.reads);
      this.#places.set(found.name, place);
    }
    const below = kind === 'write' ? STORE_BELOW[found.name] : undefined;
    // Linux takes a part out only of what is larger than the load: a load of the upper half of a field whose value is a
    // half word yields that value. @see kernel/bpf/verifier.c, convert_ctx_accesses
    const whole = kind === 'read' && place.derive === 'value' && size >= place.size;
    const delta = whole ? 0 : offset - found.offset;
    return { field: found, place, delta, ...(below !== undefined && { below }) };
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
