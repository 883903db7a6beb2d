/** The arguments of a kernel function: each is checked against its prototype and leaves in the meta what others need. */
import { type BtfType, trySizeOf } from '../../../btf/index.ts';
import { KF_RCU, KF_RELEASE } from '../../kfuncs/index.ts';
import { programType } from './access-context.ts';
import { markRegPrecise } from './backtrack.ts';
import { checkConstString, isNull, takeMapField } from './call-args.ts';
import {
  checkAllocObject,
  checkContext,
  checkRefcounted,
  checkStruct,
  checkTrusted,
  isKernelObject,
} from './call-kfunc-object.ts';
import { checkRegOffset } from './call-types.ts';
import { dynptrOf, processDynptrArg } from './dynptr.ts';
import { type Explorer, Refused } from './explorer.ts';
import { kindName } from './func-args.ts';
import { checkOwnedNode, checkTreeNode, inRbtreeCallback, processNode, processRoot } from './graph-node.ts';
import { checkMemReg, checkMemSizeReg } from './helper-memory.ts';
import { processIrqFlag } from './irq.ts';
import { processIterArg } from './iterator.ts';
import type { KfuncMeta } from './kfunc-meta.ts';
import { isScalar, isScalarStruct, type Kfunc, type KfuncArg } from './kfunc-proto.ts';
import { processSpinLock } from './locks.ts';
import { hasField } from './record.ts';
import type { LockKind } from './references.ts';
import type { RegState } from './reg.ts';
import {
  baseType,
  CONST_PTR_TO_DYNPTR,
  DYNPTR_TYPE_SKB,
  DYNPTR_TYPE_SKB_META,
  DYNPTR_TYPE_XDP,
  MEM_ALLOC,
  mayBeNull,
  PTR_TO_BTF_ID,
  PTR_TO_FUNC,
  PTR_TO_MAP_VALUE,
  SCALAR,
} from './reg-type.ts';

/** Dynptrs that a function makes. */
const MAKES: Readonly<Record<string, number>> = {
  bpf_dynptr_from_skb: DYNPTR_TYPE_SKB,
  bpf_dynptr_from_xdp: DYNPTR_TYPE_XDP,
  bpf_dynptr_from_skb_meta: DYNPTR_TYPE_SKB_META,
};

function refuse(ex: Explorer, problem: string, reason: string, hint?: string): never {
  ex.refuse('bad-kfunc-argument', problem, { reason, hint });
}

export function checkKfuncArgs(ex: Explorer, kfunc: Kfunc, meta: KfuncMeta): void {
  const { args } = kfunc;
  if (args.length > 5) {
    refuse(ex, `Function ${kfunc.name} has ${args.length} > 5 args`, 'arguments are passed in r1 to r5');
  }
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    switch (arg.kind) {
      case 'ignored':
        break;
      case 'scalar':
      case 'constant':
      case 'rdonly_buf_size':
      case 'rdwr_buf_size':
        checkScalar(ex, i + 1, arg, meta);
        break;
      case 'unknown': {
        const type = kindName(kfunc.btf.type(arg.pointee));
        refuse(ex, `Unrecognized arg#${i} type ${type}`, 'arguments are numbers and pointers');
        break;
      }
      default:
        if (checkPointer(ex, kfunc, i, arg, meta)) i++;
    }
  }
  if ((kfunc.flags & KF_RELEASE) !== 0 && meta.releaseRegno === 0) {
    ex.refuse(
      'unreferenced-argument',
      `release kernel function ${kfunc.name} expects refcounted PTR_TO_BTF_ID`,
      { reason: 'what is passed was not acquired by the program, or is released already' },
    );
  }
}

function checkScalar(ex: Explorer, regno: number, arg: KfuncArg, meta: KfuncMeta): void {
  const reg = ex.state.frame().reg(regno);
  if (reg.type !== SCALAR) refuse(ex, `R${regno} is not a scalar`, 'the function takes a number there');
  if (arg.kind === 'scalar') return;
  const constant = arg.kind === 'constant';
  if (!constant && meta.r0Size !== 0) {
    refuse(ex, '2 or more rdonly/rdwr_buf_size parameters for kfunc', 'the size is given once');
  }
  if (!reg.scalar.isConst) {
    refuse(
      ex,
      constant ? `R${regno} must be a known constant` : `R${regno} is not a const`,
      'the value must be known when the program is loaded',
    );
  }
  if (constant) {
    markRegPrecise(ex, regno);
    meta.constant = BigInt.asUintN(64, reg.scalar.umin);
  } else {
    meta.r0ReadOnly = arg.kind === 'rdonly_buf_size';
    meta.r0Size = reg.scalar.constNumber();
    markRegPrecise(ex, regno);
  }
}

/** @returns whether the next argument was the size of this one and is checked too */
function checkPointer(ex: Explorer, kfunc: Kfunc, i: number, arg: KfuncArg, meta: KfuncMeta): boolean {
  const regno = i + 1;
  const reg = ex.state.frame().reg(regno);
  const rcu = (kfunc.flags & KF_RCU) !== 0;
  if ((kfunc.trusted || rcu) && !arg.nullable && (isNull(reg) || mayBeNull(reg.type))) {
    ex.refuse('bad-kfunc-argument', `Possibly NULL pointer passed to trusted arg${i}`, {
      reason: `r${regno} may be null here`,
      hint: `compare r${regno} with 0 first`,
      errno: 'EACCES',
    });
  }
  if (reg.refObjId !== 0) {
    meta.refObjId = reg.refObjId;
    if ((kfunc.flags & KF_RELEASE) !== 0) meta.releaseRegno = regno;
  }
  const kind =
    arg.kind === 'ctx' ? 'ctx' : arg.nullable && isNull(reg) ? 'null' : pointerKind(ex, kfunc, i, arg, reg);
  if (kind === 'null') return false;
  if (kind === 'map') takeMap(ex, reg, regno, meta);
  if ((kind === 'map' || kind === 'alloc_obj' || kind === 'btf_id') && (kfunc.trusted || rcu)) {
    checkTrusted(ex, reg, regno, rcu);
  }
  checkRegOffset(ex, regno, { release: (kfunc.flags & KF_RELEASE) !== 0 && reg.refObjId !== 0 });
  switch (kind) {
    case 'ctx':
      checkContext(ex, kfunc, i, reg, meta);
      return false;
    case 'alloc_obj':
      checkAllocObject(ex, kfunc, i, reg, meta);
      return false;
    case 'refcounted_kptr':
      checkRefcounted(ex, i, reg, meta);
      return false;
    case 'dynptr':
      checkDynptr(ex, kfunc, regno, arg, reg, meta);
      return false;
    case 'iter':
      if (kfunc.name === 'bpf_iter_css_task_new' && !mayIterateTasks(ex)) {
        refuse(
          ex,
          'css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs',
          'it takes a lock that may be held where other programs run',
        );
      }
      processIterArg(ex, regno, kfunc, arg.pointee, meta);
      return false;
    case 'list_head':
    case 'rb_root':
      processRoot(ex, regno, kind, meta);
      return false;
    case 'list_node':
      checkOwnedNode(ex, reg, regno);
      processNode(ex, regno, 'list_node', meta);
      return false;
    case 'rb_node':
      if (kfunc.name === 'bpf_rbtree_add_impl') checkOwnedNode(ex, reg, regno);
      else checkTreeNode(ex, reg, kfunc.name);
      processNode(ex, regno, 'rb_node', meta);
      return false;
    case 'map':
      checkStruct(ex, kfunc, i, reg, kfunc.btf.find('bpf_map', 'struct') ?? arg.pointee);
      return false;
    case 'btf_id':
      checkStruct(ex, kfunc, i, reg, arg.pointee);
      return false;
    case 'mem':
      checkMem(ex, kfunc, regno, arg);
      return false;
    case 'sized_mem':
      checkSizedMem(ex, regno, arg, reg, meta);
      return true;
    case 'callback':
      if (reg.type !== PTR_TO_FUNC) {
        refuse(ex, `arg${i} expected pointer to func`, 'the function calls back one of the program');
      }
      meta.subprogno = reg.subprog;
      return false;
    case 'const_str':
      if (reg.type !== PTR_TO_MAP_VALUE) {
        refuse(ex, `arg#${i} doesn't point to a const string`, 'the string must be a constant, in .rodata');
      }
      checkConstString(ex, reg, regno);
      return false;
    case 'wq':
    case 'task_work':
      if (reg.type !== PTR_TO_MAP_VALUE) {
        refuse(
          ex,
          `arg#${i} doesn't point to a map value`,
          `a struct bpf_${kind} is a member of a map value`,
        );
      }
      takeMapField(ex, reg, regno, kind, meta);
      return false;
    case 'irq_flag':
      processIrqFlag(ex, regno, kfunc.name);
      return false;
    case 'res_spin_lock':
      checkResLock(ex, kfunc, i, reg);
      return false;
  }
}

type PointerKind =
  | Exclude<
      KfuncArg['kind'],
      'ignored' | 'scalar' | 'constant' | 'rdonly_buf_size' | 'rdwr_buf_size' | 'pointer' | 'unknown'
    >
  | 'btf_id'
  | 'callback'
  | 'mem'
  | 'sized_mem';

function pointerKind(ex: Explorer, kfunc: Kfunc, i: number, arg: KfuncArg, reg: RegState): PointerKind {
  if (arg.kind !== 'pointer') return arg.kind as PointerKind;
  const { btf } = kfunc;
  const target = btf.type(arg.pointee);
  if (isKernelObject(reg)) {
    if (target.kind === 'struct' || target.kind === 'union') return 'btf_id';
    const problem = `kernel function ${kfunc.name} args#${i} pointer type ${kindName(target)} ${nameOf(target)} is not supported`;
    refuse(ex, problem, 'a kernel object is passed where the function takes none');
  }
  if (target.kind === 'func_proto') return 'callback';
  const sized = arg.size !== undefined && sizeIsScalar(ex, kfunc, i + 1);
  const tooDeep = () => ex.log.write('max struct nesting depth exceeded\n');
  if (!isScalar(target) && !isScalarStruct(btf, target, tooDeep) && !(sized && target.kind === 'void')) {
    const what = sized ? 'void, ' : '';
    const problem = `arg#${i} pointer type ${kindName(target)} ${nameOf(target)} must point to ${what}scalar, or struct with scalar`;
    refuse(ex, problem, `r${i + 1} is no pointer to a kernel object of that type`);
  }
  return sized ? 'sized_mem' : 'mem';
}

function sizeIsScalar(ex: Explorer, kfunc: Kfunc, i: number): boolean {
  return kfunc.args[i]?.kind === 'scalar' && ex.state.frame().reg(i + 1).type === SCALAR;
}

function nameOf(type: BtfType): string {
  return 'name' in type ? String(type.name) : '';
}

function takeMap(ex: Explorer, reg: RegState, regno: number, meta: KfuncMeta): void {
  const { map } = reg;
  if (map === null) {
    // A pointer to the kernel's own struct of a map is checked as such.
    if (baseType(reg.type) === PTR_TO_BTF_ID) return;
    refuse(ex, `pointer in R${regno} isn't map pointer`, 'the function takes a map there');
  }
  const work = hasField(map, 'task_work');
  const differs = meta.map !== null && (meta.map.id !== map.id || meta.mapUid !== reg.mapUid);
  if (differs && (work || hasField(map, 'wq'))) {
    const uids = (a: string, b: string) =>
      `pointer in ${a} map_uid=${meta.mapUid} doesn't match map pointer in ${b} map_uid=${reg.mapUid}`;
    ex.refuse('map-argument', work ? `bpf_task_work ${uids('R2', 'R3')}` : `workqueue ${uids('R1', 'R2')}`, {
      reason: 'the value is in another map than the one that is passed',
    });
  }
  meta.map = map;
  meta.mapUid = reg.mapUid;
}

function checkDynptr(
  ex: Explorer,
  kfunc: Kfunc,
  regno: number,
  arg: KfuncArg,
  reg: RegState,
  meta: KfuncMeta,
): void {
  let kind = MAKES[kfunc.name] ?? 0;
  let cloneOf = 0;
  if (kfunc.name === 'bpf_dynptr_clone' && arg.uninit) {
    kind = meta.dynptrKind;
    cloneOf = meta.dynptrRef;
  }
  const access = arg.uninit ? 'uninit' : reg.type === CONST_PTR_TO_DYNPTR ? 'read' : 'write';
  processDynptrArg(ex, regno, { kind: 'dynptr', access }, cloneOf, kind);
  if (arg.uninit) return;
  const { id, dynptr, refObjId } = dynptrOf(ex, reg);
  meta.initialisedDynptr = id;
  meta.dynptrKind = dynptr?.type ?? 0;
  meta.dynptrRef = refObjId;
}

function mayIterateTasks(ex: Explorer): boolean {
  const { expectedAttachType } = ex.draft.input;
  const type = programType(ex.draft);
  if (type === 'lsm' || (type === 'tracing' && expectedAttachType === 'trace_iter')) return true;
  return ex.state.inSleepable;
}

function checkMem(ex: Explorer, kfunc: Kfunc, regno: number, arg: KfuncArg): void {
  const size = trySizeOf(kfunc.btf, arg.pointee);
  if (size === undefined) {
    const type = kfunc.btf.type(arg.pointee);
    const problem = `arg#${regno - 1} reference type('${kindName(type)} ${nameOf(type)}') size cannot be determined: -22`;
    refuse(ex, problem, 'how much memory the function takes is not known');
  }
  checkMemReg(ex, regno, size);
}

function checkSizedMem(ex: Explorer, regno: number, arg: KfuncArg, reg: RegState, meta: KfuncMeta): void {
  if (!isNull(reg) || !arg.optional) {
    try {
      checkMemSizeReg(ex, regno + 1, meta);
    } catch (error) {
      if (error instanceof Refused) {
        ex.log.write(`arg#${regno - 1} arg#${regno} memory, len pair leads to invalid memory access\n`);
      }
      throw error;
    }
  }
  if (arg.size !== 'constant') return;
  const { scalar } = ex.state.frame().reg(regno + 1);
  if (!scalar.isConst) {
    refuse(ex, `R${regno + 1} must be a known constant`, 'the size must be known when the program is loaded');
  }
  meta.constant = BigInt.asUintN(64, scalar.umin);
}

function checkResLock(ex: Explorer, kfunc: Kfunc, i: number, reg: RegState): void {
  if (inRbtreeCallback(ex)) {
    ex.refuse('bad-lock', "can't res_spin_{lock,unlock} in rbtree cb", {
      reason: 'the lock is held while the tree is being searched',
      errno: 'EACCES',
    });
  }
  if (reg.type !== PTR_TO_MAP_VALUE && reg.type !== (PTR_TO_BTF_ID | MEM_ALLOC)) {
    refuse(ex, `arg#${i} doesn't point to map value or allocated object`, 'locks are members of those');
  }
  const lock = kfunc.name.startsWith('bpf_res_spin_lock');
  const kind: LockKind = kfunc.args.length > 1 ? 'res_lock_irq' : 'res_lock';
  processSpinLock(ex, i + 1, lock ? 'lock' : 'unlock', kind);
}
