/** Memory that is passed to a function: a pointer, and a size that the next register holds or the prototype fixes. */

import type { ProgType } from '../../../sys/tables.ts';
import { checkMemAccess, refuseWrite } from './access.ts';
import { accessBtfObject } from './access-btf.ts';
import { bufferName, checkBuffer } from './access-buffer.ts';
import { programType } from './access-context.ts';
import { checkMapBounds, checkMapPermission } from './access-map.ts';
import { checkPacket, checkRegion } from './access-region.ts';
import { markRegPrecise } from './backtrack.ts';
import type { CallMeta } from './call-meta.ts';
import type { Explorer } from './explorer.ts';
import { notNull } from './nullness.ts';
import {
  baseType,
  MEM_RDONLY,
  mayBeNull,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_CTX,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_STACK,
  regTypeName,
  SCALAR,
} from './reg-type.ts';
import { checkStackRange } from './stack-range.ts';

/** Sizes are below. @see include/linux/bpf_verifier.h, BPF_MAX_VAR_SIZ */
const MAX_VAR_SIZE = 1 << 29;

/** Program types whose context is the memory that it seems to be: accesses to it are not rewritten. */
const PLAIN_CONTEXTS: ReadonlySet<ProgType> = new Set<ProgType>([
  'kprobe',
  'tracepoint',
  'raw_tracepoint',
  'raw_tracepoint_writable',
  'tracing',
  'lsm',
  'syscall',
  'struct_ops',
  'cgroup_device',
  'lirc_mode2',
  'netfilter',
  'ext',
]);

/**
 * The function may read or write `size` bytes at the pointer in `regno`.
 *
 * @param meta lets the stack be uninitialised where the function only writes; `null` where it must be initialised
 */
export function checkHelperMem(
  ex: Explorer,
  regno: number,
  size: number,
  access: 'read' | 'write',
  zeroAllowed: boolean,
  meta: CallMeta | null,
): void {
  const reg = ex.state.frame().reg(regno);
  switch (baseType(reg.type)) {
    case PTR_TO_STACK:
      checkStackRange(ex, regno, reg.off, size, access, zeroAllowed, meta);
      return;
    case PTR_TO_MAP_VALUE:
      checkMapPermission(ex, reg.map!, reg.off, size, access);
      checkMapBounds(ex, regno, reg, reg.off, size, undefined, false, zeroAllowed);
      return;
    case PTR_TO_PACKET:
    case PTR_TO_PACKET_META:
      checkPacket(ex, regno, reg.off, size, zeroAllowed);
      return;
    case PTR_TO_MAP_KEY:
      if (access === 'write') refuseWrite(ex, regno, reg);
      checkRegion(ex, regno, reg.off, size, reg.map!.keySize, false);
      return;
    case PTR_TO_MEM:
      if (access === 'write' && (reg.type & MEM_RDONLY) !== 0) refuseWrite(ex, regno, reg);
      checkRegion(ex, regno, reg.off, size, reg.memSize, zeroAllowed);
      return;
    case PTR_TO_BUF:
      if (access === 'write' && (reg.type & MEM_RDONLY) !== 0) refuseWrite(ex, regno, reg);
      checkBuffer(ex, bufferName(reg), regno, reg, reg.off, size);
      return;
    case PTR_TO_BTF_ID:
      accessBtfObject(ex, regno, reg, reg.off, size, access, -1);
      return;
    case PTR_TO_CTX:
      if (PLAIN_CONTEXTS.has(programType(ex.draft))) {
        if (size === 0 && zeroAllowed) return;
        checkMemAccess(ex, regno, size - 1, 1, access, -1);
        return;
      }
      break;
    default:
  }
  // Nothing may be read from nowhere.
  if (zeroAllowed && size === 0 && reg.type === SCALAR && reg.scalar.isConstValue(0, 0)) return;
  const problem = `R${regno} type=${regTypeName(reg.type)} expected=${regTypeName(PTR_TO_STACK)}`;
  ex.refuse('not-a-pointer', problem, {
    reason: `the function wants memory, and r${regno} holds a value of type ${regTypeName(reg.type)}`,
  });
}

/** As {@link checkHelperMem} with the size in the register `sizeRegno`, which follows the pointer's. */
export function checkMemSize(
  ex: Explorer,
  sizeRegno: number,
  access: 'read' | 'write',
  zeroAllowed: boolean,
  meta: CallMeta,
): void {
  const { scalar } = ex.state.frame().reg(sizeRegno);
  const { uminHi, uminLo, umaxHi, umaxLo } = scalar;
  meta.maxSize = umaxHi * 0x100000000 + (umaxLo >>> 0);
  if (scalar.sminHi < 0) {
    const problem = `R${sizeRegno} min value is negative, either use unsigned or 'var &= const'`;
    ex.refuse('memory-size', problem, {
      reason: `the size in r${sizeRegno} may be negative`,
      hint: 'check the size against a bound as an unsigned number',
    });
  }
  if ((uminHi | uminLo) === 0 && !zeroAllowed) {
    const problem = `R${sizeRegno} invalid zero-sized read: u64=[${BigInt.asIntN(64, scalar.umin)},${BigInt.asIntN(64, scalar.umax)}]`;
    ex.refuse('memory-size', problem, {
      reason: `the size in r${sizeRegno} may be zero`,
      hint: 'check that it is not zero before the call',
    });
  }
  if (umaxHi !== 0 || umaxLo >>> 0 >= MAX_VAR_SIZE) {
    const problem = `R${sizeRegno} unbounded memory access, use 'var &= const' or 'if (var < const)'`;
    ex.refuse('memory-size', problem, {
      reason: `the size in r${sizeRegno} has no bound`,
      hint: 'check the size against a bound before the call',
    });
  }
  // A size that varies may leave bytes as they were, so they must have been initialised.
  checkHelperMem(ex, sizeRegno - 1, umaxLo, access, zeroAllowed, scalar.isConst ? meta : null);
  markRegPrecise(ex, sizeRegno);
}

/** Memory of a known size that a subprogram or kernel function reads and writes; a null pointer will do. */
export function checkMemReg(ex: Explorer, regno: number, size: number): void {
  const frame = ex.state.frame();
  const reg = frame.reg(regno);
  if (reg.type === SCALAR && reg.scalar.isConstValue(0, 0)) return;
  withoutNull(ex, regno, () => {
    checkHelperMem(ex, regno, size, 'read', true, null);
    checkHelperMem(ex, regno, size, 'write', true, null);
  });
}

/** As {@link checkMemReg} with the size in the register `sizeRegno`, which follows the pointer's. */
export function checkMemSizeReg(ex: Explorer, sizeRegno: number, meta: CallMeta): void {
  withoutNull(ex, sizeRegno - 1, () => {
    checkMemSize(ex, sizeRegno, 'read', true, meta);
    checkMemSize(ex, sizeRegno, 'write', true, meta);
  });
}

/** Runs a check as if the pointer were not null. */
function withoutNull(ex: Explorer, regno: number, check: () => void): void {
  const frame = ex.state.frame();
  const reg = frame.reg(regno);
  if (!mayBeNull(reg.type)) {
    check();
    return;
  }
  frame.regs[regno] = notNull(reg);
  check();
  frame.regs[regno] = reg;
}
