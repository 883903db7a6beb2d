/** What a comparison tells: which way it must go, and what holds of its operands on each way. */
import type { JmpOp, Width } from '../../../isa/insn.ts';
import { Scalar } from './scalar.ts';
import { add, hi, slt, sub, ult, ult32 } from './wide.ts';

/** A condition that holds: the jump's own, or its opposite on the way that falls through. */
type Condition = JmpOp | 'not-jset';

const OPPOSITE: Readonly<Record<JmpOp, Condition>> = {
  jeq: 'jne',
  jne: 'jeq',
  jset: 'not-jset',
  jgt: 'jle',
  jle: 'jgt',
  jge: 'jlt',
  jlt: 'jge',
  jsgt: 'jsle',
  jsle: 'jsgt',
  jsge: 'jslt',
  jslt: 'jsge',
};

/** The operands of a comparison as they are on each way. */
export interface Refined {
  readonly taken: readonly [Scalar, Scalar];
  readonly fallthrough: readonly [Scalar, Scalar];
}

/** An operand whose views contradict each other on one way: that way is dead, which {@link decide} did not see. */
export interface Contradiction {
  readonly way: 'taken' | 'fallthrough';
  readonly operand: 1 | 2;
  /** As it was before it was settled. */
  readonly scalar: Scalar;
}

/**
 * What holds after `a op b` jumped and after it did not, where {@link decide} leaves both open.
 *
 * @param found takes the contradictions, in Linux's order
 */
export function refineBoth(op: JmpOp, width: Width, a: Scalar, b: Scalar, found?: Contradiction[]): Refined {
  return {
    taken: refine(op, 'taken', width, a, b, found),
    fallthrough: refine(OPPOSITE[op], 'fallthrough', width, a, b, found),
  };
}

/** As {@link refineBoth} where one register is compared with itself: both operands are narrowed as one. */
export function refineSame(
  op: JmpOp,
  width: Width,
  a: Scalar,
  found?: Contradiction[],
): { taken: Scalar; fallthrough: Scalar } {
  return {
    taken: refineOne(op, 'taken', width, a, found),
    fallthrough: refineOne(OPPOSITE[op], 'fallthrough', width, a, found),
  };
}

function refineOne(
  condition: Condition,
  way: Contradiction['way'],
  width: Width,
  a: Scalar,
  found: Contradiction[] | undefined,
): Scalar {
  const x = a.copy();
  if (width === 64) narrow64(condition, x, x);
  else narrow32(condition, x, x);
  return settle(x.sync().sync(), way, 1, found);
}

function refine(
  condition: Condition,
  way: Contradiction['way'],
  width: Width,
  a: Scalar,
  b: Scalar,
  found: Contradiction[] | undefined,
): readonly [Scalar, Scalar] {
  const x = a.isConst ? known.set(a) : a.copy();
  const y = b.isConst ? (a.isConst ? b.copy() : known.set(b)) : b.copy();
  if (width === 64) narrow64(condition, x, y);
  else narrow32(condition, x, y);
  return [
    a.isConst ? settleKnown(a, x, way, 1, found) : settle(x.sync(), way, 1, found),
    b.isConst ? settleKnown(b, y, way, 2, found) : settle(y.sync(), way, 2, found),
  ];
}

/** Takes the place of a constant operand: on a way that is possible there is nothing more to learn of it. */
const known = new Scalar();

/** A known value that the comparison left as it was stays the same record. */
function settleKnown(
  before: Scalar,
  after: Scalar,
  way: Contradiction['way'],
  operand: 1 | 2,
  found: Contradiction[] | undefined,
): Scalar {
  return after.isContradictory ? settle(after.copy().sync(), way, operand, found) : before;
}

function settle(
  scalar: Scalar,
  way: Contradiction['way'],
  operand: 1 | 2,
  found: Contradiction[] | undefined,
): Scalar {
  if (found !== undefined && scalar.isContradictory) found.push({ way, operand, scalar: scalar.copy() });
  return scalar.settle();
}

/** Keeps the bits that both know; where they contradict each other the way is dead and the value does not matter. */
function meetBits(a: Scalar, b: Scalar, whole: boolean): void {
  const maskLo = a.maskLo & b.maskLo;
  const valueLo = (a.valueLo | b.valueLo) & ~maskLo;
  a.maskLo = b.maskLo = maskLo;
  a.valueLo = b.valueLo = valueLo;
  if (!whole) return;
  const maskHi = a.maskHi & b.maskHi;
  const valueHi = (a.valueHi | b.valueHi) & ~maskHi;
  a.maskHi = b.maskHi = maskHi;
  a.valueHi = b.valueHi = valueHi;
}

function isPowerOfTwo(high: number, low: number): boolean {
  const one = (half: number) => half !== 0 && (half & (half - 1)) === 0;
  return high === 0 ? one(low) : low === 0 && one(high);
}

function narrow64(condition: Condition, a: Scalar, b: Scalar): void {
  switch (condition) {
    case 'jeq':
      a.raiseUmin(b.uminHi, b.uminLo);
      a.lowerUmax(b.umaxHi, b.umaxLo);
      a.raiseSmin(b.sminHi, b.sminLo);
      a.lowerSmax(b.smaxHi, b.smaxLo);
      b.raiseUmin(a.uminHi, a.uminLo);
      b.lowerUmax(a.umaxHi, a.umaxLo);
      b.raiseSmin(a.sminHi, a.sminLo);
      b.lowerSmax(a.smaxHi, a.smaxLo);
      meetBits(a, b, true);
      return;
    case 'jne':
      if (b.isConst) exclude64(a, b.valueHi, b.valueLo);
      else if (a.isConst) exclude64(b, a.valueHi, a.valueLo);
      return;
    case 'jset': {
      const [x, c] = b.isConst ? [a, b] : [b, a];
      // Several bits: at least one of them is set, which is nothing to remember.
      if (!c.isConst || !isPowerOfTwo(c.valueHi, c.valueLo)) return;
      x.valueHi |= c.valueHi;
      x.valueLo |= c.valueLo;
      x.maskHi &= ~c.valueHi;
      x.maskLo &= ~c.valueLo;
      return;
    }
    case 'not-jset': {
      const [x, c] = b.isConst ? [a, b] : [b, a];
      if (!c.isConst) return;
      x.valueHi &= ~c.valueHi;
      x.valueLo &= ~c.valueLo;
      x.maskHi &= ~c.valueHi;
      x.maskLo &= ~c.valueLo;
      // Linux goes on from the bits alone.
      x.unbound64();
      x.unbound32();
      return;
    }
    case 'jle':
      a.lowerUmax(b.umaxHi, b.umaxLo);
      b.raiseUmin(a.uminHi, a.uminLo);
      return;
    case 'jlt': {
      const maxLo = sub(b.umaxHi, b.umaxLo, 0, 1);
      a.lowerUmax(hi, maxLo);
      const minLo = add(a.uminHi, a.uminLo, 0, 1);
      b.raiseUmin(hi, minLo);
      return;
    }
    case 'jsle':
      a.lowerSmax(b.smaxHi, b.smaxLo);
      b.raiseSmin(a.sminHi, a.sminLo);
      return;
    case 'jslt': {
      const maxLo = sub(b.smaxHi, b.smaxLo, 0, 1);
      a.lowerSmax(hi, maxLo);
      const minLo = add(a.sminHi, a.sminLo, 0, 1);
      b.raiseSmin(hi, minLo);
      return;
    }
    case 'jge':
      narrow64('jle', b, a);
      return;
    case 'jgt':
      narrow64('jlt', b, a);
      return;
    case 'jsge':
      narrow64('jsle', b, a);
      return;
    case 'jsgt':
      narrow64('jslt', b, a);
      return;
  }
}

/** The value is not this one: helps when it is an end of a range. */
function exclude64(a: Scalar, high: number, low: number): void {
  if (a.uminHi === high && a.uminLo === low) {
    a.uminLo = add(a.uminHi, a.uminLo, 0, 1);
    a.uminHi = hi;
  }
  if (a.umaxHi === high && a.umaxLo === low) {
    a.umaxLo = sub(a.umaxHi, a.umaxLo, 0, 1);
    a.umaxHi = hi;
  }
  if (a.sminHi === high && a.sminLo === low) {
    a.sminLo = add(a.sminHi, a.sminLo, 0, 1);
    a.sminHi = hi;
  }
  if (a.smaxHi === high && a.smaxLo === low) {
    a.smaxLo = sub(a.smaxHi, a.smaxLo, 0, 1);
    a.smaxHi = hi;
  }
}

function narrow32(condition: Condition, a: Scalar, b: Scalar): void {
  switch (condition) {
    case 'jeq':
      a.raiseU32min(b.u32min);
      a.lowerU32max(b.u32max);
      a.raiseS32min(b.s32min);
      a.lowerS32max(b.s32max);
      b.raiseU32min(a.u32min);
      b.lowerU32max(a.u32max);
      b.raiseS32min(a.s32min);
      b.lowerS32max(a.s32max);
      meetBits(a, b, false);
      return;
    case 'jne':
      if (b.isConst32) exclude32(a, b.valueLo);
      else if (a.isConst32) exclude32(b, a.valueLo);
      return;
    case 'jset': {
      const [x, c] = b.isConst32 ? [a, b] : [b, a];
      if (!c.isConst32 || !isPowerOfTwo(0, c.valueLo)) return;
      x.valueLo |= c.valueLo;
      x.maskLo &= ~c.valueLo;
      return;
    }
    case 'not-jset': {
      const [x, c] = b.isConst32 ? [a, b] : [b, a];
      if (!c.isConst32) return;
      x.valueLo &= ~c.valueLo;
      x.maskLo &= ~c.valueLo;
      x.unbound64();
      x.unbound32();
      return;
    }
    case 'jle':
      a.lowerU32max(b.u32max);
      b.raiseU32min(a.u32min);
      return;
    case 'jlt':
      a.lowerU32max((b.u32max - 1) | 0);
      b.raiseU32min((a.u32min + 1) | 0);
      return;
    case 'jsle':
      a.lowerS32max(b.s32max);
      b.raiseS32min(a.s32min);
      return;
    case 'jslt':
      a.lowerS32max((b.s32max - 1) | 0);
      b.raiseS32min((a.s32min + 1) | 0);
      return;
    case 'jge':
      narrow32('jle', b, a);
      return;
    case 'jgt':
      narrow32('jlt', b, a);
      return;
    case 'jsge':
      narrow32('jsle', b, a);
      return;
    case 'jsgt':
      narrow32('jslt', b, a);
      return;
  }
}

function exclude32(a: Scalar, value: number): void {
  if (a.u32min === value) a.u32min = (value + 1) | 0;
  if (a.u32max === value) a.u32max = (value - 1) | 0;
  if (a.s32min === value) a.s32min = (value + 1) | 0;
  if (a.s32max === value) a.s32max = (value - 1) | 0;
}

/** Whether `a op b` must jump (`true`), can't (`false`), or may (`undefined`). */
export function decide(op: JmpOp, width: Width, a: Scalar, b: Scalar): boolean | undefined {
  switch (op) {
    case 'jeq':
      return equal(width, a, b);
    case 'jne': {
      const same = equal(width, a, b);
      return same === undefined ? undefined : !same;
    }
    case 'jset':
      return bitsSet(width, a, b);
    case 'jlt':
      return width === 64 ? less(a, b) : less32(a, b);
    case 'jge':
      return not(width === 64 ? less(a, b) : less32(a, b));
    case 'jgt':
      return width === 64 ? less(b, a) : less32(b, a);
    case 'jle':
      return not(width === 64 ? less(b, a) : less32(b, a));
    case 'jslt':
      return width === 64 ? lessSigned(a, b) : lessSigned32(a, b);
    case 'jsge':
      return not(width === 64 ? lessSigned(a, b) : lessSigned32(a, b));
    case 'jsgt':
      return width === 64 ? lessSigned(b, a) : lessSigned32(b, a);
    case 'jsle':
      return not(width === 64 ? lessSigned(b, a) : lessSigned32(b, a));
  }
}

function not(answer: boolean | undefined): boolean | undefined {
  return answer === undefined ? undefined : !answer;
}

function less(a: Scalar, b: Scalar): boolean | undefined {
  if (ult(a.umaxHi, a.umaxLo, b.uminHi, b.uminLo)) return true;
  return ult(a.uminHi, a.uminLo, b.umaxHi, b.umaxLo) ? undefined : false;
}
function less32(a: Scalar, b: Scalar): boolean | undefined {
  if (ult32(a.u32max, b.u32min)) return true;
  return ult32(a.u32min, b.u32max) ? undefined : false;
}
function lessSigned(a: Scalar, b: Scalar): boolean | undefined {
  if (slt(a.smaxHi, a.smaxLo, b.sminHi, b.sminLo)) return true;
  return slt(a.sminHi, a.sminLo, b.smaxHi, b.smaxLo) ? undefined : false;
}
function lessSigned32(a: Scalar, b: Scalar): boolean | undefined {
  if (a.s32max < b.s32min) return true;
  return a.s32min < b.s32max ? undefined : false;
}

/** The ranges of the low halves have nothing in common. */
function apart32(a: Scalar, b: Scalar): boolean {
  return ult32(b.u32max, a.u32min) || ult32(a.u32max, b.u32min) || a.s32min > b.s32max || a.s32max < b.s32min;
}

function equal(width: Width, a: Scalar, b: Scalar): boolean | undefined {
  if (width === 32) {
    if (a.isConst32 && b.isConst32) return a.valueLo === b.valueLo;
    if (((a.valueLo ^ b.valueLo) & ~(a.maskLo | b.maskLo)) !== 0) return false;
    return apart32(a, b) ? false : undefined;
  }
  if (a.isConst && b.isConst) return a.valueHi === b.valueHi && a.valueLo === b.valueLo;
  const differs =
    ((a.valueHi ^ b.valueHi) & ~(a.maskHi | b.maskHi)) | ((a.valueLo ^ b.valueLo) & ~(a.maskLo | b.maskLo));
  if (differs !== 0) return false;
  if (
    ult(b.umaxHi, b.umaxLo, a.uminHi, a.uminLo) ||
    ult(a.umaxHi, a.umaxLo, b.uminHi, b.uminLo) ||
    slt(b.smaxHi, b.smaxLo, a.sminHi, a.sminLo) ||
    slt(a.smaxHi, a.smaxLo, b.sminHi, b.sminLo)
  ) {
    return false;
  }
  return apart32(a, b) ? false : undefined;
}

function bitsSet(width: Width, a: Scalar, b: Scalar): boolean | undefined {
  const known = width === 64 ? b.isConst : b.isConst32;
  const [x, c] = known ? [a, b] : [b, a];
  if (!(width === 64 ? c.isConst : c.isConst32)) return undefined;
  const high = width === 64 ? -1 : 0;
  if (((x.valueLo & c.valueLo) | (x.valueHi & c.valueHi & high)) !== 0) return true;
  const possible = ((x.valueLo | x.maskLo) & c.valueLo) | ((x.valueHi | x.maskHi) & c.valueHi & high);
  return possible === 0 ? false : undefined;
}
