/**
 * 64-bit integers as two 32-bit halves, both kept as signed 32-bit numbers (`x | 0`).
 *
 * The verifier's inner loop does some sixty 64-bit operations for one instruction; on `bigint` each of them allocates.
 * V8 keeps 32-bit signed numbers in fields unboxed: making all views of a scalar consistent takes 0.11 µs, an arithmetic
 * operation 0.18 µs, both ways of a comparison 0.46 µs (scripts/bench-scalars.ts).
 * Operations with a 64-bit result return the low half and leave the high half in {@link hi}.
 */

/** High half of the last result. */
export let hi = 0;

/** Halves as they are, as a result. */
export function pair(aHi: number, aLo: number): number {
  hi = aHi;
  return aLo;
}

export function add(aHi: number, aLo: number, bHi: number, bLo: number): number {
  const lo = (aLo + bLo) | 0;
  hi = (aHi + bHi + (lo >>> 0 < aLo >>> 0 ? 1 : 0)) | 0;
  return lo;
}

export function sub(aHi: number, aLo: number, bHi: number, bLo: number): number {
  hi = (aHi - bHi - (aLo >>> 0 < bLo >>> 0 ? 1 : 0)) | 0;
  return (aLo - bLo) | 0;
}

/** @param n 0 to 63 */
export function shl(aHi: number, aLo: number, n: number): number {
  if (n === 0) {
    hi = aHi;
    return aLo;
  }
  if (n >= 32) {
    hi = aLo << (n - 32);
    return 0;
  }
  hi = (aHi << n) | (aLo >>> (32 - n));
  return aLo << n;
}

/** @param n 0 to 63 */
export function shr(aHi: number, aLo: number, n: number): number {
  if (n === 0) {
    hi = aHi;
    return aLo;
  }
  if (n >= 32) {
    hi = 0;
    return (aHi >>> (n - 32)) | 0;
  }
  hi = (aHi >>> n) | 0;
  return (aLo >>> n) | (aHi << (32 - n));
}

/** Keeps the sign. @param n 0 to 63 */
export function sar(aHi: number, aLo: number, n: number): number {
  if (n === 0) {
    hi = aHi;
    return aLo;
  }
  if (n >= 32) {
    hi = aHi >> 31;
    return aHi >> (n - 32);
  }
  hi = aHi >> n;
  return (aLo >>> n) | (aHi << (32 - n));
}

/** Unsigned `a < b`. */
export function ult(aHi: number, aLo: number, bHi: number, bLo: number): boolean {
  return aHi === bHi ? aLo >>> 0 < bLo >>> 0 : aHi >>> 0 < bHi >>> 0;
}

/** Signed `a < b`. */
export function slt(aHi: number, aLo: number, bHi: number, bLo: number): boolean {
  return aHi === bHi ? aLo >>> 0 < bLo >>> 0 : aHi < bHi;
}

/** Unsigned 32-bit `a < b`. */
export function ult32(a: number, b: number): boolean {
  return a >>> 0 < b >>> 0;
}

/** Position of the highest bit that is set, from 1; 0 for zero. */
export function bitLength(aHi: number, aLo: number): number {
  return aHi !== 0 ? 64 - Math.clz32(aHi) : 32 - Math.clz32(aLo);
}

export function toBigUint(aHi: number, aLo: number): bigint {
  return (BigInt(aHi >>> 0) << 32n) | BigInt(aLo >>> 0);
}

export function toBigInt(aHi: number, aLo: number): bigint {
  return (BigInt(aHi) << 32n) | BigInt(aLo >>> 0);
}

/** Of a bigint modulo 2^64: the low half; the high half is in {@link hi}. */
export function fromBig(value: bigint): number {
  hi = Number(BigInt.asIntN(32, value >> 32n));
  return Number(BigInt.asIntN(32, value));
}
