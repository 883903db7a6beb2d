export {
  type Decoded,
  decode,
  decodeSlot,
  decodeValid,
  type Problem,
  type ProblemCode,
  type SlotProblem,
} from './decode.ts';
export { encode, encodeSlots } from './encode.ts';
export type {
  AluOp,
  AtomicOp,
  CallTarget,
  Imm64,
  Insn,
  InsnIdx,
  InsnKind,
  JmpOp,
  Operand,
  Reg,
  Size,
  Width,
} from './insn.ts';
export { slots } from './insn.ts';
export { readSlot, SLOT_SIZE, type Slot, slotCount, writeSlot } from './slot.ts';
