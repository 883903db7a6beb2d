/** Byte swaps: only the bits tell of the result, the ranges follow from them. */
import type { Scalar } from './scalar.ts';

function swap32(x: number): number {
  return ((x & 0xff) << 24) | ((x & 0xff00) << 8) | ((x >>> 8) & 0xff00) | (x >>> 24);
}

function swap16(x: number): number {
  return ((x & 0xff) << 8) | ((x >>> 8) & 0xff);
}

/**
 * `htole`, `htobe` or an unconditional swap of the low `bits`; the bits above become zero. The programs' machine is
 * little-endian: `le` only truncates.
 */
export function swapBytes(order: 'le' | 'be' | 'bswap', bits: 16 | 32 | 64, dst: Scalar): Scalar {
  if (order === 'le') return bits === 64 ? dst : dst.truncate(bits / 8);
  const result = dst.copy();
  result.valueHi = bits === 64 ? swap32(dst.valueLo) : 0;
  result.maskHi = bits === 64 ? swap32(dst.maskLo) : 0;
  const valueLow = bits === 64 ? dst.valueHi : dst.valueLo;
  const maskLow = bits === 64 ? dst.maskHi : dst.maskLo;
  result.valueLo = bits === 16 ? swap16(valueLow) : swap32(valueLow);
  result.maskLo = bits === 16 ? swap16(maskLow) : swap32(maskLow);
  result.unbound64();
  result.unbound32();
  return result.sync();
}
