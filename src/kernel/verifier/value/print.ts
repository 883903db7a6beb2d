/**
 * Scalars as the kernel's log writes them. What stands around the ranges (register name, ids, precision) is the
 * log's matter.
 *
 * @see Documentation/bpf/verifier.rst, "Direct packet access", for examples of the notation
 */
import type { Scalar } from './scalar.ts';

/** Numbers beyond 16 bits are written in hexadecimal. */
const DECIMAL_MAX = 0x7fff;
const DECIMAL_MIN = -0x8000;
const UNSIGNED_DECIMAL_MAX = 0xffff;

function hex(high: number, low: number): string {
  if (high === 0) return `0x${(low >>> 0).toString(16)}`;
  return `0x${(high >>> 0).toString(16)}${(low >>> 0).toString(16).padStart(8, '0')}`;
}

/** A signed 64-bit number as the log writes it. */
export function formatSigned(high: number, low: number): string {
  const small = high === low >> 31 && low >= DECIMAL_MIN && low <= DECIMAL_MAX;
  return small ? String(low) : hex(high, low);
}

/** An unsigned 64-bit number as the log writes it. */
export function formatUnsigned(high: number, low: number): string {
  return high === 0 && low >= 0 && low <= UNSIGNED_DECIMAL_MAX ? String(low) : hex(high, low);
}

/** The known bits: value, then mask of the unknown ones; a known value alone. */
export function formatBits(scalar: Scalar): string {
  if (scalar.isConst) return formatUnsigned(scalar.valueHi, scalar.valueLo);
  return `(${hex(scalar.valueHi, scalar.valueLo)}; ${hex(scalar.maskHi, scalar.maskLo)})`;
}

/**
 * One end of a range with its name. Signed 32-bit ends are widened by their sign where they are written in decimal, else
 * with zeros.
 */
interface End {
  readonly name: string;
  readonly high: number;
  readonly low: number;
  readonly signed: boolean;
  /** Says nothing. */
  readonly unbounded: boolean;
}

function extension32(low: number): number {
  return low < 0 && low >= DECIMAL_MIN ? -1 : 0;
}

function ends(scalar: Scalar): readonly End[] {
  const { sminHi, sminLo, smaxHi, smaxLo, uminHi, uminLo, umaxHi, umaxLo } = scalar;
  const { s32min, s32max, u32min, u32max } = scalar;
  const end = (name: string, high: number, low: number, unbounded: boolean): End => ({
    name,
    high,
    low,
    signed: name.startsWith('s'),
    unbounded,
  });
  return [
    end('smin', sminHi, sminLo, sminHi === -0x80000000 && sminLo === 0),
    end('smax', smaxHi, smaxLo, smaxHi === 0x7fffffff && smaxLo === -1),
    end('umin', uminHi, uminLo, uminHi === 0 && uminLo === 0),
    end('umax', umaxHi, umaxLo, umaxHi === -1 && umaxLo === -1),
    end('smin32', extension32(s32min), s32min, s32min === -0x80000000),
    end('smax32', extension32(s32max), s32max, s32max === 0x7fffffff),
    end('umin32', 0, u32min, u32min === 0),
    end('umax32', 0, u32max, u32max === -1),
  ];
}

const negative = (end: End): boolean => end.signed && end.high < 0;

/** `smin=0,smax=umax=255,var_off=(0x0; 0xff)`: what is known beside "any number"; empty for that. Equal ends share their number. */
export function formatRanges(scalar: Scalar): string {
  const parts: string[] = [];
  const all = ends(scalar);
  const written = new Set<End>();
  for (const [i, first] of all.entries()) {
    if (first.unbounded || written.has(first)) continue;
    let names = `${first.name}=`;
    // Minima stand at even places and maxima at odd ones.
    for (let j = i + 2; j < all.length; j += 2) {
      const other = all[j]!;
      const same = other.high === first.high && other.low === first.low;
      if (other.unbounded || written.has(other) || !same || negative(other) !== negative(first)) continue;
      written.add(other);
      names += `${other.name}=`;
    }
    const number = first.signed ? formatSigned(first.high, first.low) : formatUnsigned(first.high, first.low);
    parts.push(names + number);
  }
  if ((scalar.maskHi & scalar.maskLo) !== -1) parts.push(`var_off=${formatBits(scalar)}`);
  return parts.join(',');
}

/** A scalar register: a bare number when it is known, else `scalar(…)`. @param before what stands first inside the brackets (`id=3`) */
export function formatScalar(scalar: Scalar, before = ''): string {
  if (scalar.isConst) return formatSigned(scalar.valueHi, scalar.valueLo);
  const ranges = formatRanges(scalar);
  return `scalar(${before}${before !== '' && ranges !== '' ? ',' : ''}${ranges})`;
}
