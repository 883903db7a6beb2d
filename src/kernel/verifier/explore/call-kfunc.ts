/** A kernel function's call: whether it may be made here, its arguments, what it is special in, what it returns. */
import type { Insn } from '../../../isa/insn.ts';
import { KF_DESTRUCTIVE, KF_ITER_NEXT, KF_RCU_PROTECTED, KF_SLEEPABLE } from '../../kfuncs/index.ts';
import type { Draft } from '../structure/draft.ts';
import { Scalar } from '../value/scalar.ts';
import type { CallSiteFacts } from './call-facts.ts';
import { checkKfuncArgs } from './call-kfunc-args.ts';
import { kfuncResult } from './call-kfunc-return.ts';
import { pushAsyncCallback, pushCallback } from './call-subprog.ts';
import { setMapValueArguments, setTimerArguments } from './callbacks.ts';
import { checkReturnCode, leaveByException } from './exit.ts';
import type { Explorer } from './explorer.ts';
import type { Frame } from './frame.ts';
import { giveToGraph, inRbtreeCallback, isGraphKfunc, setRbtreeArguments } from './graph-node.ts';
import { processIterNext, untrustRcuIterators } from './iterator.ts';
import { KfuncMeta } from './kfunc-meta.ts';
import { type Kfunc, kfuncName, kfuncOf } from './kfunc-proto.ts';
import { clearPacketPointers, inRcuSection, releaseObject, untrustRcuRefs } from './references.ts';
import { scalarReg, UNINIT } from './reg.ts';

type KfuncCall = Insn & { readonly kind: 'call' };

const MAX_ERRNO = 4095;

/** Functions beside those for lists and trees that may be called while a lock is held. */
const UNDER_LOCK: ReadonlySet<string> = new Set([
  'bpf_iter_num_new',
  'bpf_iter_num_next',
  'bpf_iter_num_destroy',
  'bpf_res_spin_lock',
  'bpf_res_spin_unlock',
  'bpf_res_spin_lock_irqsave',
  'bpf_res_spin_unlock_irqrestore',
  'bpf_stream_vprintk_impl',
]);
const TASK_WORK: ReadonlySet<string> = new Set([
  'bpf_task_work_schedule_signal_impl',
  'bpf_task_work_schedule_resume_impl',
]);
const RES_LOCK: ReadonlySet<string> = new Set(['bpf_res_spin_lock', 'bpf_res_spin_lock_irqsave']);

export function kfuncAllowedUnderLock(draft: Draft, btfId: number): boolean {
  const name = kfuncName(draft, btfId) ?? '';
  return UNDER_LOCK.has(name) || isGraphKfunc(name);
}

/** Facts of the kernel function's call at a slot; `undefined` when the program may not make it. */
export function kfuncFacts(draft: Draft, idx: number): CallSiteFacts | undefined {
  const insn = draft.insns[idx];
  if (insn?.kind !== 'call' || insn.target.kind !== 'kfunc' || insn.target.fdIdx !== 0) return undefined;
  const kfunc = kfuncOf(draft, insn.target.btfId);
  if (kfunc === undefined) return undefined;
  const { name, flags, args } = kfunc;
  return {
    args: Math.min(args.length, 5),
    ...(name === 'bpf_rbtree_add_impl' && { callback: 'sync' as const }),
    ...((name === 'bpf_wq_set_callback_impl' || TASK_WORK.has(name)) && { callback: 'async' as const }),
    ...((flags & KF_ITER_NEXT) !== 0 && { iterNext: true as const }),
    changesPacket: name === 'bpf_xdp_pull_data',
    mightSleep: (flags & KF_SLEEPABLE) !== 0,
    throws: name === 'bpf_throw',
  };
}

/** @returns whether the path ended; if not, `ex.insnIdx` is the next instruction */
export function checkKfuncCall(ex: Explorer, insn: KfuncCall): boolean {
  if (insn.target.kind === 'kfunc' && insn.target.btfId === 0) {
    // Whether the call of what this kernel lacks is dead code is known when every path was explored.
    ex.log.touchReg(0);
    ex.insnIdx++;
    return false;
  }
  const kfunc = callee(ex, insn);
  const { name, flags } = kfunc;
  if (RES_LOCK.has(name)) forkLockFailed(ex);
  if (name === '__bpf_trap') {
    ex.refuse('bad-kfunc-call', 'unexpected __bpf_trap() due to uninitialized variable?', {
      reason: 'the compiler found that the program can come here only by undefined behaviour',
      hint: 'compile with -Wall and initialise the variables that it names',
      errno: 'EFAULT',
    });
  }
  const sleepable = (flags & KF_SLEEPABLE) !== 0;
  checkCaller(ex, kfunc, sleepable);
  const meta = new KfuncMeta();
  checkKfuncArgs(ex, kfunc, meta);
  pushCallbacks(ex, name, meta);
  if (name === 'bpf_session_cookie') {
    meta.r0Size = 8;
    meta.r0ReadOnly = false;
  }
  checkRegions(ex, kfunc, sleepable);
  if (meta.releaseRegno !== 0) release(ex, kfunc, meta);
  if (name.startsWith('bpf_list_push_') || name === 'bpf_rbtree_add_impl') giveToGraph(ex);
  if (name === 'bpf_throw' && ex.draft.exceptionCallback === undefined) checkReturnCode(ex, 1);
  const frame = ex.state.frame();
  for (let regno = 0; regno <= 5; regno++) {
    frame.regs[regno] = UNINIT;
    ex.log.touchReg(regno);
  }
  frame.regs[0] = kfuncResult(ex, kfunc, meta);
  if (name === 'bpf_xdp_pull_data') clearPacketPointers(ex);
  if ((flags & KF_ITER_NEXT) !== 0) processIterNext(ex, meta);
  if (name === 'bpf_throw') {
    ex.draft.throws = true;
    leaveByException(ex);
    return true;
  }
  ex.insnIdx++;
  return false;
}

function callee(ex: Explorer, { target }: KfuncCall): Kfunc {
  const btfId = target.kind === 'kfunc' ? target.btfId : 0;
  const kfunc = kfuncOf(ex.draft, btfId);
  if (kfunc !== undefined) {
    if (ex.draft.environment.kfuncImplemented?.(kfunc.name) === false) {
      ex.refuse(
        'unsupported-insn',
        `the embedded kernel does not have the kernel function ${kfunc.name} yet`,
        {
          reason: 'Linux has it; the program is refused here because it could not be run',
          hint: 'run the program on Linux (--kernel linux)',
        },
      );
    }
    return kfunc;
  }
  return ex.refuse('bad-kfunc-call', `calling kernel function ${kfuncName(ex.draft, btfId)} is not allowed`, {
    reason: `programs of type ${ex.draft.input.type} can't call it`,
    errno: 'EACCES',
  });
}

/** Taking the lock may fail: then the function returns an error and nothing is held. */
function forkLockFailed(ex: Explorer): void {
  const frame = ex.fork(ex.insnIdx + 1, ex.insnIdx).frame();
  for (let regno = 0; regno <= 5; regno++) frame.regs[regno] = UNINIT;
  const error = new Scalar().setUnknown();
  error.sminHi = error.smaxHi = -1;
  error.sminLo = error.s32min = -MAX_ERRNO;
  error.smaxLo = error.s32max = -1;
  error.sync();
  frame.regs[0] = scalarReg(error);
}

function checkCaller(ex: Explorer, { name, flags }: Kfunc, sleepable: boolean): void {
  if ((flags & KF_DESTRUCTIVE) !== 0 && !ex.draft.environment.capabilities.sysAdmin) {
    ex.refuse('not-permitted', 'destructive kfunc calls require CAP_SYS_BOOT capability', {
      reason: `${name}() can bring the system down`,
      errno: 'EACCES',
    });
  }
  if (sleepable && !ex.state.inSleepable) {
    ex.refuse('sleeps', `program must be sleepable to call sleepable kfunc ${name}`, {
      reason: `${name}() may sleep, and the program runs where that is not possible`,
      hint: 'load the program as a sleepable one where its type allows that',
      errno: 'EACCES',
    });
  }
}

function pushCallbacks(ex: Explorer, name: string, meta: KfuncMeta): void {
  if (name === 'bpf_rbtree_add_impl') pushCallback(ex, meta.subprogno, setRbtreeArguments);
  else if (name === 'bpf_wq_set_callback_impl')
    pushAsyncCallback(ex, meta.subprogno, true, setTimerArguments);
  else if (TASK_WORK.has(name)) pushAsyncCallback(ex, meta.subprogno, true, setTaskWorkArguments);
}

/** `callback(map, key, value)` of `bpf_task_work_schedule_*(task, work, map, callback)`. */
function setTaskWorkArguments(_ex: Explorer, caller: Frame, callee: Frame): void {
  setMapValueArguments(caller.reg(3), callee);
  callee.callbackRet = [-0x8000_0000, 0x7fff_ffff];
}

/** RCU sections and regions without preemption: opened, closed, and what may not be called in them and with interrupts off. */
function checkRegions(ex: Explorer, kfunc: Kfunc, sleepable: boolean): void {
  const { state } = ex;
  const { name } = kfunc;
  const locks = name === 'bpf_rcu_read_lock';
  const unlocks = name === 'bpf_rcu_read_unlock';
  const fail = (problem: string, reason: string, errno: 'EINVAL' | 'EACCES'): never =>
    ex.refuse('bad-region', problem, { reason, errno });
  const sleeps = (where: string): never =>
    ex.refuse('sleeps', `kernel func ${name} is sleepable within ${where}`, {
      reason: `${name}() may sleep, which is not possible there`,
      errno: 'EACCES',
    });
  if (state.activeRcuLocks > 0) {
    if ((locks || unlocks) && inRbtreeCallback(ex)) {
      const problem = 'Calling bpf_rcu_read_{lock,unlock} in unnecessary rbtree callback';
      fail(problem, 'a lock is held there already', 'EACCES');
    }
    if (locks) {
      fail(
        `nested rcu read lock (kernel function ${name})`,
        'the path is in an RCU section already',
        'EINVAL',
      );
    }
    if (unlocks) {
      state.activeRcuLocks = 0;
      untrustRcuRefs(state);
      untrustRcuIterators(state);
    } else if (sleepable) {
      sleeps('rcu_read_lock region');
    }
  } else if (locks) {
    state.activeRcuLocks = 1;
  } else if (unlocks) {
    fail(`unmatched rcu read unlock (kernel function ${name})`, 'the path is in no RCU section', 'EINVAL');
  }
  if (name === 'bpf_preempt_disable') {
    state.activePreemptLocks++;
  } else if (name === 'bpf_preempt_enable') {
    if (state.activePreemptLocks === 0) {
      const problem = `unmatched attempt to enable preemption (kernel function ${name})`;
      fail(problem, 'preemption is not disabled on this path', 'EINVAL');
    }
    state.activePreemptLocks--;
  } else if (sleepable && state.activePreemptLocks > 0) {
    sleeps('non-preemptible region');
  }
  if (sleepable && state.activeIrqId !== 0) sleeps('IRQ-disabled region');
  if ((kfunc.flags & KF_RCU_PROTECTED) !== 0 && !inRcuSection(ex)) {
    const problem = `kernel func ${name} requires RCU critical section protection`;
    fail(problem, 'what it gives is valid in an RCU section only', 'EACCES');
  }
}

function release(ex: Explorer, { name, btfId }: Kfunc, meta: KfuncMeta): void {
  const { refObjId } = ex.state.frame().reg(meta.releaseRegno);
  if (releaseObject(ex, refObjId)) return;
  ex.refuse('unreferenced-argument', `kfunc ${name}#${btfId} reference has not been acquired before`, {
    reason: 'the object was not acquired by the program, or is released already',
  });
}
