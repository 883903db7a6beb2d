/**
 * Arithmetic and comparisons, exactly as RFC 9669 §4 defines them. 64-bit values are unsigned `bigint`s and results are
 * cut to 64 bits by the register file; 32-bit ones are signed `number`s and results are cut to 32.
 */
import type { AluOp, JmpOp } from '../../isa/index.ts';

const INT64_MIN = -(1n << 63n);

export const signed64 = (value: bigint): bigint => BigInt.asIntN(64, value);

/** @see RFC 9669 §4.1: division by zero gives 0, modulo by zero the dividend, and shifts use the low 6 bits */
export const ALU64: Readonly<Record<AluOp, (dst: bigint, src: bigint) => bigint>> = {
  add: (dst, src) => dst + src,
  sub: (dst, src) => dst - src,
  mul: (dst, src) => dst * src,
  div: (dst, src) => (src === 0n ? 0n : dst / src),
  or: (dst, src) => dst | src,
  and: (dst, src) => dst & src,
  lsh: (dst, src) => dst << (src & 63n),
  rsh: (dst, src) => dst >> (src & 63n),
  mod: (dst, src) => (src === 0n ? dst : dst % src),
  xor: (dst, src) => dst ^ src,
  mov: (_, src) => src,
  arsh: (dst, src) => signed64(dst) >> (src & 63n),
  sdiv: (dst, src) => (src === 0n ? 0n : signed64(dst) / signed64(src)),
  smod: (dst, src) => {
    if (src === 0n) return dst;
    const divisor = signed64(src);
    return signed64(dst) === INT64_MIN && divisor === -1n ? 0n : signed64(dst) % divisor;
  },
};

/** As {@link ALU64} on the low halves; shifts use the low 5 bits. The upper half of the result is zero. */
export const ALU32: Readonly<Record<AluOp, (dst: number, src: number) => number>> = {
  add: (dst, src) => dst + src,
  sub: (dst, src) => dst - src,
  mul: (dst, src) => Math.imul(dst, src),
  div: (dst, src) => (src === 0 ? 0 : Math.floor((dst >>> 0) / (src >>> 0))),
  or: (dst, src) => dst | src,
  and: (dst, src) => dst & src,
  lsh: (dst, src) => dst << src,
  rsh: (dst, src) => dst >>> src,
  mod: (dst, src) => (src === 0 ? dst : (dst >>> 0) % (src >>> 0)),
  xor: (dst, src) => dst ^ src,
  mov: (_, src) => src,
  arsh: (dst, src) => dst >> src,
  sdiv: (dst, src) => (src === 0 ? 0 : Math.trunc(dst / src)),
  smod: (dst, src) => (src === 0 ? dst : dst % src),
};

/** @see RFC 9669 §4.3 */
export const TEST64: Readonly<Record<JmpOp, (dst: bigint, src: bigint) => boolean>> = {
  jeq: (dst, src) => dst === src,
  jgt: (dst, src) => dst > src,
  jge: (dst, src) => dst >= src,
  jset: (dst, src) => (dst & src) !== 0n,
  jne: (dst, src) => dst !== src,
  jsgt: (dst, src) => signed64(dst) > signed64(src),
  jsge: (dst, src) => signed64(dst) >= signed64(src),
  jlt: (dst, src) => dst < src,
  jle: (dst, src) => dst <= src,
  jslt: (dst, src) => signed64(dst) < signed64(src),
  jsle: (dst, src) => signed64(dst) <= signed64(src),
};

export const TEST32: Readonly<Record<JmpOp, (dst: number, src: number) => boolean>> = {
  jeq: (dst, src) => dst === src,
  jgt: (dst, src) => dst >>> 0 > src >>> 0,
  jge: (dst, src) => dst >>> 0 >= src >>> 0,
  jset: (dst, src) => (dst & src) !== 0,
  jne: (dst, src) => dst !== src,
  jsgt: (dst, src) => dst > src,
  jsge: (dst, src) => dst >= src,
  jlt: (dst, src) => dst >>> 0 < src >>> 0,
  jle: (dst, src) => dst >>> 0 <= src >>> 0,
  jslt: (dst, src) => dst < src,
  jsle: (dst, src) => dst <= src,
};

/** The low `bits` of a value in the reverse order of bytes. */
export function byteSwap(value: bigint, bits: 16 | 32 | 64): bigint {
  let rest = BigInt.asUintN(bits, value);
  let swapped = 0n;
  for (let i = 0; i < bits; i += 8) {
    swapped = (swapped << 8n) | (rest & 0xffn);
    rest >>= 8n;
  }
  return swapped;
}
