/**
 * Calls of the program's own functions: static ones are entered, global ones are trusted to do what their BTF says
 * and verified on their own. And the callbacks that helpers and kernel functions run.
 */
import type { Insn } from '../../../isa/insn.ts';
import { checkMemReg, processDynptrArg, regOffsetAllowed } from './call-args.ts';
import { CallMeta } from './call-meta.ts';
import { checkRegType } from './call-types.ts';
import { leaveByException } from './exit.ts';
import type { Explorer } from './explorer.ts';
import { Frame } from './frame.ts';
import { type FuncArg, funcArgs } from './func-args.ts';
import { JumpHistory } from './history.ts';
import { clearPacketPointers, inSleepableContext, nonSleepableContext } from './references.ts';
import { type RegState, UNINIT } from './reg.ts';
import { mayBeNull, PTR_TO_ARENA, PTR_TO_CTX, SCALAR } from './reg-type.ts';
import { destroyArguments, writeUnknown } from './regs.ts';
import { MAX_FRAMES, VerifierState } from './state.ts';

type Call = Insn & { readonly kind: 'call' };

/** Gives the callee's frame its arguments. `caller` is the frame that calls. */
export type SetArguments = (ex: Explorer, caller: Frame, callee: Frame) => void;

/** @returns whether the path ended */
export function checkFuncCall(ex: Explorer, insn: Call): boolean {
  const off = insn.target.kind === 'local' ? insn.target.off : 0;
  const subprog = ex.subprogAt(ex.insnIdx + off + 1);
  const matches = matchesBtf(ex, subprog);
  if (ex.isGlobalSubprog(subprog)) return checkGlobalCall(ex, subprog, matches);
  const { state } = ex;
  enterFrame(ex, state, subprog, ex.insnIdx, passArguments);
  destroyCallerSaved(state.frames[state.curframe - 1]!);
  ex.insnIdx = ex.draft.subprograms[subprog]!.start;
  ex.stackLiveness.frameChanged();
  if (ex.log.wantsPath) {
    ex.log.write('caller:\n');
    ex.log.frame(state, state.curframe - 1, true);
    ex.log.write('callee:\n');
    ex.log.frame(state, state.curframe, true);
  }
  return false;
}

function checkGlobalCall(ex: Explorer, subprog: number, matches: boolean): boolean {
  const sub = ex.draft.subprograms[subprog]!;
  const name = sub.name ?? '';
  if (ex.state.activeLocks > 0) {
    ex.log.write('global function calls are not allowed while holding a lock,\n');
    ex.refuse('call-under-lock', 'use static function instead', {
      reason: `${name}() is verified on its own, without knowing that a lock is held`,
      hint: `make ${name}() static`,
    });
  }
  if (sub.mightSleep && !inSleepableContext(ex)) {
    ex.refuse('sleeps', `sleepable global function ${name}() called in ${nonSleepableContext(ex)}`, {
      reason: `${name}() calls something that may sleep`,
    });
  }
  if (!matches) {
    ex.refuse('bad-func-argument', `Caller passes invalid args into func#${subprog} ('${name}')`, {
      reason: `an argument is not what the BTF of ${name}() says, or BTF says nothing that can be checked`,
    });
  }
  if (ex.log.wantsPath) ex.log.write(`Func#${subprog} ('${name}') is global and assumed valid.\n`);
  if (sub.changesPacket) clearPacketPointers(ex);
  sub.called = true;
  destroyCallerSaved(ex.state.frame());
  writeUnknown(ex, 0);
  ex.log.touchReg(0);
  if (sub.mightThrow) {
    ex.fork(ex.insnIdx + 1, ex.insnIdx);
    leaveByException(ex);
    return true;
  }
  ex.insnIdx++;
  return false;
}

/** A call destroys r0 to r5 of the frame that makes it. */
function destroyCallerSaved(frame: Frame): void {
  for (let regno = 0; regno <= 5; regno++) frame.regs[regno] = UNINIT;
}

function passArguments(_ex: Explorer, caller: Frame, callee: Frame): void {
  for (let regno = 1; regno <= 5; regno++) callee.regs[regno] = caller.reg(regno);
}

/** Pushes a frame for the subprogram onto the state's call stack. */
function enterFrame(
  ex: Explorer,
  state: VerifierState,
  subprog: number,
  callsite: number,
  set: SetArguments,
): Frame {
  const caller = state.frame();
  if (state.curframe + 1 >= MAX_FRAMES) {
    ex.refuse('call-depth', `the call stack of ${state.curframe + 2} frames is too deep`, {
      reason: `functions may call each other ${MAX_FRAMES} deep`,
      errno: 'E2BIG',
    });
  }
  const callee = new Frame(callsite, state.curframe + 1, subprog);
  set(ex, caller, callee);
  state.frames.push(callee);
  return callee;
}

/** Compares the arguments in r1 to r5 with the BTF of the subprogram; says in the log what does not agree. */
function matchesBtf(ex: Explorer, subprog: number): boolean {
  const sub = ex.draft.subprograms[subprog]!;
  if (sub.btfFunc === undefined || sub.unreliable) return false;
  const found = funcArgs(ex, subprog);
  const matches = 'args' in found && found.args.every((arg, i) => argMatches(ex, subprog, arg, i + 1));
  if (!matches) sub.unreliable = true;
  return matches;
}

function argMatches(ex: Explorer, subprog: number, arg: FuncArg, regno: number): boolean {
  const reg = ex.state.frame().reg(regno);
  const say = (text: string): false => {
    ex.log.write(`${text}\n`);
    return false;
  };
  switch (arg.kind) {
    case 'scalar':
      return reg.type === SCALAR || say(`R${regno} is not a scalar`);
    case 'ctx':
      if (arg.untrusted) return true;
      if (!regOffsetAllowed(ex, reg, regno, false)) return false;
      return reg.type === PTR_TO_CTX || say(`arg#${regno - 1} expects pointer to ctx`);
    case 'mem':
      if (arg.untrusted) return true;
      if (!regOffsetAllowed(ex, reg, regno, false)) return false;
      checkMemReg(ex, regno, arg.memSize);
      if (!arg.nullable && (mayBeNull(reg.type) || isNullScalar(reg))) {
        return say(`arg#${regno - 1} is expected to be non-NULL`);
      }
      return true;
    case 'arena':
      return (
        reg.type === PTR_TO_ARENA ||
        reg.type === SCALAR ||
        say(`R${regno} is not a pointer to arena or scalar.`)
      );
    case 'dynptr':
      if (!regOffsetAllowed(ex, reg, regno, false)) return false;
      processDynptrArg(ex, regno, { kind: 'dynptr', access: 'read' }, 0);
      return true;
    case 'btf_id':
      if (arg.untrusted) return true;
      if (arg.nullable && isNullScalar(reg)) return true;
      return (
        checkRegType(ex, regno, { kind: 'btf_id', ...(arg.nullable && { nullable: true }) }, new CallMeta(), arg.btfId) &&
        regOffsetAllowed(ex, reg, regno, false)
      );
  }
}

function isNullScalar(reg: RegState): boolean {
  return reg.type === SCALAR && reg.scalar.isConst && (reg.scalar.valueHi | reg.scalar.valueLo) === 0;
}

/**
 * The call runs a callback, any number of times, before it returns: one run is put aside to be explored, and its exit
 * leads back to the call. The path goes on as if the callback had not run (again).
 *
 * @param set sets r1 to r5 of the callback's frame, and its range of return values where that is not 0 to 1
 */
export function pushCallback(ex: Explorer, subprog: number, set: SetArguments): void {
  matchesBtf(ex, subprog);
  const caller = ex.state.frame();
  const state = ex.fork(ex.draft.subprograms[subprog]!.start, ex.insnIdx);
  const callee = enterFrame(ex, state, subprog, ex.insnIdx, set);
  callee.kind = 'callback';
  state.callbackUnrollDepth++;
  state.frames[state.curframe - 1]!.callbackDepth++;
  caller.callbackDepth = 0;
}

/**
 * The call arranges for a callback to run later, on its own: it is explored from a state that holds nothing but its
 * arguments.
 */
export function pushAsyncCallback(
  ex: Explorer,
  subprog: number,
  sleepable: boolean,
  set: SetArguments,
): void {
  matchesBtf(ex, subprog);
  const caller = ex.state.frame();
  const state = new VerifierState(new JumpHistory());
  const callee = new Frame(-1, 0, subprog);
  callee.kind = 'async_callback';
  callee.callbackRet = [0, 0];
  callee.asyncEntryCount = caller.asyncEntryCount + 1;
  state.inSleepable = sleepable;
  state.frames.push(callee);
  ex.pushAsync(state, subprog);
  set(ex, caller, callee);
}
