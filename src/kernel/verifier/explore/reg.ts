/**
 * The abstract value of one register or spilled stack slot.
 *
 * Records are immutable once they stand in a {@link Frame}: states share them, so copying a state copies references
 * and two states that hold the same record need no comparison. To change one, `clone` it, change the clone and put
 * the clone in its place. Whether a scalar's exact value matters (precision) belongs to the state, not to the
 * value: see `Frame.preciseRegs`.
 */
import type { Btf, BtfTypeId } from '../../../btf/index.ts';
import type { MapFacts } from '../environment.ts';
import { equals, Scalar } from '../value/scalar.ts';
import { CONST_PTR_TO_DYNPTR, NOT_INIT, type RegType, SCALAR } from './reg-type.ts';

/** Bytes known to lie behind a packet pointer are at most this; larger variable offsets are not trusted. */
export const MAX_PACKET_OFF = 0xffff;

/** What is known of a dynptr that a register points to or a stack slot is part of. */
export interface DynptrState {
  /** One of the `DYNPTR_TYPE_*` flags. */
  readonly type: number;
  /** The slot at the lower address of the two that a dynptr takes. */
  readonly firstSlot: boolean;
}

/** What is known of an open-coded iterator that a stack slot is the first part of. */
export interface IterState {
  readonly btf: Btf;
  readonly btfId: BtfTypeId;
  readonly state: 'active' | 'drained';
  /** Iterations unrolled on this path. */
  readonly depth: number;
}

/** What is known of saved interrupt flags in a stack slot. */
export interface IrqState {
  readonly kfuncClass: 'native' | 'lock';
}

/** What a pointer points into, as far as its type says; each field is read for the types named. */
export class RegState {
  type: RegType = NOT_INIT;
  /** Pointers: the constant part of the offset, in bytes, signed 32-bit. */
  off = 0;
  /** Scalars: the value. Pointers: the variable part of the offset. */
  scalar: Scalar = Scalar.ZERO;
  /** Scalars: registers with the same id hold the same value. Pointers: the same object, or the same null check. */
  id = 0;
  /** The acquired reference that this pointer was derived from; 0 for none. */
  refObjId = 0;
  /** Packet pointers: bytes behind the pointer that were compared with the packet's end. */
  range = 0;
  /** Memory and dynptr slices: size in bytes. */
  memSize = 0;
  /** Memory: id of the dynptr that it is a slice of; 0 for none. */
  dynptrId = 0;
  /** Map pointers and map values. */
  map: MapFacts | null = null;
  /** Which run-time instance of an inner map; 0 for maps that the program names. */
  mapUid = 0;
  /** BTF pointers. */
  btf: Btf | null = null;
  btfId: BtfTypeId = 0 as BtfTypeId;
  dynptr: DynptrState | null = null;
  iter: IterState | null = null;
  irq: IrqState | null = null;
  /** Functions: index of the subprogram. */
  subprog = 0;
  /** Stack pointers: index of the frame pointed into. */
  frameno = 0;
  /** A scalar linked to others by `id` with a constant difference in `off`: bits 1 (64-bit add) and 2 (32-bit add). */
  linkedAdd = 0;

  /** The same facts, ids included. */
  sameValue(other: RegState): boolean {
    return (
      this === other ||
      (this.type === other.type &&
        this.off === other.off &&
        equals(this.scalar, other.scalar) &&
        this.id === other.id &&
        this.refObjId === other.refObjId &&
        this.range === other.range &&
        this.memSize === other.memSize &&
        this.dynptrId === other.dynptrId &&
        this.map === other.map &&
        this.mapUid === other.mapUid &&
        this.btf === other.btf &&
        this.btfId === other.btfId &&
        this.subprog === other.subprog &&
        this.frameno === other.frameno)
    );
  }

  clone(): RegState {
    const copy = new RegState();
    copy.type = this.type;
    copy.off = this.off;
    copy.scalar = this.scalar;
    copy.id = this.id;
    copy.refObjId = this.refObjId;
    copy.range = this.range;
    copy.memSize = this.memSize;
    copy.dynptrId = this.dynptrId;
    copy.map = this.map;
    copy.mapUid = this.mapUid;
    copy.btf = this.btf;
    copy.btfId = this.btfId;
    copy.dynptr = this.dynptr;
    copy.iter = this.iter;
    copy.irq = this.irq;
    copy.subprog = this.subprog;
    copy.frameno = this.frameno;
    copy.linkedAdd = this.linkedAdd;
    return copy;
  }
}

/** A register that was never written. */
export const UNINIT: RegState = new RegState();

/** A scalar of which nothing but what `scalar` says is known. */
export function scalarReg(scalar: Scalar = Scalar.UNKNOWN, id = 0): RegState {
  const reg = new RegState();
  reg.type = SCALAR;
  reg.scalar = scalar;
  reg.id = id;
  return reg;
}

/** A pointer of a type that needs no further facts. */
export function pointerReg(type: RegType, off = 0): RegState {
  const reg = new RegState();
  reg.type = type;
  reg.off = off;
  return reg;
}

export function dynptrReg(dynptr: DynptrState, id: number, refObjId: number): RegState {
  const reg = pointerReg(CONST_PTR_TO_DYNPTR);
  reg.dynptr = dynptr;
  reg.id = id;
  reg.refObjId = refObjId;
  return reg;
}
