/** Moves: copies of values, which stay linked to what they were copied from as long as both are the same number. */
import type { Insn } from '../../../isa/insn.ts';
import { Scalar } from '../value/scalar.ts';
import type { Explorer } from './explorer.ts';
import type { Frame } from './frame.ts';
import { type RegState, scalarReg } from './reg.ts';
import { SCALAR } from './reg-type.ts';
import { checkWritable, isPointer, readReg } from './regs.ts';

type Alu = Extract<Insn, { kind: 'alu' }>;
type Movsx = Extract<Insn, { kind: 'movsx' }>;

/** A 64-bit value of which nothing is known, and the same zero-extended from 32 bits. */
const UNKNOWN = scalarReg();
const UNKNOWN_32 = scalarReg(zeroExtended(Scalar.UNKNOWN));

/** The immediate operand of the current instruction as a value. @param width a 32-bit move zero-extends */
export function constantOperand(ex: Explorer, imm: number, width: 32 | 64): RegState {
  const aux = ex.aux[ex.insnIdx]!;
  aux.constant ??= scalarReg(width === 32 ? Scalar.known(0, imm) : Scalar.knownImm(imm));
  return aux.constant;
}

/** The value is no longer known to be related to others. */
export function clearScalarId(reg: RegState): void {
  reg.id = 0;
  reg.off = 0;
  reg.linkedAdd = 0;
}

/**
 * Prepares a register for being copied: a scalar gets an id, by which the copy will be known to be the same number.
 *
 * @returns the register as it is now
 */
export function linkForCopy(ex: Explorer, frame: Frame, regno: number): RegState {
  const reg = frame.reg(regno);
  const linked = linkedForCopy(ex, reg);
  if (linked !== reg) frame.regs[regno] = linked;
  return linked;
}

/** As {@link linkForCopy} for a value wherever it stands. */
function linkedForCopy(ex: Explorer, reg: RegState): RegState {
  if (reg.type !== SCALAR) return reg;
  const constant = reg.scalar.isConst;
  if (reg.linkedAdd === 0 && (reg.id !== 0 || constant)) return reg;
  const linked = reg.clone();
  if (linked.linkedAdd !== 0) clearScalarId(linked);
  if (linked.id === 0 && !constant) linked.id = ex.newId();
  return linked;
}

/** Bits that are needed for the greatest value that the scalar may have. */
export function fitsBits(scalar: Scalar, bits: number): boolean {
  if (bits >= 64) return true;
  if (scalar.umaxHi !== 0) return false;
  return bits >= 32 || scalar.umaxLo >>> bits === 0;
}

/** What a 32-bit move leaves: the low half, zero-extended. */
export function zeroExtended(scalar: Scalar): Scalar {
  if (scalar.isConst && scalar.valueHi === 0) return scalar;
  const low = scalar.copy();
  low.zeroExtend32();
  return low.sync();
}

export function checkMov(ex: Explorer, insn: Alu): void {
  const frame = ex.state.frame();
  if (insn.src.kind === 'imm') {
    checkWritable(ex, insn.dst);
    frame.regs[insn.dst] = constantOperand(ex, insn.src.imm, insn.width);
    return;
  }
  const regno = insn.src.reg;
  const src = readReg(ex, regno);
  checkWritable(ex, insn.dst);
  if (insn.width === 64) {
    frame.regs[insn.dst] = linkForCopy(ex, frame, regno);
    return;
  }
  if (isPointer(ex.caps.allowPtrLeaks, src)) partial(ex, `R${regno} partial copy of pointer`, regno);
  if (src.type !== SCALAR) {
    frame.regs[insn.dst] = UNKNOWN_32;
    return;
  }
  const same = src.scalar.umaxHi === 0;
  const from = same ? linkForCopy(ex, frame, regno) : src;
  const scalar = zeroExtended(from.scalar);
  if (same && scalar === from.scalar) {
    frame.regs[insn.dst] = from;
    return;
  }
  const copy = from.clone();
  copy.scalar = scalar;
  if (!same) clearScalarId(copy);
  frame.regs[insn.dst] = copy;
}

export function checkMovsx(ex: Explorer, insn: Movsx): void {
  const frame = ex.state.frame();
  const src = readReg(ex, insn.src);
  checkWritable(ex, insn.dst);
  if (isPointer(ex.caps.allowPtrLeaks, src)) {
    const what = insn.width === 64 ? 'sign-extension part of pointer' : 'partial copy of pointer';
    partial(ex, `R${insn.src} ${what}`, insn.src);
  }
  if (src.type !== SCALAR) {
    frame.regs[insn.dst] = insn.width === 64 ? UNKNOWN : UNKNOWN_32;
    return;
  }
  // Where the sign bit is clear the extension changes nothing.
  const same = fitsBits(src.scalar, insn.bits - 1);
  const copy = (same ? linkForCopy(ex, frame, insn.src) : src).clone();
  if (!same) clearScalarId(copy);
  copy.scalar =
    insn.width === 64 ? src.scalar.signExtend64(insn.bits) : src.scalar.signExtend32(insn.bits as 8 | 16);
  frame.regs[insn.dst] = copy;
}

function partial(ex: Explorer, problem: string, regno: number): never {
  ex.refuse('pointer-leak', problem, {
    reason: `r${regno} holds an address, and a part of it would be a number that tells where things are in the kernel`,
    hint: 'copy the whole register, or load the program with CAP_PERFMON',
  });
}
