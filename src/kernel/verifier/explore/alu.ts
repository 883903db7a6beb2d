/**
 * Arithmetic instructions: which operands are allowed, and what the result is. Scalars go by the value domain,
 * pointers by `alu-pointer.ts`, moves by `alu-mov.ts`.
 */
import type { AluOp, Insn } from '../../../isa/insn.ts';
import { ALU } from '../../../isa/opcodes.ts';
import { alu, negate } from '../value/alu.ts';
import { swapBytes } from '../value/endian.ts';
import { Scalar } from '../value/scalar.ts';
import { checkMov, checkMovsx, clearScalarId, constantOperand } from './alu-mov.ts';
import { checkPointerAlu } from './alu-pointer.ts';
import { sanitizeScalarAlu } from './alu-speculation.ts';
import { markRegPrecise } from './backtrack.ts';
import type { Explorer } from './explorer.ts';
import { checkInvariants } from './invariants.ts';
import { ADD_CONST32, ADD_CONST64 } from './linked.ts';
import { pointerReg, type RegState, scalarReg } from './reg.ts';
import { PTR_TO_ARENA, SCALAR } from './reg-type.ts';
import { checkWritable, isPointer, readReg } from './regs.ts';

type AluInsn = Extract<Insn, { kind: 'alu' | 'neg' | 'movsx' | 'addr_space_cast' | 'endian' }>;
type Binary = Extract<Insn, { kind: 'alu' }>;

const UNKNOWN = scalarReg();

export function checkAlu(ex: Explorer, insn: AluInsn): void {
  switch (insn.kind) {
    case 'alu':
      if (insn.op === 'mov') checkMov(ex, insn);
      else checkBinary(ex, insn);
      break;
    case 'movsx':
      checkMovsx(ex, insn);
      break;
    case 'neg':
    case 'endian':
      checkUnary(ex, insn);
      break;
    case 'addr_space_cast':
      castAddressSpace(ex, insn);
      break;
  }
  checkInvariants(ex, insn.dst, 'alu');
}

function checkUnary(ex: Explorer, insn: Extract<Insn, { kind: 'neg' | 'endian' }>): void {
  const reg = readReg(ex, insn.dst);
  if (isPointer(ex.caps.allowPtrLeaks, reg)) {
    ex.refuse('pointer-arithmetic', `R${insn.dst} pointer arithmetic prohibited`, {
      reason: `r${insn.dst} holds an address, which can't be ${insn.kind === 'neg' ? 'negated' : 'swapped'}`,
    });
  }
  checkWritable(ex, insn.dst);
  const { regs } = ex.state.frame();
  if (reg.type !== SCALAR) {
    regs[insn.dst] = UNKNOWN;
    return;
  }
  const scalar =
    insn.kind === 'neg' ? negate(insn.width, reg.scalar) : swapBytes(insn.order, insn.bits, reg.scalar);
  regs[insn.dst] = scalarReg(scalar);
}

/** An arena's addresses as the program counts them (space 1) and as the kernel does (space 0). */
function castAddressSpace(ex: Explorer, insn: Extract<Insn, { kind: 'addr_space_cast' }>): void {
  if (!ex.draft.maps.some((map) => map.type === 'arena')) {
    const problem = 'addr_space_cast insn can only be used in a program that has an associated arena';
    ex.refuse('no-arena', problem, { reason: 'the program names no map of type arena' });
  }
  readReg(ex, insn.src);
  checkWritable(ex, insn.dst);
  ex.state.frame().regs[insn.dst] = insn.dstAs === 0 && insn.srcAs === 1 ? pointerReg(PTR_TO_ARENA) : UNKNOWN;
}

function checkBinary(ex: Explorer, insn: Binary): void {
  const frame = ex.state.frame();
  const { op, width, dst } = insn;
  let src: RegState;
  if (insn.src.kind === 'reg') {
    src = readReg(ex, insn.src.reg);
    readReg(ex, dst);
  } else {
    readReg(ex, dst);
    checkImmediate(ex, op, width, insn.src.imm);
    src = constantOperand(ex, insn.src.imm, 64);
  }
  checkWritable(ex, dst);
  const before = frame.reg(dst);
  if (before.type === SCALAR && src.type === SCALAR) {
    checkScalars(ex, insn, before, src);
    return;
  }
  if (before.type === PTR_TO_ARENA || src.type === PTR_TO_ARENA) {
    if (before.type !== PTR_TO_ARENA) frame.regs[dst] = src;
    return;
  }
  if (src.type === SCALAR) {
    // Pointer and scalar.
    if (insn.src.kind === 'reg') markRegPrecise(ex, insn.src.reg);
    checkPointerAlu(ex, insn, before, src, true);
    return;
  }
  if (before.type === SCALAR) {
    markRegPrecise(ex, dst);
    checkPointerAlu(ex, insn, src, before, false);
    return;
  }
  if (op === 'sub' && ex.caps.allowPtrLeaks) {
    frame.regs[dst] = UNKNOWN;
    return;
  }
  ex.refuse('pointer-arithmetic', `R${dst} pointer ${operator(op)} pointer prohibited`, {
    reason: 'both operands are addresses; of two addresses only the difference means something',
  });
}

/** The operator in the log, which does not tell signed divisions apart. */
export function operator(op: AluOp): string {
  return op === 'sdiv' ? ALU.div.symbol : op === 'smod' ? ALU.mod.symbol : ALU[op].symbol;
}

function checkImmediate(ex: Explorer, op: AluOp, width: 32 | 64, imm: number): void {
  switch (op) {
    case 'div':
    case 'mod':
    case 'sdiv':
    case 'smod':
      if (imm === 0) {
        ex.refuse('division-by-zero', 'div by zero', { reason: 'the divisor is the constant 0' });
      }
      return;
    case 'lsh':
    case 'rsh':
    case 'arsh':
      if (imm < 0 || imm >= width) {
        ex.refuse('bad-shift', `invalid shift ${imm}`, {
          reason: `a ${width}-bit value can be shifted by 0 to ${width - 1} bits`,
        });
      }
      return;
    default:
  }
}

function checkScalars(ex: Explorer, insn: Binary, before: RegState, src: RegState): void {
  const { op, width, dst } = insn;
  const { regs } = ex.state.frame();
  if (op === 'add' || op === 'sub') sanitizeScalarAlu(ex, insn);
  let from = before.scalar;
  if ((op === 'and' || op === 'or') && src.scalar.isConst) from = splitMask(ex, dst, from);
  const result = scalarReg(alu(op, width, from, src.scalar));
  regs[dst] = result;
  if (before.id === 0 || (op !== 'add' && op !== 'sub') || before.linkedAdd !== 0 || !ex.caps.bpf) return;
  if (insn.src.kind === 'reg' && insn.src.reg === dst) return;
  const add = addedConstant(op, width, src.scalar);
  if (add === undefined) return;
  // A 32-bit addition is one to the whole value only where that fits 32 bits.
  if (width === 32 && from.umaxHi !== 0) return;
  result.id = before.id;
  result.off = add;
  result.linkedAdd = width === 64 ? ADD_CONST64 : ADD_CONST32;
}

/** The constant that an addition or subtraction adds, if it is one that fits 32 bits. */
function addedConstant(op: 'add' | 'sub', width: 32 | 64, src: Scalar): number | undefined {
  if (width === 64) {
    if (!src.isConst || src.valueHi !== src.valueLo >> 31) return undefined;
  } else if (!src.isConst32) {
    return undefined;
  }
  const value = src.valueLo;
  if (op === 'add') return value;
  return value === -0x80000000 ? undefined : -value;
}

/**
 * A value that is 0 or -1, as comparisons leave it, is usually ANDed or ORed with a constant next. The two cases are
 * explored apart, so that the result is known in both.
 *
 * @returns the value on the path that goes on here: -1
 */
function splitMask(ex: Explorer, dst: number, scalar: Scalar): Scalar {
  if (scalar.sminHi === -1 && scalar.sminLo === -1 && (scalar.smaxHi | scalar.smaxLo) === 0) {
    const other = ex.fork(ex.insnIdx, ex.insnIdx).frame().own(dst);
    other.scalar = Scalar.ZERO;
    clearScalarId(other);
    return Scalar.known(-1, -1);
  }
  if (scalar.s32min === -1 && scalar.s32max === 0) {
    const zero = scalar.copy();
    zero.setKnown32(0);
    ex.fork(ex.insnIdx, ex.insnIdx).frame().own(dst).scalar = zero;
    const ones = scalar.copy();
    ones.setKnown32(-1);
    return ones;
  }
  return scalar;
}
