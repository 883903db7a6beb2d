/** Ranges of the stack that are read or written as a whole: by helpers, or at an offset that is not known exactly. */
import { formatBits } from '../value/print.ts';
import type { CallMeta } from './call-meta.ts';
import type { Explorer } from './explorer.ts';
import { STACK_DYNPTR, STACK_INVALID, STACK_MISC, STACK_ZERO } from './frame.ts';
import { scalarReg } from './reg.ts';
import { SCALAR } from './reg-type.ts';
import { checkStackBounds } from './stack-access.ts';
import { scrubBytes } from './stack-write.ts';

const UNKNOWN = scalarReg();

/**
 * The bytes at `regno + off` may be read, or written by a helper. What a helper writes is unknown afterwards.
 *
 * @param off the fixed offset, the pointer's own included
 * @param meta of a call whose argument may be uninitialised: the bytes count as written when all arguments are checked
 */
export function checkStackRange(
  ex: Explorer,
  regno: number,
  off: number,
  size: number,
  access: 'read' | 'write',
  zeroAllowed: boolean,
  meta: CallMeta | null,
): void {
  const reg = ex.state.frame().reg(regno);
  if (size === 0 && !zeroAllowed) {
    ex.refuse('memory-size', 'invalid zero-sized read', { reason: 'the size must be at least 1' });
  }
  checkStackBounds(ex, regno, reg, off, size, access);
  const { scalar } = reg;
  let raw = meta?.rawMode === true;
  let least: number;
  let end: number;
  if (scalar.isConst) {
    least = off + scalar.valueLo;
    end = least + size;
  } else {
    if (!ex.caps.bypassSpecV1) {
      const problem = `R${regno} variable offset stack access prohibited for !root, var_off=${formatBits(scalar)}`;
      ex.refuse('speculative-access', problem, {
        reason: 'stack offsets of unprivileged programs must be constants',
      });
    }
    // Which bytes are written is not known, so all of them must have been before.
    raw = false;
    least = scalar.sminLo + off;
    end = scalar.smaxLo + off + size;
  }
  const frame = ex.state.frames[reg.frameno]!;
  const bytes = access === 'write' && !raw ? frame.ownBytes() : frame.bytes;
  if (raw) {
    for (let at = least; at < end; at++) {
      if (bytes[-at - 1] !== STACK_DYNPTR) continue;
      ex.refuse('uninitialised-stack', `potential write to dynptr at off=${at} disallowed`, {
        reason: 'a dynptr is changed by the functions for it only',
      });
    }
    meta!.accessSize = size;
    meta!.regno = regno;
    return;
  }
  let marked = -1;
  for (let at = least; at < end; at++) {
    const index = -at - 1;
    const slot = index >> 3;
    const type = bytes[index]!;
    if (type === STACK_ZERO || (type === STACK_INVALID && ex.caps.allowUninitStack)) {
      if (access === 'write') frame.ownBytes()[index] = STACK_MISC;
    } else if (type !== STACK_MISC) {
      const spilled = frame.isSpill(slot) && (frame.spilled[slot]!.type === SCALAR || ex.caps.allowPtrLeaks);
      if (!spilled) refuseRead(ex, regno, least, at, size);
      if (access === 'write') {
        frame.setSpilled(slot, UNKNOWN);
        scrubBytes(frame, slot);
      }
    }
    if (slot !== marked) {
      ex.stackLiveness.read(frame.frameno, ex.insnIdx, slot);
      marked = slot;
    }
  }
}

function refuseRead(ex: Explorer, regno: number, least: number, at: number, size: number): never {
  const { scalar } = ex.state.frame().reg(regno);
  const problem = scalar.isConst
    ? `invalid read from stack R${regno} off ${least}+${at - least} size ${size}`
    : `invalid read from stack R${regno} var_off ${formatBits(scalar)}+${at - least} size ${size}`;
  ex.refuse('uninitialised-stack', problem, {
    reason: `the byte at fp${at} was not initialised on this path, or is part of something that is no plain data`,
    hint: 'initialise the variable, padding included',
  });
}
