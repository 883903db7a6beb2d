/** Accesses to memory of a known size, at a fixed offset and at one that varies within known bounds. */
import type { RejectCode } from '../rejection.ts';
import type { Explorer } from './explorer.ts';
import type { RegState } from './reg.ts';
import {
  baseType,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_PACKET_META,
} from './reg-type.ts';

/** Offsets of pointers stay below. @see include/linux/bpf_verifier.h, BPF_MAX_VAR_OFF */
export const MAX_VAR_OFF = 1 << 29;

/**
 * Refuses in several lines of the log.
 *
 * @param problem the log's lines; the last is what the refusal is known by
 */
export function refuseLines(
  ex: Explorer,
  code: RejectCode,
  problem: string,
  more: Parameters<Explorer['refuse']>[2] = {},
): never {
  const last = problem.lastIndexOf('\n') + 1;
  if (last > 0) ex.log.write(problem.slice(0, last));
  ex.refuse(code, problem.slice(last), more);
}

/** What is wrong with an access at a fixed offset, or `undefined`. */
function boundsProblem(
  reg: RegState,
  regno: number,
  off: number,
  size: number,
  memSize: number,
  zeroAllowed: boolean,
): string | undefined {
  if (off >= 0 && (size > 0 || (size === 0 && zeroAllowed)) && off + size <= memSize) return undefined;
  const place = `off=${off} size=${size}`;
  switch (reg.type) {
    case PTR_TO_MAP_KEY:
      return `invalid access to map key, key_size=${memSize} ${place}`;
    case PTR_TO_MAP_VALUE:
      return `invalid access to map value, value_size=${memSize} ${place}`;
    case PTR_TO_PACKET:
    case PTR_TO_PACKET_META:
    case PTR_TO_PACKET_END:
      return `invalid access to packet, ${place}, R${regno}(id=${reg.id},off=${off},r=${memSize})`;
    default:
      return `invalid access to memory, mem_size=${memSize >>> 0} ${place}`;
  }
}

/**
 * What is wrong with an access through a pointer whose offset may vary.
 *
 * @param off the fixed offset, the pointer's own included
 * @returns the log's lines, or `undefined` when every offset is inside
 */
export function regionProblem(
  reg: RegState,
  regno: number,
  off: number,
  size: number,
  memSize: number,
  zeroAllowed: boolean,
): string | undefined {
  const { sminHi, sminLo, umaxHi, umaxLo } = reg.scalar;
  if (sminHi < 0) {
    const sum = sminHi * 0x100000000 + (sminLo >>> 0) + off;
    if ((sminHi === -0x80000000 && sminLo === 0) || sum !== (sum | 0) || sum < 0) return negative(regno);
  }
  // The least offset counts modulo 2^32; one that large fails by its greatest.
  const least = boundsProblem(reg, regno, (sminLo + off) | 0, size, memSize, zeroAllowed);
  if (least !== undefined) return `${least}\nR${regno} min value is outside of the allowed memory range`;
  if (umaxHi !== 0 || umaxLo >>> 0 >= MAX_VAR_OFF) {
    return `R${regno} unbounded memory access, make sure to bounds check any such access`;
  }
  const most = boundsProblem(reg, regno, (umaxLo + off) | 0, size, memSize, zeroAllowed);
  if (most !== undefined) return `${most}\nR${regno} max value is outside of the allowed memory range`;
  return undefined;
}

function negative(regno: number): string {
  return `R${regno} min value is negative, either use unsigned index or do a if (index >=0) check.`;
}

/** Every offset of the access is inside `memSize` bytes. */
export function checkRegion(
  ex: Explorer,
  regno: number,
  off: number,
  size: number,
  memSize: number,
  zeroAllowed: boolean,
): void {
  const reg = ex.state.frame().reg(regno);
  const problem = regionProblem(reg, regno, off, size, memSize, zeroAllowed);
  if (problem !== undefined) refuseRegion(ex, regno, off, size, memSize, problem);
}

export function refuseRegion(
  ex: Explorer,
  regno: number,
  off: number,
  size: number,
  memSize: number,
  problem: string,
): never {
  const { scalar } = ex.state.frame().reg(regno);
  const where = scalar.isConst
    ? `at offset ${off + scalar.constNumber()}`
    : `at an offset between ${BigInt(off) + scalar.smin} and ${BigInt(off) + scalar.umax}`;
  refuseLines(ex, 'memory-bounds', problem, {
    reason: `the access of ${size === 1 ? '1 byte' : `${size} bytes`} is ${where}, and the memory has ${memSize} bytes`,
    hint: scalar.isConst
      ? undefined
      : `compare the index with a bound, as an unsigned number, before adding it to r${regno}`,
    access: { off, size, of: memSize },
  });
}

/** The access is inside the part of the packet that was compared with its end. */
export function checkPacket(
  ex: Explorer,
  regno: number,
  off: number,
  size: number,
  zeroAllowed: boolean,
): void {
  const reg = ex.state.frame().reg(regno);
  if (reg.scalar.sminHi < 0) {
    ex.refuse('packet-bounds', negative(regno), {
      reason: `what was added to r${regno} may be negative, so it may point in front of the packet`,
    });
  }
  const outside = `R${regno} offset is outside of the packet`;
  const reason = `${Math.max(reg.range, 0)} bytes after the pointer's base are known to be in the packet, and the access needs ${off + size}`;
  const hint =
    baseType(reg.type) === PTR_TO_PACKET_META
      ? `compare the end of the access with data before it: if (ptr + ${off + size} > data) …`
      : `compare the end of the access with data_end before it: if (ptr + ${off + size} > data_end) …`;
  const access = { off, size, of: Math.max(reg.range, 0) };
  if (reg.range < 0) ex.refuse('packet-bounds', outside, { reason, hint, access, errno: 'EINVAL' });
  const problem = boundsProblem(reg, regno, off, size, reg.range, zeroAllowed);
  if (problem !== undefined) {
    refuseLines(ex, 'packet-bounds', `${problem}\n${outside}`, { reason, hint, access });
  }
}
