/**
 * `exit`: from the program, from a subprogram or callback back to its caller, and by exception through all of them.
 * What was acquired must have been given back, and r0 must hold what the one that gets it can use.
 */
import type { Scalar } from '../value/scalar.ts';
import { slt, toBigInt } from '../value/wide.ts';
import { markRegPrecise } from './backtrack.ts';
import { type ExitRange, programExit } from './exit-range.ts';
import type { Explorer } from './explorer.ts';
import { checkResourceLeak } from './leaks.ts';
import { earlierRound, widenScalars } from './may-goto.ts';
import { baseType, PTR_TO_STACK, regTypeName, SCALAR } from './reg-type.ts';
import { isPointer, readReg } from './regs.ts';

const S32_MIN = -0x80000000;
const S32_MAX = 0x7fffffff;

/** @returns whether the path ended */
export function checkExit(ex: Explorer): boolean {
  const { state } = ex;
  checkResourceLeak(ex, false, state.curframe === 0, 'BPF_EXIT instruction in main prog');
  if (state.curframe > 0) {
    ex.stackLiveness.update();
    returnToCaller(ex);
    ex.announce = true;
    return false;
  }
  checkReturnCode(ex, 0);
  return true;
}

/** An exception leaves the program from wherever it is: nothing may be held then. */
export function leaveByException(ex: Explorer): void {
  checkResourceLeak(ex, true, true, 'bpf_throw');
}

/** Leaves the running frame as its exit does; `ex.insnIdx` becomes the instruction that its caller goes on with. */
export function returnToCaller(ex: Explorer): void {
  const { state } = ex;
  const callee = state.frame();
  const r0 = callee.reg(0);
  if (r0.type === PTR_TO_STACK) {
    ex.refuse('returns-stack-pointer', 'cannot return stack pointer to the caller', {
      reason: 'the stack frame that r0 points into is gone when the function returned',
    });
  }
  const caller = state.frames[state.curframe - 1]!;
  const callback = callee.kind === 'callback';
  if (callback) {
    if (r0.type !== SCALAR) {
      ex.refuse('bad-return-value', 'R0 not a scalar value', {
        reason: 'a callback returns a number that says whether to go on',
        errno: 'EACCES',
      });
    }
    markRegPrecise(ex, 0);
    const [min, max] = callee.callbackRet;
    if (!within(r0.scalar, { min, max, bits: 64 })) {
      refuseReturn(ex, r0.scalar, { min, max, bits: 64 }, 'At callback return', 'R0');
    }
  } else {
    caller.regs[0] = r0;
  }
  ex.insnIdx = callback ? callee.callsite : callee.callsite + 1;
  if (ex.log.wantsPath) {
    ex.log.write('returning from callee:\n');
    ex.log.frame(state, callee.frameno, true);
    ex.log.write(`to caller at ${ex.insnIdx}:\n`);
    ex.log.frame(state, caller.frameno, true);
  }
  state.frames.pop();
  ex.stackLiveness.frameChanged();
  if (!callback) return;
  // Scalars that only count the rounds would keep the states of a callback's rounds from ever being alike.
  const before = earlierRound(ex, state, ex.insnIdx);
  if (before !== undefined) widenScalars(ex, before, state);
}

/** Whether all values of the scalar are in the range. */
export function within(scalar: Scalar, range: ExitRange): boolean {
  if (range.bits === 32) return range.min <= scalar.s32min && scalar.s32max <= range.max;
  const { sminHi, sminLo, smaxHi, smaxLo } = scalar;
  return !slt(sminHi, sminLo, range.min >> 31, range.min) && !slt(range.max >> 31, range.max, smaxHi, smaxLo);
}

/** Refuses a value that is not in its range. @param when `At program exit` @param register `R0` */
export function refuseReturn(
  ex: Explorer,
  scalar: Scalar,
  range: ExitRange,
  when: string,
  register: string,
  notes = '',
): never {
  const { sminHi, sminLo, smaxHi, smaxLo } = scalar;
  let has = '';
  if (sminHi !== S32_MIN || sminLo !== 0) has += ` smin=${toBigInt(sminHi, sminLo)}`;
  if (smaxHi !== S32_MAX || smaxLo !== -1) has += ` smax=${toBigInt(smaxHi, smaxLo)}`;
  if (has === '') has = ' unknown scalar value';
  const problem = `${when} the register ${register} has${has} should have been in [${range.min}, ${range.max}]`;
  ex.refuse('bad-return-value', problem + notes, {
    reason: `what is returned here must be ${range.min === range.max ? range.min : `from ${range.min} to ${range.max}`}`,
    hint: 'return one of the allowed values, or limit the value before returning it',
  });
}

/** The entry function, a function verified on its own, or an exception callback ends: is its result usable? */
export function checkReturnCode(ex: Explorer, regno: number): void {
  const frame = ex.state.frames[0]!;
  const subprog = frame.subprogno !== 0 && frame.kind !== 'exception_callback';
  const exit = programExit(ex.draft);
  if (!subprog && exit.returnsVoid) return;
  const reg = ex.state.frame().reg(regno);
  if (!subprog && exit.mayReturn?.(reg)) {
    if (reg.off !== 0 || !reg.scalar.isConst || (reg.scalar.valueHi | reg.scalar.valueLo) !== 0) {
      ex.refuse(
        'bad-return-value',
        `dereference of modified ${regTypeName(reg.type)} ptr R${regno} off=${reg.off} disallowed`,
        {
          reason: 'a pointer is returned to the kernel as it was got',
          errno: 'EACCES',
        },
      );
    }
    return;
  }
  readReg(ex, regno);
  if (isPointer(ex.caps.allowPtrLeaks, reg)) {
    ex.refuse('pointer-leak', `R${regno} leaks addr as return value`, {
      reason: 'the caller may not learn addresses of the kernel',
      errno: 'EACCES',
    });
  }
  if (frame.kind === 'async_callback') {
    const [min, max] = frame.callbackRet;
    enforce(ex, regno, { min, max, bits: 64 }, 'At async callback return');
    return;
  }
  if (subprog) {
    if (reg.type !== SCALAR) {
      ex.refuse(
        'bad-return-value',
        `At subprogram exit the register R${regno} is not a scalar value (${regTypeName(reg.type)})`,
        { reason: 'a global function returns a number: its caller relies on that' },
      );
    }
    return;
  }
  if (exit.range !== undefined) enforce(ex, regno, exit.range, 'At program exit', exit.note);
}

function enforce(ex: Explorer, regno: number, range: ExitRange, when: string, note = ''): void {
  const reg = ex.state.frame().reg(regno);
  if (baseType(reg.type) !== SCALAR) {
    ex.refuse(
      'bad-return-value',
      `${when} the register R${regno} is not a known value (${regTypeName(reg.type)})`,
      { reason: 'what is returned here must be a number' },
    );
  }
  markRegPrecise(ex, regno);
  if (!within(reg.scalar, range)) refuseReturn(ex, reg.scalar, range, when, `R${regno}`, note);
}
