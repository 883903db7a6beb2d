/** What single helpers demand beyond their prototypes. */
import type { BtfTypeId } from '../../../btf/index.ts';
import type { Helper } from '../../../sys/helper-ids.ts';
import { helperId } from '../../../sys/helper-ids.ts';
import { progTypeId } from '../../../sys/prog-types.ts';
import { markRegPrecise } from './backtrack.ts';
import { isNull } from './call-args.ts';
import type { CallMeta } from './call-meta.ts';
import { pushAsyncCallback, pushCallback } from './call-subprog.ts';
import {
  setFindVmaArguments,
  setLoopArguments,
  setMapElemArguments,
  setTimerArguments,
  setUserRingbufArguments,
} from './callbacks.ts';
import { dynptrOf } from './dynptr.ts';
import { attachProto } from './exit-range.ts';
import type { Explorer } from './explorer.ts';
import { checkFormat } from './format-check.ts';
import { checkResourceLeak } from './leaks.ts';
import { MEM_RCU, PTR_TO_MAP_VALUE, regTypeName } from './reg-type.ts';

/** After the arguments were checked, before r0 to r5 change. */
export function checkSpecial(ex: Explorer, helper: Helper, meta: CallMeta): void {
  const frame = ex.state.frame();
  switch (helper) {
    case 'tail_call':
      checkResourceLeak(ex, false, true, 'tail_call');
      return;
    case 'get_local_storage':
      if (!isNull(frame.reg(2))) {
        ex.refuse('bad-argument', "get_local_storage() doesn't support non-zero flags", {
          reason: 'it always finds its storage, so there is nothing to choose',
        });
      }
      return;
    case 'for_each_map_elem':
      pushCallback(ex, meta.subprogno, setMapElemArguments);
      return;
    case 'timer_set_callback':
      pushAsyncCallback(ex, meta.subprogno, false, setTimerArguments);
      return;
    case 'find_vma':
      pushCallback(ex, meta.subprogno, setFindVmaArguments);
      return;
    case 'user_ringbuf_drain':
      pushCallback(ex, meta.subprogno, setUserRingbufArguments);
      return;
    case 'loop':
      checkLoop(ex, meta);
      return;
    case 'snprintf':
      checkFormat(ex);
      return;
    case 'dynptr_from_mem': {
      const { type } = frame.reg(1);
      if (type === PTR_TO_MAP_VALUE) return;
      ex.refuse(
        'bad-argument-type',
        `Unsupported reg type ${regTypeName(type)} for bpf_dynptr_from_mem data`,
        {
          reason: 'a dynptr is made over a map value',
          errno: 'EACCES',
        },
      );
      return;
    }
    case 'dynptr_data': {
      const dynptr = dynptrOf(ex, frame.reg(1));
      meta.dynptrId = dynptr.id;
      meta.refObjId = dynptr.refObjId;
      return;
    }
    case 'set_retval':
      checkSetRetval(ex);
      return;
    case 'per_cpu_ptr':
    case 'this_cpu_ptr':
      checkPerCpu(ex);
      return;
    case 'get_func_ip':
      checkFuncIp(ex);
      return;
    default:
  }
}

/** One more round of the callback is explored while the loop may have one more. */
function checkLoop(ex: Explorer, meta: CallMeta): void {
  const frame = ex.state.frame();
  const aux = ex.aux[ex.insnIdx]!;
  // Calls of one callback without flags can be inlined, so that this must hold on every path.
  if (aux.inlineLoop === undefined) {
    aux.inlineLoop = flagsAreZero(ex) ? meta.subprogno : -1;
  } else if (aux.inlineLoop >= 0 && (!flagsAreZero(ex) || aux.inlineLoop !== meta.subprogno)) {
    aux.inlineLoop = -1;
  }
  markRegPrecise(ex, 1);
  const { umaxHi, umaxLo } = frame.reg(1).scalar;
  if (umaxHi !== 0 || frame.callbackDepth < umaxLo >>> 0) {
    pushCallback(ex, meta.subprogno, setLoopArguments);
    return;
  }
  frame.callbackDepth = 0;
  if (ex.log.wantsStates) ex.log.write(`frame${ex.state.curframe} bpf_loop iteration limit reached\n`);
}

function flagsAreZero(ex: Explorer): boolean {
  if (!isNull(ex.state.frame().reg(4))) return false;
  markRegPrecise(ex, 4);
  return true;
}

function checkSetRetval(ex: Explorer): void {
  const { type, expectedAttachType } = ex.draft.input;
  if (type !== 'lsm' || expectedAttachType !== 'lsm_cgroup') return;
  const proto = attachProto(ex.draft);
  if (proto === undefined || proto.returns !== 0) return;
  ex.refuse('bad-argument', "BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!", {
    reason: 'the hook returns nothing',
  });
}

function checkPerCpu(ex: Explorer): void {
  const reg = ex.state.frame().reg(1);
  if ((reg.type & MEM_RCU) === 0) return;
  const type = reg.btf?.type(reg.btfId as BtfTypeId);
  if (type?.kind === 'struct' || type?.kind === 'union') return;
  ex.refuse('bad-argument-type', 'Helper has invalid btf/btf_id in R1', { errno: 'EFAULT' });
}

const TRAMPOLINES: ReadonlySet<string> = new Set([
  'trace_fentry',
  'trace_fexit',
  'modify_return',
  'trace_fsession',
]);

function checkFuncIp(ex: Explorer): void {
  const { type, expectedAttachType } = ex.draft.input;
  if (type === 'kprobe') return;
  const label = `bpf_get_func_ip#${helperId('get_func_ip')}`;
  if (type === 'tracing') {
    if (expectedAttachType !== undefined && TRAMPOLINES.has(expectedAttachType)) return;
    ex.refuse('helper-not-allowed', `func ${label} supported only for fentry/fexit/fmod_ret programs`, {
      reason: 'only there is a function that was called',
      errno: 'ENOTSUPP',
    });
  }
  ex.refuse('helper-not-allowed', `func ${label} not supported for program type ${progTypeId(type)}`, {
    reason: 'only tracing programs run for a function',
    errno: 'ENOTSUPP',
  });
}
