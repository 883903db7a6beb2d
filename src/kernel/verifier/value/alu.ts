/**
 * What arithmetic does to scalars: from what is known of the operands to what is known of the result. Each operation
 * is as precise as in Linux 6.18, no less and no more.
 */
import type { AluOp, Width } from '../../../isa/insn.ts';
import { Scalar } from './scalar.ts';
import { add, hi, sar, shl, shr, slt, sub, ult, ult32 } from './wide.ts';

/** Operations on two scalars; division and modulo tell nothing of their result. */
type RangeOp = Exclude<AluOp, 'mov' | 'div' | 'mod' | 'sdiv' | 'smod'>;

/** Changes `dst`, a fresh copy of the first operand. */
type Transfer = (dst: Scalar, src: Scalar, width: Width) => void;

const TRANSFER: Readonly<Record<RangeOp, Transfer>> = {
  add: (dst, src) => {
    add32(dst, src);
    add64(dst, src);
    addBits(dst, src);
  },
  sub: (dst, src) => {
    sub32(dst, src);
    sub64(dst, src);
    subBits(dst, src);
  },
  mul: (dst, src) => {
    mulBits(dst, src);
    mul32(dst, src);
    mul64(dst, src);
  },
  and: (dst, src) => {
    const known = dst.isConst && src.isConst;
    const known32 = dst.isConst32 && src.isConst32;
    andBits(dst, src);
    bitwise32(dst, known32, dst.valueLo, umin32(dst.u32max, src.u32max));
    const smaller = ult(src.umaxHi, src.umaxLo, dst.umaxHi, dst.umaxLo) ? src : dst;
    bitwise64(dst, known, dst.valueHi, dst.valueLo, smaller.umaxHi, smaller.umaxLo);
  },
  or: (dst, src) => {
    const known = dst.isConst && src.isConst;
    const known32 = dst.isConst32 && src.isConst32;
    orBits(dst, src);
    bitwise32(dst, known32, umax32(dst.u32min, src.u32min), dst.valueLo | dst.maskLo);
    const larger = ult(dst.uminHi, dst.uminLo, src.uminHi, src.uminLo) ? src : dst;
    const maxHi = dst.valueHi | dst.maskHi;
    bitwise64(dst, known, larger.uminHi, larger.uminLo, maxHi, dst.valueLo | dst.maskLo);
  },
  xor: (dst, src) => {
    const known = dst.isConst && src.isConst;
    const known32 = dst.isConst32 && src.isConst32;
    xorBits(dst, src);
    bitwise32(dst, known32, dst.valueLo, dst.valueLo | dst.maskLo);
    const maxHi = dst.valueHi | dst.maskHi;
    bitwise64(dst, known, dst.valueHi, dst.valueLo, maxHi, dst.valueLo | dst.maskLo);
  },
  lsh: (dst, src, width) => (width === 32 ? lsh32(dst, src.u32min) : lsh64(dst, src.uminLo)),
  rsh: (dst, src, width) => (width === 32 ? rsh32(dst, src.u32min) : rsh64(dst, src.uminLo)),
  arsh: (dst, src, width) => (width === 32 ? arsh32(dst, src.u32min) : arsh64(dst, src.uminLo)),
};

/** `dst op src` at a width. A 32-bit operation leaves the upper half zero. */
export function alu(op: AluOp, width: Width, dst: Scalar, src: Scalar): Scalar {
  if (op === 'mov') return width === 64 ? src : src.truncate(4);
  if (op === 'div' || op === 'mod' || op === 'sdiv' || op === 'smod') return Scalar.UNKNOWN;
  const shift = op === 'lsh' || op === 'rsh' || op === 'arsh';
  if (shift && !shiftKnown(src, width)) return Scalar.UNKNOWN;
  if (dst.isConst && src.isConst) return width === 64 ? constant64(op, dst, src) : constant32(op, dst, src);
  const result = dst.copy();
  TRANSFER[op](result, src, width);
  if (width === 32) result.zeroExtend32();
  return result.sync();
}

function constant32(op: RangeOp, { valueLo: a }: Scalar, { valueLo: b }: Scalar): Scalar {
  switch (op) {
    case 'add':
      return Scalar.known(0, a + b);
    case 'sub':
      return Scalar.known(0, a - b);
    case 'mul':
      return Scalar.known(0, Math.imul(a, b));
    case 'and':
      return Scalar.known(0, a & b);
    case 'or':
      return Scalar.known(0, a | b);
    case 'xor':
      return Scalar.known(0, a ^ b);
    case 'lsh':
      return Scalar.known(0, a << b);
    case 'rsh':
      return Scalar.known(0, a >>> b);
    case 'arsh':
      return Scalar.known(0, a >> b);
  }
}

function constant64(op: RangeOp, dst: Scalar, src: Scalar): Scalar {
  const { valueHi: aHi, valueLo: aLo } = dst;
  const { valueHi: bHi, valueLo: bLo } = src;
  let low: number;
  switch (op) {
    case 'add':
      low = add(aHi, aLo, bHi, bLo);
      break;
    case 'sub':
      low = sub(aHi, aLo, bHi, bLo);
      break;
    case 'mul':
      return Scalar.knownBig(dst.value * src.value);
    case 'and':
      return Scalar.known(aHi & bHi, aLo & bLo);
    case 'or':
      return Scalar.known(aHi | bHi, aLo | bLo);
    case 'xor':
      return Scalar.known(aHi ^ bHi, aLo ^ bLo);
    case 'lsh':
      low = shl(aHi, aLo, bLo);
      break;
    case 'rsh':
      low = shr(aHi, aLo, bLo);
      break;
    case 'arsh':
      low = sar(aHi, aLo, bLo);
      break;
  }
  return Scalar.known(hi, low);
}

/**
 * Linux explores `and` and `or` with a constant apart for both values of a register that is all ones or all zeros, as
 * `s>>= 31` leaves it: first for the ones, later, from the same instruction, for the zeros.
 *
 * @returns the two, or `undefined` where there is nothing to split
 */
export function split(op: AluOp, dst: Scalar, src: Scalar): { ones: Scalar; zeros: Scalar } | undefined {
  if ((op !== 'and' && op !== 'or') || !src.isConst) return undefined;
  if ((dst.sminHi & dst.sminLo) === -1 && (dst.smaxHi | dst.smaxLo) === 0) {
    return { ones: Scalar.known(-1, -1), zeros: Scalar.ZERO };
  }
  if (dst.s32min !== -1 || dst.s32max !== 0) return undefined;
  const ones = dst.copy();
  ones.setKnown32(-1);
  const zeros = dst.copy();
  zeros.setKnown32(0);
  return { ones, zeros };
}

/** `-dst` at a width. */
export function negate(width: Width, dst: Scalar): Scalar {
  const result = Scalar.ZERO.copy();
  TRANSFER.sub(result, dst, width);
  if (width === 32) result.zeroExtend32();
  return result.sync();
}

/** The shift's amount is one number, and less than the width. */
function shiftKnown(src: Scalar, width: Width): boolean {
  if (width === 32) {
    if (!src.isConst32 || src.u32min !== src.u32max || src.s32min !== src.s32max) return false;
  } else if (!src.isConst || src.uminLo !== src.umaxLo || src.uminHi !== src.umaxHi) {
    return false;
  }
  return src.umaxHi === 0 && ult32(src.umaxLo, width);
}

function umin32(a: number, b: number): number {
  return ult32(a, b) ? a : b;
}
function umax32(a: number, b: number): number {
  return ult32(a, b) ? b : a;
}

function fitsS32(value: number): boolean {
  return value === (value | 0);
}

function add32(dst: Scalar, src: Scalar): void {
  const smin = dst.s32min + src.s32min;
  const smax = dst.s32max + src.s32max;
  if (fitsS32(smin) && fitsS32(smax)) {
    dst.s32min = smin;
    dst.s32max = smax;
  } else {
    dst.unboundS32();
  }
  const umin = (dst.u32min >>> 0) + (src.u32min >>> 0);
  const umax = (dst.u32max >>> 0) + (src.u32max >>> 0);
  // When both ends wrap, or neither does, the range stays one run.
  if (umin <= 0xffffffff && umax > 0xffffffff) {
    dst.unboundU32();
  } else {
    dst.u32min = umin | 0;
    dst.u32max = umax | 0;
  }
}

function add64(dst: Scalar, src: Scalar): void {
  const sminLo = add(dst.sminHi, dst.sminLo, src.sminHi, src.sminLo);
  const sminHi = hi;
  const smaxLo = add(dst.smaxHi, dst.smaxLo, src.smaxHi, src.smaxLo);
  const smaxHi = hi;
  // A signed sum overflows when both operands have the sign that it has not.
  const overflow =
    ((dst.sminHi ^ sminHi) & (src.sminHi ^ sminHi)) < 0 ||
    ((dst.smaxHi ^ smaxHi) & (src.smaxHi ^ smaxHi)) < 0;
  if (overflow) {
    dst.unboundS64();
  } else {
    dst.sminHi = sminHi;
    dst.sminLo = sminLo;
    dst.smaxHi = smaxHi;
    dst.smaxLo = smaxLo;
  }
  const uminLo = add(dst.uminHi, dst.uminLo, src.uminHi, src.uminLo);
  const uminHi = hi;
  const umaxLo = add(dst.umaxHi, dst.umaxLo, src.umaxHi, src.umaxLo);
  const umaxHi = hi;
  const minWraps = ult(uminHi, uminLo, dst.uminHi, dst.uminLo);
  const maxWraps = ult(umaxHi, umaxLo, dst.umaxHi, dst.umaxLo);
  if (!minWraps && maxWraps) {
    dst.unboundU64();
  } else {
    dst.uminHi = uminHi;
    dst.uminLo = uminLo;
    dst.umaxHi = umaxHi;
    dst.umaxLo = umaxLo;
  }
}

function addBits(dst: Scalar, src: Scalar): void {
  const maskLo = add(dst.maskHi, dst.maskLo, src.maskHi, src.maskLo);
  const maskHi = hi;
  const valueLo = add(dst.valueHi, dst.valueLo, src.valueHi, src.valueLo);
  const valueHi = hi;
  const sigmaLo = add(maskHi, maskLo, valueHi, valueLo);
  const sigmaHi = hi;
  setBits(
    dst,
    valueHi,
    valueLo,
    (sigmaHi ^ valueHi) | dst.maskHi | src.maskHi,
    (sigmaLo ^ valueLo) | dst.maskLo | src.maskLo,
  );
}

function sub32(dst: Scalar, src: Scalar): void {
  const smin = dst.s32min - src.s32max;
  const smax = dst.s32max - src.s32min;
  if (fitsS32(smin) && fitsS32(smax)) {
    dst.s32min = smin;
    dst.s32max = smax;
  } else {
    dst.unboundS32();
  }
  const umin = (dst.u32min >>> 0) - (src.u32max >>> 0);
  const umax = (dst.u32max >>> 0) - (src.u32min >>> 0);
  if (umin < 0 && umax >= 0) {
    dst.unboundU32();
  } else {
    dst.u32min = umin | 0;
    dst.u32max = umax | 0;
  }
}

function sub64(dst: Scalar, src: Scalar): void {
  const sminLo = sub(dst.sminHi, dst.sminLo, src.smaxHi, src.smaxLo);
  const sminHi = hi;
  const smaxLo = sub(dst.smaxHi, dst.smaxLo, src.sminHi, src.sminLo);
  const smaxHi = hi;
  const overflow =
    ((dst.sminHi ^ src.smaxHi) & (dst.sminHi ^ sminHi)) < 0 ||
    ((dst.smaxHi ^ src.sminHi) & (dst.smaxHi ^ smaxHi)) < 0;
  if (overflow) {
    dst.unboundS64();
  } else {
    dst.sminHi = sminHi;
    dst.sminLo = sminLo;
    dst.smaxHi = smaxHi;
    dst.smaxLo = smaxLo;
  }
  const minWraps = ult(dst.uminHi, dst.uminLo, src.umaxHi, src.umaxLo);
  const maxWraps = ult(dst.umaxHi, dst.umaxLo, src.uminHi, src.uminLo);
  if (minWraps && !maxWraps) {
    dst.unboundU64();
    return;
  }
  const uminLo = sub(dst.uminHi, dst.uminLo, src.umaxHi, src.umaxLo);
  const uminHi = hi;
  dst.umaxLo = sub(dst.umaxHi, dst.umaxLo, src.uminHi, src.uminLo);
  dst.umaxHi = hi;
  dst.uminHi = uminHi;
  dst.uminLo = uminLo;
}

function subBits(dst: Scalar, src: Scalar): void {
  const valueLo = sub(dst.valueHi, dst.valueLo, src.valueHi, src.valueLo);
  const valueHi = hi;
  const alphaLo = add(valueHi, valueLo, dst.maskHi, dst.maskLo);
  const alphaHi = hi;
  const betaLo = sub(valueHi, valueLo, src.maskHi, src.maskLo);
  const betaHi = hi;
  setBits(
    dst,
    valueHi,
    valueLo,
    (alphaHi ^ betaHi) | dst.maskHi | src.maskHi,
    (alphaLo ^ betaLo) | dst.maskLo | src.maskLo,
  );
}

/** The known bits are those of the value that the mask does not cover. */
function setBits(dst: Scalar, valueHi: number, valueLo: number, maskHi: number, maskLo: number): void {
  dst.valueHi = valueHi & ~maskHi;
  dst.valueLo = valueLo & ~maskLo;
  dst.maskHi = maskHi;
  dst.maskLo = maskLo;
}

/**
 * Long multiplication, a bit of `dst` at a time: a certain 1 adds the shifted other operand, an uncertain bit may or
 * may not.
 */
function mulBits(dst: Scalar, src: Scalar): void {
  if (dst.isUnknown && src.isUnknown) return;
  const acc = Scalar.ZERO.copy();
  const sum = Scalar.ZERO.copy();
  const shifted = src.copy();
  let { valueHi, valueLo, maskHi, maskLo } = dst;
  while ((valueHi | valueLo | maskHi | maskLo) !== 0) {
    if ((valueLo & 1) !== 0) {
      addBits(acc, shifted);
    } else if ((maskLo & 1) !== 0) {
      setBits(sum, acc.valueHi, acc.valueLo, acc.maskHi, acc.maskLo);
      addBits(sum, shifted);
      setBits(
        acc,
        acc.valueHi & sum.valueHi,
        acc.valueLo & sum.valueLo,
        (acc.valueHi ^ sum.valueHi) | acc.maskHi | sum.maskHi,
        (acc.valueLo ^ sum.valueLo) | acc.maskLo | sum.maskLo,
      );
    }
    valueLo = shr(valueHi, valueLo, 1);
    valueHi = hi;
    maskLo = shr(maskHi, maskLo, 1);
    maskHi = hi;
    shiftBitsLeft(shifted, 1);
  }
  setBits(dst, acc.valueHi, acc.valueLo, acc.maskHi, acc.maskLo);
}

function mul32(dst: Scalar, src: Scalar): void {
  // Products of 32-bit numbers lose low bits as doubles, but not whether they fit 32 bits.
  const umax = (dst.u32max >>> 0) * (src.u32max >>> 0);
  if (umax > 0xffffffff) {
    dst.unboundU32();
  } else {
    dst.u32max = umax | 0;
    dst.u32min = ((dst.u32min >>> 0) * (src.u32min >>> 0)) | 0;
  }
  const products = [
    dst.s32min * src.s32min,
    dst.s32min * src.s32max,
    dst.s32max * src.s32min,
    dst.s32max * src.s32max,
  ];
  if (products.every(fitsS32)) {
    dst.s32min = Math.min(...products) | 0;
    dst.s32max = Math.max(...products) | 0;
  } else {
    dst.unboundS32();
  }
}

const U64_MAX = 0xffffffffffffffffn;
const S64_MIN = -0x8000000000000000n;
const S64_MAX = 0x7fffffffffffffffn;
/** Products of doubles up to here are exact; from the other on they don't fit 64 bits, whatever was rounded. */
const EXACT = 2 ** 53;
const HOPELESS = 2 ** 65;

const unsigned = (high: number, low: number): number => (high >>> 0) * 0x100000000 + (low >>> 0);
const signed = (high: number, low: number): number => high * 0x100000000 + (low >>> 0);

function mul64(dst: Scalar, src: Scalar): void {
  const smin = signed(dst.sminHi, dst.sminLo);
  const smax = signed(dst.smaxHi, dst.smaxLo);
  const otherMin = signed(src.sminHi, src.sminLo);
  const otherMax = signed(src.smaxHi, src.smaxLo);
  const products = [smin * otherMin, smin * otherMax, smax * otherMin, smax * otherMax];
  const low = Math.min(...products);
  const high = Math.max(...products);
  if (low >= -EXACT && high <= EXACT) {
    setSigned(dst, Math.floor(low / 0x100000000), low, Math.floor(high / 0x100000000), high);
  } else if (low <= -HOPELESS || high >= HOPELESS) {
    dst.unboundS64();
  } else {
    mulSigned(dst, src);
  }

  const umax = unsigned(dst.umaxHi, dst.umaxLo) * unsigned(src.umaxHi, src.umaxLo);
  if (umax >= HOPELESS) {
    dst.unboundU64();
  } else if (umax <= EXACT) {
    const umin = unsigned(dst.uminHi, dst.uminLo) * unsigned(src.uminHi, src.uminLo);
    setUnsigned(dst, Math.floor(umin / 0x100000000), umin, Math.floor(umax / 0x100000000), umax);
  } else {
    mulUnsigned(dst, src);
  }
}

function setSigned(dst: Scalar, minHi: number, minLo: number, maxHi: number, maxLo: number): void {
  dst.sminHi = minHi | 0;
  dst.sminLo = minLo | 0;
  dst.smaxHi = maxHi | 0;
  dst.smaxLo = maxLo | 0;
}

function setUnsigned(dst: Scalar, minHi: number, minLo: number, maxHi: number, maxLo: number): void {
  dst.uminHi = minHi | 0;
  dst.uminLo = minLo | 0;
  dst.umaxHi = maxHi | 0;
  dst.umaxLo = maxLo | 0;
}

function mulSigned(dst: Scalar, src: Scalar): void {
  const products = [dst.smin * src.smin, dst.smin * src.smax, dst.smax * src.smin, dst.smax * src.smax];
  products.sort((a, b) => (a < b ? -1 : 1));
  if (products[0]! < S64_MIN || products[3]! > S64_MAX) {
    dst.unboundS64();
    return;
  }
  const low = Scalar.knownBig(products[0]!);
  const high = Scalar.knownBig(products[3]!);
  setSigned(dst, low.valueHi, low.valueLo, high.valueHi, high.valueLo);
}

function mulUnsigned(dst: Scalar, src: Scalar): void {
  const umax = dst.umax * src.umax;
  if (umax > U64_MAX) {
    dst.unboundU64();
    return;
  }
  const low = Scalar.knownBig(dst.umin * src.umin);
  const high = Scalar.knownBig(umax);
  setUnsigned(dst, low.valueHi, low.valueLo, high.valueHi, high.valueLo);
}

function andBits(dst: Scalar, src: Scalar): void {
  const valueHi = dst.valueHi & src.valueHi;
  const valueLo = dst.valueLo & src.valueLo;
  dst.maskHi = (dst.valueHi | dst.maskHi) & (src.valueHi | src.maskHi) & ~valueHi;
  dst.maskLo = (dst.valueLo | dst.maskLo) & (src.valueLo | src.maskLo) & ~valueLo;
  dst.valueHi = valueHi;
  dst.valueLo = valueLo;
}

function orBits(dst: Scalar, src: Scalar): void {
  dst.valueHi |= src.valueHi;
  dst.valueLo |= src.valueLo;
  dst.maskHi = (dst.maskHi | src.maskHi) & ~dst.valueHi;
  dst.maskLo = (dst.maskLo | src.maskLo) & ~dst.valueLo;
}

function xorBits(dst: Scalar, src: Scalar): void {
  setBits(
    dst,
    dst.valueHi ^ src.valueHi,
    dst.valueLo ^ src.valueLo,
    dst.maskHi | src.maskHi,
    dst.maskLo | src.maskLo,
  );
}

/** New 32-bit ranges of a bitwise operation: the signed one follows where the unsigned one keeps its sign. */
function bitwise32(dst: Scalar, known: boolean, min: number, max: number): void {
  if (known) {
    dst.u32min = dst.u32max = dst.s32min = dst.s32max = dst.valueLo;
    return;
  }
  dst.u32min = min;
  dst.u32max = max;
  if (min <= max) {
    dst.s32min = min;
    dst.s32max = max;
  } else {
    dst.unboundS32();
  }
}

function bitwise64(
  dst: Scalar,
  known: boolean,
  minHi: number,
  minLo: number,
  maxHi: number,
  maxLo: number,
): void {
  if (known) {
    dst.setKnown(dst.valueHi, dst.valueLo);
    return;
  }
  dst.uminHi = minHi;
  dst.uminLo = minLo;
  dst.umaxHi = maxHi;
  dst.umaxLo = maxLo;
  if (!slt(maxHi, maxLo, minHi, minLo)) {
    dst.sminHi = minHi;
    dst.sminLo = minLo;
    dst.smaxHi = maxHi;
    dst.smaxLo = maxLo;
  } else {
    dst.unboundS64();
  }
  dst.boundsFromBits();
}

function shiftBitsLeft(dst: Scalar, n: number): void {
  dst.valueLo = shl(dst.valueHi, dst.valueLo, n);
  dst.valueHi = hi;
  dst.maskLo = shl(dst.maskHi, dst.maskLo, n);
  dst.maskHi = hi;
}

/** The 32-bit ranges after a shift left: gone when a bit may leave at the top. */
function lshRange32(dst: Scalar, n: number): void {
  dst.unboundS32();
  if (n > 31 || dst.u32max >>> 0 > 2 ** (31 - n)) {
    dst.unboundU32();
  } else {
    dst.u32min <<= n;
    dst.u32max <<= n;
  }
}

function lsh32(dst: Scalar, n: number): void {
  lshRange32(dst, n);
  dst.valueHi = dst.maskHi = 0;
  dst.valueLo <<= n;
  dst.maskLo <<= n;
  dst.unbound64();
  dst.bounds32FromBits();
}

function lsh64(dst: Scalar, n: number): void {
  dst.unboundS64();
  if (n === 32) {
    // The first half of a sign extension from 32 bits: the 32-bit range moves up as it is.
    dst.smaxHi = dst.s32max;
    dst.smaxLo = 0;
    dst.sminHi = dst.s32min;
    dst.sminLo = 0;
  }
  const topLo = shl(0, 1, 63 - n);
  if (ult(hi, topLo, dst.umaxHi, dst.umaxLo)) {
    dst.unboundU64();
  } else {
    dst.uminLo = shl(dst.uminHi, dst.uminLo, n);
    dst.uminHi = hi;
    dst.umaxLo = shl(dst.umaxHi, dst.umaxLo, n);
    dst.umaxHi = hi;
  }
  lshRange32(dst, n);
  shiftBitsLeft(dst, n);
  dst.boundsFromBits();
}

function rsh32(dst: Scalar, n: number): void {
  dst.unboundS32();
  dst.valueHi = dst.maskHi = 0;
  dst.valueLo = (dst.valueLo >>> n) | 0;
  dst.maskLo = (dst.maskLo >>> n) | 0;
  dst.u32min = (dst.u32min >>> n) | 0;
  dst.u32max = (dst.u32max >>> n) | 0;
  dst.unbound64();
  dst.bounds32FromBits();
}

function rsh64(dst: Scalar, n: number): void {
  dst.unboundS64();
  dst.valueLo = shr(dst.valueHi, dst.valueLo, n);
  dst.valueHi = hi;
  dst.maskLo = shr(dst.maskHi, dst.maskLo, n);
  dst.maskHi = hi;
  dst.uminLo = shr(dst.uminHi, dst.uminLo, n);
  dst.uminHi = hi;
  dst.umaxLo = shr(dst.umaxHi, dst.umaxLo, n);
  dst.umaxHi = hi;
  dst.unbound32();
  dst.boundsFromBits();
}

function arsh32(dst: Scalar, n: number): void {
  dst.s32min >>= n;
  dst.s32max >>= n;
  dst.valueHi = dst.maskHi = 0;
  dst.valueLo >>= n;
  dst.maskLo >>= n;
  dst.unboundU32();
  dst.unbound64();
  dst.bounds32FromBits();
}

function arsh64(dst: Scalar, n: number): void {
  dst.sminLo = sar(dst.sminHi, dst.sminLo, n);
  dst.sminHi = hi;
  dst.smaxLo = sar(dst.smaxHi, dst.smaxLo, n);
  dst.smaxHi = hi;
  dst.valueLo = sar(dst.valueHi, dst.valueLo, n);
  dst.valueHi = hi;
  dst.maskLo = sar(dst.maskHi, dst.maskLo, n);
  dst.maskHi = hi;
  dst.unboundU64();
  dst.unbound32();
  dst.boundsFromBits();
}
