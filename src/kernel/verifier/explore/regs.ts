/** Reading and writing registers: what is never written can't be read, and the frame pointer can't be written. */
import type { Explorer } from './explorer.ts';
import { FP } from './frame.ts';
import { type RegState, scalarReg, UNINIT } from './reg.ts';
import { NOT_INIT, SCALAR } from './reg-type.ts';

/** An instruction reads the register. */
export function readReg(ex: Explorer, regno: number): RegState {
  const reg = ex.state.frame().reg(regno);
  ex.log.touchReg(regno);
  if (reg.type === NOT_INIT) {
    ex.refuse('uninitialised-register', `R${regno} !read_ok`, {
      reason: `no instruction on this path wrote r${regno}, or a call made it unreadable`,
      hint:
        regno >= 1 && regno <= 5
          ? 'calls destroy r1 to r5: keep the value in r6 to r9 or on the stack'
          : undefined,
      errno: 'EACCES',
    });
  }
  return reg;
}

/** An instruction is about to write the register. */
export function checkWritable(ex: Explorer, regno: number): void {
  if (regno === FP) {
    ex.refuse('frame-pointer-write', 'frame pointer is read only', {
      reason: 'r10 always points to the top of the stack frame',
      errno: 'EACCES',
    });
  }
  ex.log.touchReg(regno);
}

/** Puts a value into a register that {@link checkWritable} allowed. */
export function writeReg(ex: Explorer, regno: number, value: RegState): void {
  ex.state.frame().regs[regno] = value;
}

/** A scalar of which nothing is known. */
export function writeUnknown(ex: Explorer, regno: number): void {
  writeReg(ex, regno, scalarReg());
}

/** A call destroys r1 to r5. */
export function destroyArguments(ex: Explorer): void {
  const frame = ex.state.frame();
  for (let regno = 1; regno <= 5; regno++) frame.regs[regno] = UNINIT;
}

/** Whether a register holds a pointer that the caller must not learn. @param allowLeaks pointers are no secret */
export function isPointer(allowLeaks: boolean, reg: RegState): boolean {
  return !allowLeaks && reg.type !== SCALAR;
}
