/**
 * Calls of the program's own functions: static ones are entered, global ones are trusted to do what their BTF says
 * and verified on their own. And the callbacks that helpers and kernel functions run.
 */
import type { Insn } from '../../../isa/insn.ts';
import type { Errno } from '../../../sys/errno.ts';
import type { Arg } from '../../helpers/prototypes-arg.ts';
import { REJECT_CODES } from '../rejection.ts';
import { isNull } from './call-args.ts';
import { CallMeta } from './call-meta.ts';
import { checkRegOffset, checkRegType } from './call-types.ts';
import { processDynptrArg } from './dynptr.ts';
import { type Explorer, Refused } from './explorer.ts';
import { FP, Frame } from './frame.ts';
import { type FuncArg, funcArgs } from './func-args.ts';
import { checkMemReg } from './helper-memory.ts';
import { JumpHistory } from './history.ts';
import { clearPacketPointers, inSleepableContext, nonSleepableContext } from './references.ts';
import { pointerReg, UNINIT } from './reg.ts';
import { mayBeNull, PTR_TO_ARENA, PTR_TO_CTX, PTR_TO_STACK, SCALAR } from './reg-type.ts';
import { writeUnknown } from './regs.ts';
import { MAX_FRAMES, VerifierState } from './state.ts';

type Call = Insn & { readonly kind: 'call' };

/** Gives the callee's frame its arguments. `caller` is the frame that calls. */
export type SetArguments = (ex: Explorer, caller: Frame, callee: Frame) => void;

/** @returns whether the path ended */
export function checkFuncCall(ex: Explorer, insn: Call): boolean {
  const off = insn.target.kind === 'local' ? insn.target.off : 0;
  const subprog = ex.subprogAt(ex.insnIdx + off + 1);
  const mismatch = btfMismatch(ex, subprog);
  if (ex.isGlobalSubprog(subprog)) return checkGlobalCall(ex, subprog, mismatch);
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

function checkGlobalCall(ex: Explorer, subprog: number, mismatch: Errno | undefined): boolean {
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
    ex.log.write('global functions that may sleep are not allowed in non-sleepable context,\n');
    ex.log.write('i.e., in a RCU/IRQ/preempt-disabled section, or in\n');
    ex.refuse('sleeps', 'a non-sleepable BPF program context', {
      reason: `${name}() calls something that may sleep, in a ${nonSleepableContext(ex)}`,
    });
  }
  if (mismatch !== undefined) {
    ex.refuse('bad-func-argument', `Caller passes invalid args into func#${subprog} ('${name}')`, {
      reason: `an argument is not what the BTF of ${name}() says, or BTF says nothing that can be checked`,
      errno: mismatch,
    });
  }
  if (ex.log.wantsPath) ex.log.write(`Func#${subprog} ('${name}') is global and assumed valid.\n`);
  if (sub.changesPacket) clearPacketPointers(ex);
  sub.called = true;
  destroyCallerSaved(ex.state.frame());
  writeUnknown(ex, 0);
  ex.log.touchReg(0);
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
  const callee = newFrame(ex, callsite, state.curframe + 1, subprog);
  set(ex, caller, callee);
  state.frames.push(callee);
  return callee;
}

/** A frame in which only r10 is set. The log shows the whole of it before its first instruction. */
function newFrame(ex: Explorer, callsite: number, frameno: number, subprog: number): Frame {
  const frame = new Frame(callsite, frameno, subprog);
  const top = pointerReg(PTR_TO_STACK);
  top.frameno = frameno;
  frame.regs[FP] = top;
  ex.log.markAll();
  return frame;
}

/**
 * Compares the arguments in r1 to r5 with the BTF of the subprogram; says in the log what does not agree.
 *
 * @returns the errno of what does not agree
 */
function btfMismatch(ex: Explorer, subprog: number): Errno | undefined {
  const sub = ex.draft.subprograms[subprog]!;
  if (sub.btfFunc === undefined || sub.unreliable) return 'EINVAL';
  const found = funcArgs(ex, subprog);
  const mismatch = 'args' in found ? firstMismatch(ex, found.args) : 'EINVAL';
  if (mismatch !== undefined) sub.unreliable = true;
  return mismatch;
}

/** A mismatch is no refusal by itself: for a static function only the hint is lost. */
function firstMismatch(ex: Explorer, args: readonly FuncArg[]): Errno | undefined {
  let at = 0;
  try {
    for (; at < args.length; at++) checkArg(ex, args[at]!, at + 1);
    return undefined;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { code, errno } = error.refusal;
    return args[at]?.kind === 'mem' && code !== 'modified-pointer'
      ? 'EINVAL'
      : (errno ?? REJECT_CODES[code].errno);
  }
}

function checkArg(ex: Explorer, arg: FuncArg, regno: number): void {
  const reg = ex.state.frame().reg(regno);
  const refuse = (problem: string): never => ex.refuse('bad-func-argument', problem);
  switch (arg.kind) {
    case 'scalar':
      if (reg.type !== SCALAR) refuse(`R${regno} is not a scalar`);
      return;
    case 'ctx':
      checkRegOffset(ex, regno);
      if (reg.type !== PTR_TO_CTX) refuse(`arg#${regno - 1} expects pointer to ctx`);
      return;
    case 'mem':
      if (arg.untrusted) return;
      checkRegOffset(ex, regno);
      checkMemReg(ex, regno, arg.memSize);
      if (!arg.nullable && mayBeNull(reg.type)) refuse(`arg#${regno - 1} is expected to be non-NULL`);
      return;
    case 'arena':
      if (reg.type !== PTR_TO_ARENA && reg.type !== SCALAR) {
        refuse(`R${regno} is not a pointer to arena or scalar.`);
      }
      return;
    case 'dynptr':
      checkRegOffset(ex, regno, { dynptr: true });
      processDynptrArg(ex, regno, { kind: 'dynptr', access: 'read' }, 0);
      return;
    case 'btf_id':
      if (arg.untrusted || (arg.nullable && isNull(reg))) return;
      checkRegType(ex, regno, arg.nullable ? NULLABLE_BTF_ID : BTF_ID, new CallMeta(), arg.btfId);
      checkRegOffset(ex, regno);
  }
}

const BTF_ID: Arg = { kind: 'btf_id' };
const NULLABLE_BTF_ID: Arg = { kind: 'btf_id', nullable: true };

/**
 * The call runs a callback, any number of times, before it returns: one run is put aside to be explored, and its exit
 * leads back to the call. The path goes on as if the callback had not run (again).
 *
 * @param set sets r1 to r5 of the callback's frame, and its range of return values where that is not 0 to 1
 */
export function pushCallback(ex: Explorer, subprog: number, set: SetArguments): void {
  ex.draft.subprograms[subprog]!.isCallback = true;
  btfMismatch(ex, subprog);
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
  const facts = ex.draft.subprograms[subprog]!;
  facts.isCallback = true;
  facts.isAsyncCallback = true;
  btfMismatch(ex, subprog);
  const caller = ex.state.frame();
  const state = new VerifierState(new JumpHistory());
  const callee = newFrame(ex, -1, 0, subprog);
  callee.kind = 'async_callback';
  callee.callbackRet = [0, 0];
  callee.asyncEntryCount = caller.asyncEntryCount + 1;
  state.inSleepable = sleepable;
  state.frames.push(callee);
  ex.forkFresh(state, ex.draft.subprograms[subprog]!.start, ex.insnIdx);
  set(ex, caller, callee);
}
