/**
 * What is known of a 64-bit value: which bits are certain (a "tnum": value and mask), and ranges as an unsigned and a
 * signed number, of the whole and of its low 32 bits. The views are kept consistent: what one of them learns, the
 * others are narrowed by ({@link Scalar.sync}), in the same steps as Linux takes, so that both know the same.
 *
 * A scalar is built by changing a fresh one and is not changed after it was handed out.
 *
 * @see Vishwanathan et al., "Sound, Precise, and Fast Abstract Interpretation with Tristate Numbers" (CGO 2022)
 */
import {
  add,
  bitLength,
  fromBig,
  hi,
  pair,
  shl,
  shr,
  slt,
  sub,
  toBigInt,
  toBigUint,
  ult,
  ult32,
} from './wide.ts';

const S32_MIN = -0x80000000;
const S32_MAX = 0x7fffffff;
const U32_MAX = -1;

/** Some range was narrowed since this was last cleared. */
let changed = false;

/** 64-bit members are pairs of signed 32-bit halves; 32-bit members, unsigned ones too, are signed 32-bit numbers. */
export class Scalar {
  /** Known bits: the value where the mask is 0. Bits of the value are 0 where the mask is 1. */
  valueHi = 0;
  valueLo = 0;
  maskHi = 0;
  maskLo = 0;
  uminHi = 0;
  uminLo = 0;
  umaxHi = 0;
  umaxLo = 0;
  sminHi = 0;
  sminLo = 0;
  smaxHi = 0;
  smaxLo = 0;
  u32min = 0;
  u32max = 0;
  s32min = 0;
  s32max = 0;

  static readonly ZERO: Scalar = new Scalar();
  static readonly UNKNOWN: Scalar = new Scalar().setUnknown();

  /** The constant with these halves. */
  static known(high: number, low: number): Scalar {
    return high === 0 && low === 0 ? Scalar.ZERO : new Scalar().setKnown(high | 0, low | 0);
  }

  /** The constant that a sign-extended 32-bit immediate is. */
  static knownImm(imm: number): Scalar {
    return Scalar.known(imm >> 31, imm | 0);
  }

  static knownBig(value: bigint): Scalar {
    const low = fromBig(value);
    return Scalar.known(hi, low);
  }

  copy(): Scalar {
    const to = new Scalar();
    to.set(this);
    return to;
  }

  set(from: Scalar): this {
    this.valueHi = from.valueHi;
    this.valueLo = from.valueLo;
    this.maskHi = from.maskHi;
    this.maskLo = from.maskLo;
    this.uminHi = from.uminHi;
    this.uminLo = from.uminLo;
    this.umaxHi = from.umaxHi;
    this.umaxLo = from.umaxLo;
    this.sminHi = from.sminHi;
    this.sminLo = from.sminLo;
    this.smaxHi = from.smaxHi;
    this.smaxLo = from.smaxLo;
    this.u32min = from.u32min;
    this.u32max = from.u32max;
    this.s32min = from.s32min;
    this.s32max = from.s32max;
    return this;
  }

  setKnown(high: number, low: number): this {
    this.valueHi = high;
    this.valueLo = low;
    this.maskHi = 0;
    this.maskLo = 0;
    this.uminHi = this.umaxHi = this.sminHi = this.smaxHi = high;
    this.uminLo = this.umaxLo = this.sminLo = this.smaxLo = low;
    this.u32min = this.u32max = this.s32min = this.s32max = low;
    return this;
  }

  /** The low 32 bits are known; the bits above stay as they are. */
  setKnown32(low: number): void {
    this.valueLo = low;
    this.maskLo = 0;
    this.u32min = this.u32max = this.s32min = this.s32max = low;
  }

  setUnknown(): this {
    this.valueHi = this.valueLo = 0;
    this.maskHi = this.maskLo = -1;
    this.unbound64();
    this.unbound32();
    return this;
  }

  unbound64(): void {
    this.unboundU64();
    this.unboundS64();
  }
  unboundU64(): void {
    this.uminHi = this.uminLo = 0;
    this.umaxHi = this.umaxLo = -1;
  }
  unboundS64(): void {
    this.sminHi = S32_MIN;
    this.sminLo = 0;
    this.smaxHi = S32_MAX;
    this.smaxLo = -1;
  }
  unbound32(): void {
    this.unboundU32();
    this.unboundS32();
  }
  unboundU32(): void {
    this.u32min = 0;
    this.u32max = U32_MAX;
  }
  unboundS32(): void {
    this.s32min = S32_MIN;
    this.s32max = S32_MAX;
  }

  get isConst(): boolean {
    return (this.maskHi | this.maskLo) === 0;
  }
  get isConst32(): boolean {
    return this.maskLo === 0;
  }
  get isUnknown(): boolean {
    return (this.maskHi & this.maskLo) === -1;
  }
  isConstValue(high: number, low: number): boolean {
    return this.isConst && this.valueHi === high && this.valueLo === low;
  }

  /** The known value as a number; exact for values that fit 53 bits, signed. */
  constNumber(): number {
    return this.valueHi * 0x100000000 + (this.valueLo >>> 0);
  }
  get umin(): bigint {
    return toBigUint(this.uminHi, this.uminLo);
  }
  get umax(): bigint {
    return toBigUint(this.umaxHi, this.umaxLo);
  }
  get smin(): bigint {
    return toBigInt(this.sminHi, this.sminLo);
  }
  get smax(): bigint {
    return toBigInt(this.smaxHi, this.smaxLo);
  }
  get value(): bigint {
    return toBigUint(this.valueHi, this.valueLo);
  }
  get mask(): bigint {
    return toBigUint(this.maskHi, this.maskLo);
  }

  /** Raises the unsigned minimum to the given value when that is higher; the other setters alike. */
  raiseUmin(high: number, low: number): void {
    if (ult(this.uminHi, this.uminLo, high, low)) {
      this.uminHi = high;
      this.uminLo = low;
      changed = true;
    }
  }
  lowerUmax(high: number, low: number): void {
    if (ult(high, low, this.umaxHi, this.umaxLo)) {
      this.umaxHi = high;
      this.umaxLo = low;
      changed = true;
    }
  }
  raiseSmin(high: number, low: number): void {
    if (slt(this.sminHi, this.sminLo, high, low)) {
      this.sminHi = high;
      this.sminLo = low;
      changed = true;
    }
  }
  lowerSmax(high: number, low: number): void {
    if (slt(high, low, this.smaxHi, this.smaxLo)) {
      this.smaxHi = high;
      this.smaxLo = low;
      changed = true;
    }
  }
  raiseU32min(value: number): void {
    if (ult32(this.u32min, value)) {
      this.u32min = value;
      changed = true;
    }
  }
  lowerU32max(value: number): void {
    if (ult32(value, this.u32max)) {
      this.u32max = value;
      changed = true;
    }
  }
  raiseS32min(value: number): void {
    if (this.s32min < value) {
      this.s32min = value;
      changed = true;
    }
  }
  lowerS32max(value: number): void {
    if (value < this.s32max) {
      this.s32max = value;
      changed = true;
    }
  }

  /** Ranges learn from the known bits. */
  boundsFromBits(): void {
    this.bounds32FromBits();
    this.bounds64FromBits();
  }

  bounds32FromBits(): void {
    const { valueLo, maskLo } = this;
    this.raiseS32min(valueLo | (maskLo & S32_MIN));
    this.lowerS32max(valueLo | (maskLo & S32_MAX));
    this.raiseU32min(valueLo);
    this.lowerU32max(valueLo | maskLo);
  }

  bounds64FromBits(): void {
    const { valueHi, valueLo, maskHi, maskLo } = this;
    this.raiseSmin(valueHi | (maskHi & S32_MIN), valueLo);
    this.lowerSmax(valueHi | (maskHi & S32_MAX), valueLo | maskLo);
    this.raiseUmin(valueHi, valueLo);
    this.lowerUmax(valueHi | maskHi, valueLo | maskLo);
    this.onlyMember();
  }

  /**
   * Bits and unsigned range may have a single number in common: then that is the number.
   *
   * The members of the bits around `umin` decide: `umin` itself and the next one, or the next two.
   */
  private onlyMember(): void {
    const { valueHi, valueLo, maskHi, maskLo, uminHi, uminLo, umaxHi, umaxLo } = this;
    const mostHi = valueHi | maskHi;
    const mostLo = valueLo | maskLo;
    const least = uminHi === valueHi && uminLo === valueLo;
    // Both the least and the greatest member are in the range: most often so.
    if (least && umaxHi === mostHi && umaxLo === mostLo) return;
    const member = (uminHi & ~maskHi) === valueHi && (uminLo & ~maskLo) === valueLo;
    const nextLo = nextMember(this, uminHi, uminLo);
    const nextHi = hi;
    if (member) {
      if (ult(umaxHi, umaxLo, nextHi, nextLo)) this.setKnown(uminHi, uminLo);
      return;
    }
    if (nextHi === mostHi && nextLo === mostLo) {
      this.setKnown(mostHi, mostLo);
      return;
    }
    if (ult(umaxHi, umaxLo, nextHi, nextLo)) return;
    const secondLo = nextMember(this, nextHi, nextLo);
    if (ult(umaxHi, umaxLo, hi, secondLo)) this.setKnown(nextHi, nextLo);
  }

  /** The 32-bit ranges learn from the 64-bit ones and from each other. */
  private deduce32(): void {
    const { uminHi, uminLo, umaxHi, umaxLo, sminHi, sminLo, smaxHi, smaxLo } = this;
    if (uminHi === umaxHi) {
      this.raiseU32min(uminLo);
      this.lowerU32max(umaxLo);
      if (uminLo <= umaxLo) {
        this.raiseS32min(uminLo);
        this.lowerS32max(umaxLo);
      }
    }
    if (sminHi === smaxHi) {
      if (!ult32(smaxLo, sminLo)) {
        this.raiseU32min(sminLo);
        this.lowerU32max(smaxLo);
      }
      if (sminLo <= smaxLo) {
        this.raiseS32min(sminLo);
        this.lowerS32max(smaxLo);
      }
    }
    // The upper halves are neighbours and the low halves go from negative to positive: one run of s32.
    if (((uminHi + 1) | 0) === umaxHi && uminLo < 0 && umaxLo >= 0) {
      this.raiseS32min(uminLo);
      this.lowerS32max(umaxLo);
    }
    if (((sminHi + 1) | 0) === smaxHi && sminLo < 0 && smaxLo >= 0) {
      this.raiseS32min(sminLo);
      this.lowerS32max(smaxLo);
    }
    if (this.u32min <= this.u32max) {
      this.raiseS32min(this.u32min);
      this.lowerS32max(this.u32max);
    }
    if (!ult32(this.s32max, this.s32min)) {
      this.raiseU32min(this.s32min);
      this.lowerU32max(this.s32max);
    } else if (ult32(this.u32max, this.s32min)) {
      // As in 64 bits below: one end of the signed range is out of the unsigned one's reach.
      this.s32min = this.u32min;
      changed = true;
      this.lowerU32max(this.s32max);
    } else if (ult32(this.s32max, this.u32min)) {
      this.s32max = this.u32max;
      changed = true;
      this.raiseU32min(this.s32min);
    }
  }

  private deduce64(): void {
    // Neither view wraps inside the other: they bound each other directly.
    if (!slt(this.umaxHi, this.umaxLo, this.uminHi, this.uminLo)) {
      this.raiseSmin(this.uminHi, this.uminLo);
      this.lowerSmax(this.umaxHi, this.umaxLo);
    }
    if (!ult(this.smaxHi, this.smaxLo, this.sminHi, this.sminLo)) {
      this.raiseUmin(this.sminHi, this.sminLo);
      this.lowerUmax(this.smaxHi, this.smaxLo);
    } else if (ult(this.umaxHi, this.umaxLo, this.sminHi, this.sminLo)) {
      // The signed range is both ends of the unsigned one; only its non-negative end is possible.
      this.sminHi = this.uminHi;
      this.sminLo = this.uminLo;
      changed = true;
      this.lowerUmax(this.smaxHi, this.smaxLo);
    } else if (ult(this.smaxHi, this.smaxLo, this.uminHi, this.uminLo)) {
      this.smaxHi = this.umaxHi;
      this.smaxLo = this.umaxLo;
      changed = true;
      this.raiseUmin(this.sminHi, this.sminLo);
    }
  }

  /** The 64-bit ranges learn from the 32-bit ones. */
  private deduceMixed(): void {
    this.raiseUmin(this.uminHi, this.u32min);
    this.lowerUmax(this.umaxHi, this.u32max);
    this.raiseSmin(this.sminHi, this.u32min);
    this.lowerSmax(this.smaxHi, this.u32max);
    // Upper halves all ones or all zeros, as a sign extension leaves them, and a non-negative low half: all zeros.
    if (
      this.s32min >= 0 &&
      !slt(this.sminHi, this.sminLo, -1, S32_MIN) &&
      !slt(0, U32_MAX, this.smaxHi, this.smaxLo)
    ) {
      changed = true;
      // The maximum is negative only where the range is empty.
      const maxHi = this.s32max >> 31;
      this.sminHi = this.uminHi = 0;
      this.sminLo = this.uminLo = this.s32min;
      this.smaxHi = this.umaxHi = maxHi;
      this.smaxLo = this.umaxLo = this.s32max;
      this.intersectRange(0, this.s32min, maxHi, this.s32max);
    }
  }

  /** Known bits learn from a range: the bits above the highest one in which its ends differ. */
  private intersectRange(minHi: number, minLo: number, maxHi: number, maxLo: number): void {
    const bits = bitLength(minHi ^ maxHi, minLo ^ maxLo);
    let maskHi = -1;
    let maskLo = -1;
    if (bits < 64) {
      const low = shl(0, 1, bits);
      maskLo = sub(hi, low, 0, 1);
      maskHi = hi;
    }
    const muHi = this.maskHi & maskHi;
    const muLo = this.maskLo & maskLo;
    this.valueHi = (this.valueHi | (minHi & ~maskHi)) & ~muHi;
    this.valueLo = (this.valueLo | (minLo & ~maskLo)) & ~muLo;
    this.maskHi = muHi;
    this.maskLo = muLo;
  }

  private bitsFromBounds(): void {
    this.intersectRange(this.uminHi, this.uminLo, this.umaxHi, this.umaxLo);
    const { valueHi, maskHi } = this;
    this.valueHi = 0;
    this.maskHi = 0;
    this.intersectRange(0, this.u32min, 0, this.u32max);
    this.valueHi = valueHi;
    this.maskHi = maskHi;
  }

  /** Makes the views consistent after one of them was changed. */
  sync(): this {
    this.boundsFromBits();
    // Linux makes three rounds; after one that learns nothing the others learn nothing either.
    for (let round = 0; round < 3; round++) {
      changed = false;
      this.deduce32();
      this.deduce64();
      this.deduceMixed();
      if (!changed) break;
    }
    this.bitsFromBounds();
    this.boundsFromBits();
    return this;
  }

  /**
   * The views contradict each other: no value is possible, which only a dead way can lead to. A known value's ranges
   * must be that value.
   */
  get isContradictory(): boolean {
    const { valueHi, valueLo } = this;
    if (
      ult(this.umaxHi, this.umaxLo, this.uminHi, this.uminLo) ||
      slt(this.smaxHi, this.smaxLo, this.sminHi, this.sminLo) ||
      ult32(this.u32max, this.u32min) ||
      this.s32max < this.s32min
    ) {
      return true;
    }
    if (this.maskLo !== 0) return false;
    if (
      (this.u32min ^ valueLo) |
      (this.u32max ^ valueLo) |
      (this.s32min ^ valueLo) |
      (this.s32max ^ valueLo)
    ) {
      return true;
    }
    if (this.maskHi !== 0) return false;
    const low =
      (this.uminLo ^ valueLo) | (this.umaxLo ^ valueLo) | (this.sminLo ^ valueLo) | (this.smaxLo ^ valueLo);
    const high =
      (this.uminHi ^ valueHi) | (this.umaxHi ^ valueHi) | (this.sminHi ^ valueHi) | (this.smaxHi ^ valueHi);
    return (low | high) !== 0;
  }

  /** Linux goes on after a contradiction with the bits as they are and without ranges. */
  settle(): this {
    if (this.isContradictory) {
      this.unbound64();
      this.unbound32();
    }
    return this;
  }

  /** After a 32-bit operation: the upper half is zero. */
  zeroExtend32(): void {
    this.valueHi = this.maskHi = 0;
    this.uminHi = this.umaxHi = 0;
    this.uminLo = this.u32min;
    this.umaxLo = this.u32max;
    this.sminHi = this.smaxHi = 0;
    if (this.s32min >= 0 && this.s32max >= 0) {
      this.sminLo = this.s32min;
      this.smaxLo = this.s32max;
    } else {
      this.sminLo = 0;
      this.smaxLo = U32_MAX;
    }
  }

  /** The value modulo 2^(8 * size), zero-extended. @param size bytes: 1, 2 or 4 */
  truncate(size: number): Scalar {
    const to = this.copy();
    const mask = size === 4 ? -1 : (1 << (size * 8)) - 1;
    to.valueHi = to.maskHi = 0;
    to.valueLo &= mask;
    to.maskLo &= mask;
    const same =
      this.uminHi === this.umaxHi && (size === 4 || (this.uminLo & ~mask) === (this.umaxLo & ~mask));
    to.uminHi = to.umaxHi = to.sminHi = to.smaxHi = 0;
    to.uminLo = same ? this.uminLo & mask : 0;
    to.umaxLo = same ? this.umaxLo & mask : mask;
    to.sminLo = to.uminLo;
    to.smaxLo = to.umaxLo;
    if (size < 4) to.unbound32();
    return to.sync();
  }

  /** The low `bits` sign-extended to 64 bits. */
  signExtend64(bits: 8 | 16 | 32): Scalar {
    const to = new Scalar();
    const extend = (low: number) => (low << (32 - bits)) >> (32 - bits);
    if (this.isConst) {
      const low = extend(this.valueLo);
      return to.setKnown(low >> 31, low);
    }
    // The ends agree above the bits that are kept, so they are the ends of what is kept.
    const topSame =
      bits === 32
        ? this.smaxHi === this.sminHi
        : this.smaxHi === this.sminHi && this.smaxLo >> bits === this.sminLo >> bits;
    if (topSame) {
      const a = extend(this.smaxLo);
      const b = extend(this.sminLo);
      if (a >= 0 === b >= 0) {
        const min = Math.min(a, b);
        const max = Math.max(a, b);
        to.setUnknown();
        to.uminHi = to.sminHi = min >> 31;
        to.umaxHi = to.smaxHi = max >> 31;
        to.uminLo = to.sminLo = to.u32min = to.s32min = min;
        to.umaxLo = to.smaxLo = to.u32max = to.s32max = max;
        to.intersectRange(min >> 31, min, max >> 31, max);
        return to;
      }
    }
    const max = bits === 32 ? S32_MAX : (1 << (bits - 1)) - 1;
    to.setUnknown();
    to.sminHi = -1;
    to.sminLo = to.s32min = ~max;
    to.smaxHi = 0;
    to.smaxLo = to.s32max = max;
    return to;
  }

  /** The low `bits` sign-extended to 32 bits; the upper half becomes zero. */
  signExtend32(bits: 8 | 16): Scalar {
    const to = this.copy();
    const extend = (low: number) => (low << (32 - bits)) >> (32 - bits);
    if (this.isConst32) {
      const low = extend(this.valueLo);
      to.setKnown32(low);
    } else {
      const a = extend(this.s32max);
      const b = extend(this.s32min);
      if (this.s32max >> bits === this.s32min >> bits && a >= 0 === b >= 0) {
        const min = Math.min(a, b);
        const max = Math.max(a, b);
        to.s32min = to.u32min = min;
        to.s32max = to.u32max = max;
        to.valueLo = 0;
        to.maskLo = -1;
        to.valueHi = to.maskHi = 0;
        to.intersectRange(0, min, 0, max);
      } else {
        const max = (1 << (bits - 1)) - 1;
        to.s32min = ~max;
        to.s32max = max;
        to.unboundU32();
        to.valueLo = 0;
        to.maskLo = -1;
      }
    }
    to.zeroExtend32();
    return to.sync();
  }
}

/**
 * The smallest number above `n` that the bits allow, or the greatest that they allow when none is above. The low half is
 * returned, the high half is in `hi` of wide.ts.
 */
function nextMember(bits: Scalar, nHi: number, nLo: number): number {
  const { valueHi, valueLo, maskHi, maskLo } = bits;
  const mostHi = valueHi | maskHi;
  const mostLo = valueLo | maskLo;
  if (!ult(nHi, nLo, mostHi, mostLo)) return pair(mostHi, mostLo);
  if (ult(nHi, nLo, valueHi, valueLo)) return pair(valueHi, valueLo);
  const fromLo = add(nHi, nLo, 0, 1);
  const fromHi = hi;
  const wrongHi = (fromHi ^ valueHi) & ~maskHi;
  const wrongLo = (fromLo ^ valueLo) & ~maskLo;
  const wrong = bitLength(wrongHi, wrongLo);
  if (wrong === 0) return pair(fromHi, fromLo);
  // Below the highest known bit that disagrees everything is as small as the bits allow.
  const bit = wrong - 1;
  const knownOne = bit >= 32 ? valueHi & (1 << (bit - 32)) : valueLo & (1 << bit);
  let top = wrong;
  let carryHi = 0;
  let carryLo = 0;
  if (knownOne === 0) {
    // The number has a 1 where a 0 is known: the next unknown 0 above it must become a 1.
    if (wrong === 64) return pair(mostHi, mostLo);
    let free = wrong;
    let freeLo = shr(maskHi & ~fromHi, maskLo & ~fromLo, wrong);
    if (freeLo === 0) {
      free += 32;
      freeLo = hi;
    }
    if (freeLo === 0) return pair(mostHi, mostLo);
    free += 31 - Math.clz32(freeLo & -freeLo);
    carryLo = shl(0, 1, free);
    carryHi = hi;
    top = free + 1;
  }
  const lowMaskLo = top >= 32 ? -1 : (1 << top) - 1;
  const lowMaskHi = top >= 64 ? -1 : top > 32 ? (1 << (top - 32)) - 1 : 0;
  return pair(
    (fromHi & ~lowMaskHi) | carryHi | (valueHi & lowMaskHi),
    (fromLo & ~lowMaskLo) | carryLo | (valueLo & lowMaskLo),
  );
}

/** Both describe the same values in the same way. */
export function equals(a: Scalar, b: Scalar): boolean {
  return (
    a === b ||
    (a.valueLo === b.valueLo &&
      a.maskLo === b.maskLo &&
      a.uminLo === b.uminLo &&
      a.umaxLo === b.umaxLo &&
      a.sminLo === b.sminLo &&
      a.smaxLo === b.smaxLo &&
      a.valueHi === b.valueHi &&
      a.maskHi === b.maskHi &&
      a.uminHi === b.uminHi &&
      a.umaxHi === b.umaxHi &&
      a.sminHi === b.sminHi &&
      a.smaxHi === b.smaxHi &&
      a.u32min === b.u32min &&
      a.u32max === b.u32max &&
      a.s32min === b.s32min &&
      a.s32max === b.s32max)
  );
}

/** Every value of `inner` is one of `outer`, as far as the views tell. */
export function contains(outer: Scalar, inner: Scalar): boolean {
  return (
    outer === inner ||
    (!ult(inner.uminHi, inner.uminLo, outer.uminHi, outer.uminLo) &&
      !ult(outer.umaxHi, outer.umaxLo, inner.umaxHi, inner.umaxLo) &&
      !slt(inner.sminHi, inner.sminLo, outer.sminHi, outer.sminLo) &&
      !slt(outer.smaxHi, outer.smaxLo, inner.smaxHi, inner.smaxLo) &&
      !ult32(inner.u32min, outer.u32min) &&
      !ult32(outer.u32max, inner.u32max) &&
      outer.s32min <= inner.s32min &&
      outer.s32max >= inner.s32max &&
      bitsContain(outer, inner))
  );
}

/** Bits that `outer` knows, `inner` knows too, and they agree. */
function bitsContain(outer: Scalar, inner: Scalar): boolean {
  if (((inner.maskHi & ~outer.maskHi) | (inner.maskLo & ~outer.maskLo)) !== 0) return false;
  return (
    outer.valueHi === (inner.valueHi & ~outer.maskHi) && outer.valueLo === (inner.valueLo & ~outer.maskLo)
  );
}
