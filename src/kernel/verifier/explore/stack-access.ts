/** Loads from and stores to the stack, of the running frame or through a pointer that a caller passed. */
import { LIMITS } from '../../../sys/limits.ts';
import { formatBits } from '../value/print.ts';
import { MAX_VAR_OFF } from './access-region.ts';
import type { Explorer } from './explorer.ts';
import { type Frame, SLOT_BYTES } from './frame.ts';
import type { RegState } from './reg.ts';
import { readStack, readStackVar } from './stack-read.ts';
import { writeStack, writeStackVar } from './stack-write.ts';

/** @param off the fixed offset, the pointer's own included */
export function accessStack(
  ex: Explorer,
  regno: number,
  reg: RegState,
  off: number,
  size: number,
  access: 'read' | 'write',
  valueRegno: number,
  signed: boolean,
): void {
  const frame = ex.state.frames[reg.frameno]!;
  checkStackBounds(ex, regno, reg, off, size, access);
  if (reg.scalar.isConst) {
    const at = off + reg.scalar.valueLo;
    ex.fastcall.touch(frame.subprogno, ex.insnIdx, at);
    if (access === 'read') readStack(ex, frame, at, size, valueRegno, signed);
    else writeStack(ex, frame, at, size, valueRegno);
    return;
  }
  ex.fastcall.touch(frame.subprogno, ex.insnIdx, off + reg.scalar.sminLo);
  if (access === 'read') readStackVar(ex, regno, reg, off, size, valueRegno, signed);
  else writeStackVar(ex, frame, reg, off, size, valueRegno);
}

/**
 * The access is inside the frame's stack; what it uses of the stack for the first time begins to exist.
 *
 * @param off the fixed offset, the pointer's own included
 */
export function checkStackBounds(
  ex: Explorer,
  regno: number,
  reg: RegState,
  off: number,
  size: number,
  access: 'read' | 'write',
): void {
  const frame = ex.state.frames[reg.frameno]!;
  const { scalar } = reg;
  let least: number;
  let end: number;
  if (scalar.isConst) {
    least = off + scalar.constNumber();
    end = least + size;
  } else {
    const smin = scalar.sminHi * 0x100000000 + (scalar.sminLo >>> 0);
    const smax = scalar.smaxHi * 0x100000000 + (scalar.smaxLo >>> 0);
    if (smax >= MAX_VAR_OFF || smin <= -MAX_VAR_OFF) {
      const problem = `invalid unbounded variable-offset${direction(access)} stack R${regno}`;
      ex.refuse('stack-bounds', problem, {
        reason: `what was added to r${regno} has no bound`,
        hint: 'check it against a bound, as an unsigned number, before adding it',
      });
    }
    least = smin + off;
    end = smax + off + size;
  }
  const lowest =
    access === 'write' || ex.caps.allowUninitStack ? -LIMITS.MAX_BPF_STACK : -frame.slots * SLOT_BYTES;
  const errno =
    least < lowest || least > -1 ? 'EACCES' : end > 0 ? 'EINVAL' : size < 0 ? 'EFAULT' : undefined;
  if (errno !== undefined) {
    const problem = scalar.isConst
      ? `invalid${direction(access)} stack R${regno} off=${least} size=${size}`
      : `invalid variable-offset${direction(access)} stack R${regno} var_off=${formatBits(scalar)} off=${off} size=${size}`;
    ex.refuse('stack-bounds', problem, {
      reason: `the access covers bytes ${least} to ${end - 1} from the frame pointer; the stack is bytes ${lowest} to -1`,
      errno,
    });
  }
  useStack(ex, frame, -least);
}

function direction(access: 'read' | 'write'): string {
  return access === 'read' ? ' read from' : ' write to';
}

/** The frame uses at least that many bytes of stack. */
function useStack(ex: Explorer, frame: Frame, bytes: number): void {
  const slots = (bytes + SLOT_BYTES - 1) >> 3;
  if (slots <= frame.slots) return;
  frame.growStack(slots);
  const subprog = ex.draft.subprograms[frame.subprogno]!;
  if (subprog.stackDepth < slots * SLOT_BYTES) subprog.stackDepth = slots * SLOT_BYTES;
}
