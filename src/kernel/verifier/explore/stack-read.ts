/**
 * Loads from the stack. A load of a spilled register gets back what was known of it; a load of other bytes gets a
 * number, known only where all its bytes are known to be zero.
 */
import { formatBits } from '../value/print.ts';
import { Scalar } from '../value/scalar.ts';
import { loadUnknown, narrowed } from './access-value.ts';
import { clearScalarId, fitsBits } from './alu-mov.ts';
import type { Explorer } from './explorer.ts';
import { type Frame, SLOT_BYTES, STACK_INVALID, STACK_MISC, STACK_SPILL, STACK_ZERO } from './frame.ts';
import { type RegState, scalarReg } from './reg.ts';
import { SCALAR } from './reg-type.ts';
import { isPointer } from './regs.ts';
import { checkStackRange } from './stack-range.ts';

const ZERO = scalarReg(Scalar.ZERO);

/**
 * @param off from the frame pointer
 * @param valueRegno register that is loaded; -1 when it is only asked whether the bytes may be read as a number
 */
export function readStack(
  ex: Explorer,
  frame: Frame,
  off: number,
  size: number,
  valueRegno: number,
  signed: boolean,
): void {
  const slot = (-off - 1) >> 3;
  ex.log.touchSlot(slot);
  ex.stackLiveness.read(frame.frameno, ex.insnIdx, slot);
  if (!frame.isSpill(slot)) {
    checkReadable(ex, frame, off, size);
    if (valueRegno >= 0) loadBytes(ex, frame, off, off + size, size, valueRegno, signed);
    return;
  }
  const reg = frame.spilled[slot]!;
  if (size === SLOT_BYTES && spillSize(frame, slot) === SLOT_BYTES) {
    if (valueRegno >= 0) ex.state.frame().regs[valueRegno] = reg;
    else if (isPointer(ex.caps.allowPtrLeaks, reg)) {
      ex.refuse('pointer-leak', `leaking pointer from stack off ${off}`, {
        reason: 'the bytes are an address of the kernel, and would be read as a number',
      });
    }
    noteAccess(ex, frame, slot);
    return;
  }
  if (reg.type !== SCALAR) {
    ex.log.line(ex.insnIdx);
    ex.refuse('stack-spill', 'invalid size of register fill', {
      reason: `an address is kept at fp${-(slot + 1) * SLOT_BYTES}, and is loaded whole or not at all`,
    });
  }
  if (valueRegno < 0) return;
  if (partialFill(ex, frame, slot, reg, off, size, valueRegno, signed)) noteAccess(ex, frame, slot);
}

function noteAccess(ex: Explorer, frame: Frame, slot: number): void {
  ex.pushHistory({ isStackAccess: true, stackFrame: frame.frameno, stackSlot: slot });
}

/** Bytes of the slot that the spilled register fills, from the lowest address on. */
function spillSize(frame: Frame, slot: number): number {
  let size = 1;
  while (size < SLOT_BYTES && frame.byteType(slot, SLOT_BYTES - 1 - size) === STACK_SPILL) size++;
  return size;
}

/**
 * Loads a part of a spilled number.
 *
 * @returns whether the value is that of the spill, so that its precision is the spill's
 */
function partialFill(
  ex: Explorer,
  frame: Frame,
  slot: number,
  reg: RegState,
  off: number,
  size: number,
  valueRegno: number,
  signed: boolean,
): boolean {
  const { regs } = ex.state.frame();
  if ((off & (SLOT_BYTES - 1)) === 0 && size <= spillSize(frame, slot)) {
    const value = size < SLOT_BYTES ? narrowed(reg, size, signed) : reg.clone();
    if (!fitsBits(reg.scalar, size * 8)) clearScalarId(value);
    regs[valueRegno] = value;
    return true;
  }
  let spilled = 0;
  let zeros = 0;
  for (let i = 0; i < size; i++) {
    const type = frame.bytes[-off - 1 - i];
    if (type === STACK_SPILL) spilled++;
    else if (type === STACK_ZERO) zeros++;
    else if (!isReadable(ex, type)) refuseUninitialised(ex, off, i, size);
  }
  if (spilled === size && reg.scalar.isConstValue(0, 0)) {
    regs[valueRegno] = ZERO;
    return true;
  }
  if (zeros === size) regs[valueRegno] = ZERO;
  else loadUnknown(ex, valueRegno, size, signed);
  return false;
}

function isReadable(ex: Explorer, type: number | undefined): boolean {
  return type === STACK_MISC || type === STACK_ZERO || (type === STACK_INVALID && ex.caps.allowUninitStack);
}

function checkReadable(ex: Explorer, frame: Frame, off: number, size: number): void {
  for (let i = 0; i < size; i++) {
    if (!isReadable(ex, frame.bytes[-off - 1 - i])) refuseUninitialised(ex, off, i, size);
  }
}

function refuseUninitialised(ex: Explorer, off: number, at: number, size: number): never {
  ex.refuse('uninitialised-stack', `invalid read from stack off ${off}+${at} size ${size}`, {
    reason: `nothing that can be read as a number was stored at fp${off + at} on this path`,
    hint: 'initialise the variable, padding included',
  });
}

/** Plain bytes: zero where all of them are known to be, else unknown. */
function loadBytes(
  ex: Explorer,
  frame: Frame,
  from: number,
  to: number,
  size: number,
  valueRegno: number,
  signed: boolean,
): void {
  for (let at = from; at < to; at++) {
    ex.log.touchSlot((-at - 1) >> 3);
    if (frame.bytes[-at - 1] !== STACK_ZERO) {
      loadUnknown(ex, valueRegno, size, signed);
      return;
    }
  }
  ex.state.frame().regs[valueRegno] = ZERO;
}

/** A load at a varying offset: any of the bytes in reach. */
export function readStackVar(
  ex: Explorer,
  regno: number,
  ptr: RegState,
  off: number,
  size: number,
  valueRegno: number,
  signed: boolean,
): void {
  if (valueRegno < 0) {
    const problem =
      'variable offset stack pointer cannot be passed into helper function; ' +
      `var_off=${formatBits(ptr.scalar)} off=${off} size=${size}`;
    ex.refuse('stack-bounds', problem, {
      reason: `where in the stack r${regno} points is not known exactly`,
      errno: 'EACCES',
    });
  }
  checkStackRange(ex, regno, off, size, 'read', false, null);
  const frame = ex.state.frames[ptr.frameno]!;
  const from = ptr.scalar.sminLo + off;
  loadBytes(ex, frame, from, ptr.scalar.smaxLo + off + size, size, valueRegno, signed);
}
