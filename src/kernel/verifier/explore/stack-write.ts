/**
 * Stores to the stack. A register that is stored to an aligned place is spilled: what is known of it stays known.
 * Other stores leave bytes of which at most it is known that they are zero.
 */
import { clearScalarId, constantOperand, fitsBits, linkForCopy } from './alu-mov.ts';
import { markRegPrecise } from './backtrack.ts';
import type { Explorer } from './explorer.ts';
import {
  type Frame,
  SLOT_BYTES,
  STACK_DYNPTR,
  STACK_INVALID,
  STACK_IRQ_FLAG,
  STACK_ITER,
  STACK_MISC,
  STACK_SPILL,
  STACK_ZERO,
} from './frame.ts';
import { type RegState, UNINIT } from './reg.ts';
import {
  baseType,
  CONST_PTR_TO_DYNPTR,
  NOT_INIT,
  PTR_TO_STACK,
  PTR_TO_TP_BUFFER,
  SCALAR,
} from './reg-type.ts';
import { destroyDynptrAt } from './stack-special.ts';

/** Whether a pointer of the type can be kept on the stack. */
function isSpillable(reg: RegState): boolean {
  switch (baseType(reg.type)) {
    case NOT_INIT:
    case SCALAR:
    case PTR_TO_TP_BUFFER:
    case CONST_PTR_TO_DYNPTR:
      return false;
    default:
      return true;
  }
}

function isNull(reg: RegState): boolean {
  return reg.type === SCALAR && reg.scalar.isConstValue(0, 0);
}

/** The immediate that the current instruction stores, or `undefined` when it is no store of one. */
function storedImmediate(ex: Explorer): number | undefined {
  const insn = ex.insns[ex.insnIdx];
  return insn?.kind === 'st' ? insn.imm : undefined;
}

/** @param valueRegno register that is stored; -1 for an immediate or something unknown */
export function writeStack(ex: Explorer, frame: Frame, off: number, size: number, valueRegno: number): void {
  const first = -off - 1;
  const slot = first >> 3;
  const aligned = (off & (SLOT_BYTES - 1)) === 0;
  const bytes = frame.ownBytes();
  if (
    !ex.caps.allowPtrLeaks &&
    frame.isSpill(slot) &&
    frame.spilled[slot]!.type !== SCALAR &&
    size !== SLOT_BYTES
  ) {
    ex.refuse('stack-spill', 'attempt to corrupt spilled pointer on stack', {
      reason: `a pointer is kept at fp${-(slot + 1) * SLOT_BYTES}, and a part of it would be overwritten`,
    });
  }
  const cur = ex.state.frame();
  const reg = valueRegno >= 0 ? cur.reg(valueRegno) : undefined;
  if (!ex.caps.bypassSpecV4) noteBypass(ex, bytes, first, size, reg);
  destroyDynptrAt(ex, frame, slot);
  if (aligned && size === SLOT_BYTES) ex.stackLiveness.write(frame.frameno, slot);
  ex.log.touchSlot(slot);
  const imm = reg === undefined ? storedImmediate(ex) : undefined;
  if (aligned && ex.caps.bpf && reg !== undefined && reg.type === SCALAR) {
    spill(frame, slot, scalarToSpill(ex, cur, valueRegno, size), size);
  } else if (aligned && ex.caps.bpf && imm !== undefined) {
    spill(frame, slot, constantOperand(ex, imm, 64), size);
  } else if (reg !== undefined && isSpillable(reg)) {
    if (size !== SLOT_BYTES) {
      ex.log.line(ex.insnIdx);
      ex.refuse('stack-spill', 'invalid size of register spill', {
        reason: `r${valueRegno} holds an address, which takes eight bytes`,
      });
    }
    if (frame !== cur && reg.type === PTR_TO_STACK) {
      const problem = 'cannot spill pointers to stack into stack frame of the caller';
      ex.refuse('stack-spill', problem, {
        reason: 'the stack that the pointer is to is gone when the caller reads it',
        errno: 'EINVAL',
      });
    }
    spill(frame, slot, reg, size);
  } else {
    scrubSpecial(frame, slot);
    let type = STACK_MISC;
    if (reg === undefined ? imm === 0 : isNull(reg)) {
      // That the bytes are zero must not be forgotten when states are compared.
      if (valueRegno >= 0) markRegPrecise(ex, valueRegno);
      type = STACK_ZERO;
    }
    for (let i = 0; i < size; i++) bytes[first - i] = type;
    return;
  }
  ex.pushHistory({ isStackAccess: true, stackFrame: frame.frameno, stackSlot: slot });
}

/** The processor might load what was there before the store. */
function noteBypass(
  ex: Explorer,
  bytes: Uint8Array,
  first: number,
  size: number,
  reg: RegState | undefined,
): void {
  let needed = reg !== undefined && isSpillable(reg);
  for (let i = 0; i < size && !needed; i++) {
    const type = bytes[first - i];
    needed = type !== STACK_MISC && type !== STACK_ZERO;
  }
  if (needed) ex.aux[ex.insnIdx]!.nospecResult = true;
}

/** The value that a spill keeps; the register and the slot stay linked where the whole value fits. */
function scalarToSpill(ex: Explorer, cur: Frame, regno: number, size: number): RegState {
  const reg = cur.reg(regno);
  if (fitsBits(reg.scalar, size * 8)) return linkForCopy(ex, cur, regno);
  if (reg.id === 0) return reg;
  const copy = reg.clone();
  clearScalarId(copy);
  return copy;
}

function spill(frame: Frame, slot: number, reg: RegState, size: number): void {
  const bytes = frame.ownBytes();
  const base = slot * SLOT_BYTES;
  frame.setSpilled(slot, reg);
  for (let b = SLOT_BYTES - 1; b >= SLOT_BYTES - size; b--) bytes[base + b] = STACK_SPILL;
  for (let b = SLOT_BYTES - size - 1; b >= 0; b--) {
    const type = bytes[base + b];
    if (type !== STACK_ZERO && type !== STACK_INVALID) bytes[base + b] = STACK_MISC;
  }
}

/** What a slot kept is overwritten, in part at least. */
export function scrubSpecial(frame: Frame, slot: number): void {
  frame.setSpilled(slot, UNINIT);
  const base = slot * SLOT_BYTES;
  switch (frame.bytes[base + SLOT_BYTES - 1]) {
    case STACK_SPILL:
    case STACK_DYNPTR:
    case STACK_ITER:
    case STACK_IRQ_FLAG:
      scrubBytes(frame, slot);
  }
}

/** The slot's bytes are known to be initialised and no more. */
export function scrubBytes(frame: Frame, slot: number): void {
  const bytes = frame.ownBytes();
  const base = slot * SLOT_BYTES;
  for (let b = 0; b < SLOT_BYTES; b++) {
    if (bytes[base + b] !== STACK_INVALID) bytes[base + b] = STACK_MISC;
  }
}

/** A store at a varying offset: each byte that it may reach is either what it was or what is stored. */
export function writeStackVar(
  ex: Explorer,
  frame: Frame,
  ptr: RegState,
  off: number,
  size: number,
  valueRegno: number,
): void {
  const least = ptr.scalar.sminLo + off;
  const end = ptr.scalar.smaxLo + off + size;
  const reg = valueRegno >= 0 ? ex.state.frame().reg(valueRegno) : undefined;
  const zero = reg === undefined ? storedImmediate(ex) === 0 : isNull(reg);
  const bytes = frame.ownBytes();
  for (let at = least; at < end; at++) destroyDynptrAt(ex, frame, (-at - 1) >> 3);
  let zeroUsed = false;
  for (let at = least; at < end; at++) {
    const index = -at - 1;
    const slot = index >> 3;
    const type = bytes[index]!;
    ex.log.touchSlot(slot);
    if (!ex.caps.allowPtrLeaks && type !== STACK_MISC && type !== STACK_ZERO) {
      const problem = `spilled ptr in range of var-offset stack write; insn ${ex.insnIdx}, ptr off: ${at}`;
      ex.refuse('stack-spill', problem, {
        reason: 'the store may overwrite something that is not plain data',
        errno: 'EINVAL',
      });
    }
    const spilled = frame.spilled[slot]!;
    if (zero && type === STACK_SPILL && frame.isSpill(slot) && isNull(spilled)) {
      zeroUsed = true;
      continue;
    }
    scrubSpecial(frame, slot);
    let next = STACK_MISC;
    if (zero && bytes[index] === STACK_ZERO) {
      next = STACK_ZERO;
      zeroUsed = true;
    }
    if (type === STACK_INVALID && !ex.caps.allowUninitStack) {
      const problem = `uninit stack in range of var-offset write prohibited for !root; insn ${ex.insnIdx}, off: ${at}`;
      ex.refuse('uninitialised-stack', problem, {
        reason: 'it is not known which of the bytes the store initialises',
        errno: 'EINVAL',
      });
    }
    bytes[index] = next;
  }
  if (zeroUsed && valueRegno >= 0) markRegPrecise(ex, valueRegno);
}
