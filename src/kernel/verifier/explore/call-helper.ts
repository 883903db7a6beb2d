/** A helper's call: arguments, what the helper is special in, what it leaves in r0. */

import { MAP_CREATE_FLAGS } from '../../../sys/flags.ts';
import { type Helper, helperName } from '../../../sys/helper-ids.ts';
import { mapTypeId } from '../../../sys/map-types.ts';
import { takesMapType } from '../../helpers/map-types.ts';
import { prototype } from '../../helpers/prototypes.ts';
import type { Prototype } from '../../helpers/prototypes-arg.ts';
import { checkHelperCall as checkAvailable } from '../structure/calls.ts';
import { checkMemAccess } from './access.ts';
import { markRegPrecise } from './backtrack.ts';
import { checkFuncArg, isNull } from './call-args.ts';
import { CallMeta } from './call-meta.ts';
import { returnValue } from './call-return.ts';
import { checkSpecial } from './call-special.ts';
import { dynptrOf, releaseDynptr } from './dynptr.ts';
import { changeRegs } from './each-reg.ts';
import { returnToCaller } from './exit.ts';
import type { Explorer } from './explorer.ts';
import { isAllowed } from './helper-allowed.ts';
import {
  clearPacketPointers,
  inRcuSection,
  inSleepableContext,
  invalidReg,
  nonSleepableContext,
  releaseObject,
  releaseReference,
} from './references.ts';
import { UNINIT } from './reg.ts';
import { DYNPTR_TYPE_SKB, DYNPTR_TYPE_SKB_META, MEM_ALLOC, MEM_PERCPU, MEM_RCU, SCALAR } from './reg-type.ts';
import { writeUnknown } from './regs.ts';

/** Helpers whose map argument is remembered for the instruction. */
const RECORDS_MAP: ReadonlySet<Helper> = new Set([
  'tail_call',
  'map_lookup_elem',
  'map_update_elem',
  'map_delete_elem',
  'map_push_elem',
  'map_pop_elem',
  'map_peek_elem',
  'for_each_map_elem',
  'redirect_map',
  'map_lookup_percpu_elem',
]);
const WRITES_MAP: ReadonlySet<Helper> = new Set([
  'map_delete_elem',
  'map_update_elem',
  'map_push_elem',
  'map_pop_elem',
]);

export function checkHelperCall(ex: Explorer, id: number): void {
  const { draft } = ex;
  const unavailable = checkAvailable(draft, ex.insnIdx, id);
  if (unavailable) ex.refuse(unavailable.code, unavailable.problem, unavailable);
  const helper = helperName(id)!;
  const proto = prototype(helper, draft.input.type);
  if (!isAllowed(draft, helper)) {
    ex.refuse('helper-not-allowed', 'helper call is not allowed in probe', {
      reason: `bpf_${helper}() may be called from some functions and hooks, and the program is not attached to one`,
      errno: 'EINVAL',
    });
  }
  if (proto.mightSleep && !inSleepableContext(ex)) {
    const problem = ex.state.inSleepable
      ? `sleepable helper bpf_${helper}#${id} in ${nonSleepableContext(ex)}`
      : 'helper call might sleep in a non-sleepable prog';
    ex.refuse('sleeps', problem, { reason: `bpf_${helper}() may sleep, and the program can't here` });
  }
  const meta = new CallMeta();
  meta.helper = helper;
  meta.helperId = id;
  meta.packetAccess = proto.packetAccess === true;
  for (let i = 0; i < proto.args.length; i++) checkFuncArg(ex, i, proto, meta);
  recordMap(ex, helper, meta);
  if (helper === 'tail_call') recordIndex(ex, meta);
  // Memory that the helper fills is known from here on.
  for (let i = 0; i < meta.accessSize; i++) checkMemAccess(ex, meta.regno, i, 1, 'write', -1);
  if (meta.releaseRegno !== 0) release(ex, proto, meta);
  const changesPacket = proto.changesPacket === true || writesPacketDynptr(ex, helper);
  checkSpecial(ex, helper, meta);
  const frame = ex.state.frame();
  const returned = returnValue(ex, helper, proto, meta);
  for (let regno = 0; regno <= 5; regno++) {
    frame.regs[regno] = UNINIT;
    ex.log.touchReg(regno);
  }
  frame.regs[0] = returned;
  checkMapType(ex, helper, meta);
  if (helper === 'tail_call') finishTailCall(ex);
  else if (changesPacket) clearPacketPointers(ex);
}

function recordMap(ex: Explorer, helper: Helper, meta: CallMeta): void {
  const { map } = meta;
  if (map === null || !RECORDS_MAP.has(helper)) return;
  if ((map.flags & MAP_CREATE_FLAGS.BPF_F_RDONLY_PROG) !== 0 && WRITES_MAP.has(helper)) {
    ex.refuse('read-only-memory', 'write into map forbidden', {
      reason: `programs may only read map ${map.name}`,
      errno: 'EACCES',
    });
  }
  const aux = ex.aux[ex.insnIdx]!;
  if (aux.map === undefined) aux.map = map;
  else if (aux.map !== map) aux.map = null;
  if (map.unprivileged === true) aux.unprivilegedMap = true;
}

/** The index of a tail call is remembered where it is a constant on every path. */
function recordIndex(ex: Explorer, meta: CallMeta): void {
  const aux = ex.aux[ex.insnIdx]!;
  if (meta.map?.type !== 'prog_array') {
    ex.refuse('map-argument', 'expected prog array map for tail call', {
      reason: 'a tail call goes to a program in a prog_array map',
    });
  }
  const { type, scalar } = ex.state.frame().reg(3);
  const index = scalar.valueLo >>> 0;
  if (type !== SCALAR || !scalar.isConst || scalar.valueHi !== 0 || index >= meta.map.maxEntries) {
    aux.constKey = null;
    return;
  }
  markRegPrecise(ex, 3);
  if (aux.constKey === undefined) aux.constKey = BigInt(index);
  else if (aux.constKey !== null && aux.constKey !== BigInt(index)) aux.constKey = null;
}

function release(ex: Explorer, proto: Prototype, meta: CallMeta): void {
  const regno = meta.releaseRegno;
  const reg = ex.state.frame().reg(regno);
  let done: boolean;
  if (proto.args[regno - 1]!.kind === 'dynptr') done = releaseDynptr(ex, reg);
  else if (meta.helper === 'kptr_xchg' && meta.refObjId !== 0) done = giveToMap(ex, meta.refObjId);
  else if (meta.refObjId !== 0) done = releaseObject(ex, meta.refObjId);
  else done = isNull(reg);
  if (done) return;
  ex.refuse(
    'unreferenced-argument',
    `func bpf_${meta.helper}#${meta.helperId} reference has not been acquired before`,
    { reason: 'the object was not acquired by the program, or is released already' },
  );
}

/** The object belongs to the map now. A per-CPU object can still be read in the RCU section. */
function giveToMap(ex: Explorer, refObjId: number): boolean {
  if (!releaseReference(ex.state, refObjId)) return false;
  const invalid = invalidReg(ex);
  const inRcu = inRcuSection(ex);
  changeRegs(ex.state, (reg) => {
    if (reg.refObjId !== refObjId) return reg;
    if (!inRcu || (reg.type & MEM_ALLOC) === 0 || (reg.type & MEM_PERCPU) === 0) return invalid;
    const copy = reg.clone();
    copy.refObjId = 0;
    copy.type = (copy.type & ~MEM_ALLOC) | MEM_RCU;
    return copy;
  });
  return true;
}

function writesPacketDynptr(ex: Explorer, helper: Helper): boolean {
  if (helper !== 'dynptr_write') return false;
  const type = dynptrOf(ex, ex.state.frame().reg(1)).dynptr?.type;
  return type === DYNPTR_TYPE_SKB || type === DYNPTR_TYPE_SKB_META;
}

/** Program types in which no socket of the map can be locked, so that it may be changed. */
const UPDATES_SOCKMAP: ReadonlySet<string> = new Set([
  'socket_filter',
  'sched_cls',
  'sched_act',
  'xdp',
  'sk_reuseport',
  'flow_dissector',
  'sk_lookup',
]);

function mayUpdateSockmap(ex: Explorer, helper: Helper): boolean {
  const { type, expectedAttachType } = ex.draft.input;
  if (UPDATES_SOCKMAP.has(type)) return true;
  if (type === 'tracing' && expectedAttachType === 'trace_iter') return true;
  return type === 'sock_ops' && helper === 'map_delete_elem';
}

function checkMapType(ex: Explorer, helper: Helper, meta: CallMeta): void {
  const { map } = meta;
  if (map === null) return;
  const sockmap = map.type === 'sockmap' || map.type === 'sockhash';
  const updates = sockmap && (helper === 'map_update_elem' || helper === 'map_delete_elem');
  if (updates ? mayUpdateSockmap(ex, helper) : takesMapType(helper, map.type)) return;
  if (updates) ex.log.write('cannot update sockmap in this context\n');
  const problem = `cannot pass map_type ${mapTypeId(map.type)} into func bpf_${helper}#${meta.helperId}`;
  ex.refuse('map-argument', problem, { reason: `bpf_${helper}() can't work on a map of type ${map.type}` });
}

/** A tail call from a subprogram that succeeds looks to the caller as if the subprogram had returned something. */
function finishTailCall(ex: Explorer): void {
  if (ex.state.curframe === 0) return;
  ex.fork(ex.insnIdx + 1, ex.insnIdx);
  clearPacketPointers(ex);
  writeUnknown(ex, 0);
  ex.stackLiveness.update();
  returnToCaller(ex);
  // The call's own step to the next instruction is still to come.
  ex.insnIdx--;
}
