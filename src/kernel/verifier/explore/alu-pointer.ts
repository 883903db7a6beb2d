/** Pointer arithmetic: adding to and subtracting from addresses, within limits that keep offsets from overflowing. */
import type { Insn } from '../../../isa/insn.ts';
import { alu } from '../value/alu.ts';
import type { Scalar } from '../value/scalar.ts';
import { toBigInt } from '../value/wide.ts';
import { MAX_VAR_OFF } from './access-region.ts';
import { operator } from './alu.ts';
import { checkSanitizedBounds, sanitizedLimit, sanitizePointerAlu, without32 } from './alu-speculation.ts';
import type { Explorer } from './explorer.ts';
import { type RegState, scalarReg } from './reg.ts';
import {
  baseType,
  CONST_PTR_TO_DYNPTR,
  CONST_PTR_TO_MAP,
  mayBeNull,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_CTX,
  PTR_TO_FLOW_KEYS,
  PTR_TO_FUNC,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_STACK,
  PTR_TO_TP_BUFFER,
  PTR_UNTRUSTED,
  regTypeName,
} from './reg-type.ts';

type Binary = Extract<Insn, { kind: 'alu' }>;

const UNKNOWN = scalarReg();

/**
 * `pointer op scalar`, or `scalar op pointer` where `pointerIsDst` is false.
 *
 * @param off the scalar operand
 */
export function checkPointerAlu(
  ex: Explorer,
  insn: Binary,
  ptr: RegState,
  off: RegState,
  pointerIsDst: boolean,
): void {
  const { op, dst } = insn;
  const frame = ex.state.frame();
  const value = off.scalar;
  if (value.isContradictory) {
    frame.regs[dst] = UNKNOWN;
    return;
  }
  if (insn.width === 32) {
    if (op === 'sub' && ex.caps.allowPtrLeaks) {
      frame.regs[dst] = UNKNOWN;
      return;
    }
    ex.refuse('pointer-arithmetic', `R${dst} 32-bit pointer arithmetic prohibited`, {
      reason: 'addresses are 64 bits wide, and a 32-bit operation cuts them',
      hint: 'do the arithmetic on the offset first and add it with a 64-bit operation',
    });
  }
  checkKind(ex, insn, ptr, value);
  frame.regs[dst] = ptr;
  if (baseType(ptr.type) === PTR_TO_MEM && (ptr.type & PTR_UNTRUSTED) !== 0) return;
  checkOffset(ex, off, ptr.type);
  checkOffset(ex, ptr, ptr.type);

  const additive = op === 'add' || op === 'sub';
  const limit = additive ? sanitizePointerAlu(ex, insn, ptr, value, pointerIsDst) : undefined;
  let result: RegState;
  switch (op) {
    case 'add':
      result = addTo(ex, ptr, value);
      break;
    case 'sub':
      result = subtractFrom(ex, insn, ptr, value, pointerIsDst);
      break;
    case 'and':
    case 'or':
    case 'xor':
      ex.refuse('pointer-arithmetic', `R${dst} bitwise operator ${operator(op)} on pointer prohibited`, {
        reason: `r${dst} holds an address, of which the bits are not known`,
      });
      break;
    default:
      ex.refuse('pointer-arithmetic', `R${dst} pointer arithmetic with ${operator(op)} operator prohibited`, {
        reason: 'the result would be no address',
      });
  }
  frame.regs[dst] = result;
  checkOffset(ex, result, ptr.type);
  if (ex.caps.bypassSpecV1) return;
  checkSanitizedBounds(ex, dst, result);
  if (limit !== undefined) sanitizedLimit(ex, insn, result, limit);
}

/** Kinds of pointers that arithmetic is allowed on. */
function checkKind(ex: Explorer, insn: Binary, ptr: RegState, off: Scalar): void {
  const { dst, op } = insn;
  if (mayBeNull(ptr.type)) {
    const problem = `R${dst} pointer arithmetic on ${regTypeName(ptr.type)} prohibited, null-check it first`;
    ex.refuse('pointer-arithmetic', problem, {
      reason: 'a null pointer with something added would no longer look like one',
      hint: 'compare the pointer with 0 before the arithmetic',
    });
  }
  switch (baseType(ptr.type)) {
    case PTR_TO_CTX:
    case PTR_TO_MAP_VALUE:
    case PTR_TO_MAP_KEY:
    case PTR_TO_STACK:
    case PTR_TO_PACKET_META:
    case PTR_TO_PACKET:
    case PTR_TO_TP_BUFFER:
    case PTR_TO_BTF_ID:
    case PTR_TO_MEM:
    case PTR_TO_BUF:
    case PTR_TO_FUNC:
    case CONST_PTR_TO_DYNPTR:
      return;
    case PTR_TO_FLOW_KEYS:
      if (off.isConst) return;
      break;
    case CONST_PTR_TO_MAP:
      if (off.isConstValue(0, 0) && op === 'add') return;
      break;
    default:
  }
  ex.refuse('pointer-arithmetic', `R${dst} pointer arithmetic on ${regTypeName(ptr.type)} prohibited`, {
    reason: 'a pointer of this kind must be used as it was given',
  });
}

function outside(hi: number, lo: number): boolean {
  return hi === 0 ? lo < 0 || lo >= MAX_VAR_OFF : hi !== -1 || lo >= 0 || lo <= -MAX_VAR_OFF;
}

/** The offset of a pointer, fixed and variable, or what is added to one, is within the limits. */
function checkOffset(ex: Explorer, { scalar, off }: RegState, type: number): void {
  const { sminHi, sminLo } = scalar;
  if (scalar.isConst && outside(scalar.valueHi, scalar.valueLo)) {
    const value = toBigInt(scalar.valueHi, scalar.valueLo);
    refuseOffset(ex, `math between ${regTypeName(type)} pointer and ${value} is not allowed`);
  }
  // Of a number it is what was added to the one that it is linked to, though that is in its value already.
  if (off >= MAX_VAR_OFF || off <= -MAX_VAR_OFF) {
    refuseOffset(ex, `${regTypeName(type)} pointer offset ${off} is not allowed`);
  }
  if (sminHi === -0x80000000 && sminLo === 0) {
    const problem = `math between ${regTypeName(type)} pointer and register with unbounded min value is not allowed`;
    refuseOffset(ex, problem);
  }
  if (outside(sminHi, sminLo)) {
    refuseOffset(ex, `value ${scalar.smin} makes ${regTypeName(type)} pointer be out of bounds`);
  }
}

function refuseOffset(ex: Explorer, problem: string): never {
  ex.refuse('pointer-offset', problem, {
    reason: `offsets of pointers must stay between -${MAX_VAR_OFF} and ${MAX_VAR_OFF}`,
    hint: 'check the offset against a bound, as an unsigned number, before adding it',
  });
}

function isPacket(reg: RegState): boolean {
  return reg.type === PTR_TO_PACKET || reg.type === PTR_TO_PACKET_META;
}

/** The fixed offset with a constant added, where that fits 32 bits. */
function fixedSum(off: number, sign: 1 | -1, value: Scalar): number | undefined {
  if (!value.isConst) return undefined;
  const sum = off + sign * value.constNumber();
  return sum === (sum | 0) ? sum : undefined;
}

function addTo(ex: Explorer, ptr: RegState, value: Scalar): RegState {
  const fixed = fixedSum(ptr.off, 1, value);
  const result = ptr.clone();
  if (fixed !== undefined) {
    result.off = fixed;
    if (!ex.caps.bypassSpecV1) result.scalar = synced(ptr.scalar);
    return result;
  }
  result.scalar = alu('add', 64, without32(ptr.scalar), value);
  if (isPacket(ptr)) {
    // Where it points now is not known from what was compared before.
    result.id = ex.newId();
    result.range = 0;
  }
  return result;
}

function subtractFrom(
  ex: Explorer,
  insn: Binary,
  ptr: RegState,
  value: Scalar,
  pointerIsDst: boolean,
): RegState {
  if (!pointerIsDst) {
    ex.refuse('pointer-arithmetic', `R${insn.dst} tried to subtract pointer from scalar`, {
      reason: 'a number minus an address is nothing',
    });
  }
  if (ptr.type === PTR_TO_STACK) {
    ex.refuse('pointer-arithmetic', `R${insn.dst} subtraction from stack pointer prohibited`, {
      reason: 'offsets from the frame pointer are added, as negative numbers',
      hint: 'add the negative number instead',
    });
  }
  const fixed = fixedSum(ptr.off, -1, value);
  const result = ptr.clone();
  if (fixed !== undefined) {
    result.off = fixed;
    if (!ex.caps.bypassSpecV1) result.scalar = synced(ptr.scalar);
    return result;
  }
  result.scalar = alu('sub', 64, without32(ptr.scalar), value);
  if (isPacket(ptr)) {
    result.id = ex.newId();
    // Going back leaves at least as many bytes ahead.
    if (value.sminHi < 0) result.range = 0;
  }
  return result;
}

/** The 32-bit ranges follow from the others: a speculative path may have begun without them. */
function synced(scalar: Scalar): Scalar {
  return scalar.isConst ? scalar : without32(scalar).sync();
}
