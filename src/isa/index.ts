/** The instruction set: decode, encode, assemble and disassemble. Pure; runs in a browser. */
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
export { type KernelNames, kernelInsn, kernelText } from './kernel-notation.ts';
export { type ListingLine, type ListingOptions, type ListingSymbol, listing } from './listing.ts';
export { assembleLlvm } from './llvm-asm.ts';
export { jumpTarget, LLVM_STYLE, type LlvmStyle, toLlvm } from './llvm-disasm.ts';
export { assembleMnemonic } from './mnemonic-asm.ts';
export { toMnemonic } from './mnemonic-disasm.ts';
export { type Origin, origin } from './origin.ts';
export type { AsmOptions, Assembly } from './parser.ts';
export { readSlot, SLOT_SIZE, type Slot, slotCount, writeSlot } from './slot.ts';
export { xlatedInsn, xlatedSlots } from './xlated.ts';
