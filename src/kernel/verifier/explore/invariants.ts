/** Values that can't be: what a branch is left with that is dead without having been seen to be. */
import { PROG_LOAD_FLAGS } from '../../../sys/flags.ts';
import type { Scalar } from '../value/scalar.ts';
import { slt, ult, ult32 } from '../value/wide.ts';
import type { Explorer } from './explorer.ts';

/**
 * A value whose views contradict each other is treated as one that may be anything, as Linux does.
 *
 * @param context what made it, in the log's words
 */
export function checkInvariants(ex: Explorer, regno: number, context: string): void {
  const frame = ex.state.frame();
  const { scalar } = frame.reg(regno);
  if (!scalar.isContradictory) return;
  reportContradiction(ex, scalar, context);
  const unbounded = scalar.copy();
  unbounded.unbound64();
  unbounded.unbound32();
  frame.own(regno).scalar = unbounded;
}

/** Says it in the log; refuses the program where its flags ask for that. */
export function reportContradiction(ex: Explorer, scalar: Scalar, context: string): void {
  const text = `REG INVARIANTS VIOLATION (${context}): ${contradiction(scalar)} ${views(scalar)}`;
  ex.log.write(`verifier bug: ${text}\n`);
  if ((ex.draft.input.flags & PROG_LOAD_FLAGS.BPF_F_TEST_REG_INVARIANTS) === 0) return;
  ex.refuse('register-invariants', text, {
    logged: true,
    reason: `what is known of a register (${context}) contradicts itself, so no value is possible`,
  });
}

function contradiction(scalar: Scalar): string {
  const { uminHi, uminLo, umaxHi, umaxLo, sminHi, sminLo, smaxHi, smaxLo, valueHi, valueLo } = scalar;
  if (
    ult(umaxHi, umaxLo, uminHi, uminLo) ||
    slt(smaxHi, smaxLo, sminHi, sminLo) ||
    ult32(scalar.u32max, scalar.u32min) ||
    scalar.s32max < scalar.s32min
  ) {
    return 'range bounds violation';
  }
  const agrees = (hi: number, lo: number) => hi === valueHi && lo === valueLo;
  const all = agrees(uminHi, uminLo) && agrees(umaxHi, umaxLo) && agrees(sminHi, sminLo);
  return scalar.isConst && !(all && agrees(smaxHi, smaxLo))
    ? 'const tnum out of sync with range bounds'
    : 'const subreg tnum out of sync with range bounds';
}

function views(scalar: Scalar): string {
  const hex = (value: bigint) => `0x${BigInt.asUintN(64, value).toString(16)}`;
  const hex32 = (value: number) => `0x${(value >>> 0).toString(16)}`;
  return (
    `u64=[${hex(scalar.umin)}, ${hex(scalar.umax)}] s64=[${hex(scalar.smin)}, ${hex(scalar.smax)}] ` +
    `u32=[${hex32(scalar.u32min)}, ${hex32(scalar.u32max)}] s32=[${hex32(scalar.s32min)}, ${hex32(scalar.s32max)}] ` +
    `var_off=(${hex(scalar.value)}, ${hex(scalar.mask)})`
  );
}
