/** What a kernel function leaves in r0. */
import { type BtfTypeId, trySizeOf } from '../../../btf/index.ts';
import { KF_ACQUIRE, KF_ITER_NEXT, KF_RET_NULL } from '../../kfuncs/index.ts';
import { PROGRAMS, type ProgramFacts } from '../../programs/index.ts';
import { Scalar } from '../value/scalar.ts';
import { programType } from './access-context.ts';
import type { Explorer } from './explorer.ts';
import { kindName } from './func-args.ts';
import { graphNodeReg, setNonOwning } from './graph-node.ts';
import type { KfuncMeta } from './kfunc-meta.ts';
import { isScalar, isScalarStruct, type Kfunc } from './kfunc-proto.ts';
import { has, recordOf } from './record.ts';
import { acquireReference } from './references.ts';
import { pointerReg, type RegState, scalarReg, UNINIT } from './reg.ts';
import {
  MEM_ALLOC,
  MEM_PERCPU,
  MEM_RCU,
  MEM_RDONLY,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_MEM,
  PTR_TRUSTED,
  PTR_UNTRUSTED,
} from './reg-type.ts';

/** Bytes of the largest per-CPU object. @see include/linux/bpf_verifier.h, BPF_GLOBAL_PERCPU_MA_MAX_SIZE */
const MAX_PERCPU = 512;

/** The value of r0 behind the call; a lock that was taken returned 0. */
export function kfuncResult(ex: Explorer, kfunc: Kfunc, meta: KfuncMeta): RegState {
  const { returns, name, flags } = kfunc;
  if (isScalar(returns)) {
    const locked = name === 'bpf_res_spin_lock' || name === 'bpf_res_spin_lock_irqsave';
    return scalarReg(locked ? Scalar.ZERO : Scalar.UNKNOWN);
  }
  if (returns.kind !== 'ptr') return UNINIT;
  const node = nodeKind(kfunc);
  const reg = pointerResult(ex, kfunc, meta);
  const owned = name === 'bpf_refcount_acquire_impl' && meta.argOwning;
  const nullable = (flags & KF_RET_NULL) !== 0 && !owned;
  if (nullable) {
    reg.type |= PTR_MAYBE_NULL;
    reg.id = ex.newId();
  }
  if ((flags & KF_ACQUIRE) !== 0) {
    reg.refObjId = acquireReference(ex);
    if (nullable) reg.id = reg.refObjId;
  } else if (node) {
    setNonOwning(reg);
  }
  if (reg.id === 0 && (reg.type & MEM_ALLOC) !== 0 && reg.btf !== null) {
    const record = recordOf(reg.btf, reg.btfId);
    if (has(record, 'spin_lock') || has(record, 'res_spin_lock')) reg.id = ex.newId();
  }
  return reg;
}

/** The function returns a node of a list or tree. */
function nodeKind({ btf, returnsTo }: Kfunc): boolean {
  const type = btf.type(returnsTo);
  return type.kind === 'struct' && (type.name === 'bpf_list_node' || type.name === 'bpf_rb_node');
}

function pointerResult(ex: Explorer, kfunc: Kfunc, meta: KfuncMeta): RegState {
  const { btf, returnsTo, name } = kfunc;
  switch (name) {
    case 'bpf_obj_new_impl':
    case 'bpf_percpu_obj_new_impl':
      return newObject(ex, meta, name === 'bpf_percpu_obj_new_impl');
    case 'bpf_refcount_acquire_impl': {
      const reg = pointerReg(PTR_TO_BTF_ID | MEM_ALLOC);
      reg.btf = meta.argBtf;
      reg.btfId = meta.argBtfId;
      return reg;
    }
    case 'bpf_cast_to_kern_ctx':
      return kernelObject(kfunc, meta.contextId, PTR_TRUSTED);
    case 'bpf_rdonly_cast':
      return readOnlyCast(ex, kfunc, meta);
    case 'bpf_dynptr_slice':
    case 'bpf_dynptr_slice_rdwr':
      return slice(ex, meta, name === 'bpf_dynptr_slice_rdwr');
    default:
  }
  if (nodeKind(kfunc)) return graphNodeReg(meta.root!);
  const type = btf.type(returnsTo);
  if (type.kind === 'void') return scalarReg();
  if (type.kind === 'struct' || type.kind === 'union')
    return kernelObject(kfunc, returnsTo, trust(ex, kfunc, meta));
  const size = meta.r0Size !== 0 ? meta.r0Size : trySizeOf(btf, returnsTo);
  if (size === undefined || size === 0) {
    const problem = `kernel function ${name} returns pointer type ${kindName(type)} ${btf.nameOf(returnsTo)} is not supported`;
    ex.refuse('bad-kfunc-argument', problem, { reason: 'how much memory is returned is not known' });
  }
  const readOnly = meta.r0Size !== 0 ? meta.r0ReadOnly : true;
  const reg = pointerReg(PTR_TO_MEM | (readOnly ? MEM_RDONLY : 0));
  reg.memSize = size;
  reg.refObjId = meta.refObjId;
  return reg;
}

/** How far the returned kernel object can be relied on. */
function trust(ex: Explorer, { flags, name }: Kfunc, meta: KfuncMeta): number {
  if (name === 'bpf_get_kmem_cache') return PTR_UNTRUSTED;
  if ((flags & KF_ITER_NEXT) === 0) return 0;
  const iter = ex.state.frames[meta.iterFrame]!.spilled[meta.iterSlot]!;
  return (iter.type & MEM_RCU) !== 0 ? MEM_RCU : PTR_TRUSTED;
}

function kernelObject({ btf }: Kfunc, id: BtfTypeId, flags: number): RegState {
  const reg = pointerReg(PTR_TO_BTF_ID | flags);
  reg.btf = btf;
  reg.btfId = id;
  return reg;
}

function refuse(ex: Explorer, problem: string, reason: string, hint?: string): never {
  ex.refuse('bad-kfunc-argument', problem, { reason, hint });
}

function newObject(ex: Explorer, meta: KfuncMeta, perCpu: boolean): RegState {
  const { btf } = ex.draft.input;
  const id = meta.constant ?? 0n;
  if (id > 0xffff_ffffn) {
    refuse(ex, 'local type ID argument must be in range [0, U32_MAX]', 'it is no number of a type');
  }
  if (btf === undefined) {
    refuse(
      ex,
      'bpf_obj_new/bpf_percpu_obj_new requires prog BTF',
      'the type of the object is one of the program',
      'compile with -g',
    );
  }
  const type = Number(id) < btf.endId ? btf.type(Number(id) as BtfTypeId) : undefined;
  if (type?.kind !== 'struct') {
    return refuse(
      ex,
      'bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct',
      'only structs can be allocated',
    );
  }
  if (perCpu) checkPerCpuType(ex, type, Number(id) as BtfTypeId);
  const reg = pointerReg(PTR_TO_BTF_ID | MEM_ALLOC | (perCpu ? MEM_PERCPU : 0));
  reg.btf = btf;
  reg.btfId = Number(id) as BtfTypeId;
  return reg;
}

function checkPerCpuType(
  ex: Explorer,
  type: { readonly kind: 'struct' | 'union'; readonly size: number },
  id: BtfTypeId,
): void {
  const btf = ex.draft.input.btf!;
  if (type.size > MAX_PERCPU) {
    const problem = `bpf_percpu_obj_new type size (${type.size}) is greater than ${MAX_PERCPU}`;
    refuse(ex, problem, 'per-CPU objects are small');
  }
  const what = 'bpf_percpu_obj_new type ID argument must';
  if (!isScalarStruct(btf, btf.type(id), () => ex.log.write('max struct nesting depth exceeded\n'))) {
    refuse(ex, `${what} be of a struct of scalars`, 'per-CPU objects hold numbers only');
  }
  if (recordOf(btf, id).length > 0) {
    refuse(ex, `${what} not contain special fields`, 'per-CPU objects hold numbers only');
  }
}

function readOnlyCast(ex: Explorer, kfunc: Kfunc, meta: KfuncMeta): RegState {
  const { btf } = kfunc;
  const id = Number(BigInt.asUintN(32, meta.constant ?? 0n));
  if (id >= btf.endId) {
    refuse(
      ex,
      `Unknown type ID ${meta.constant} passed to kfunc bpf_rdonly_cast`,
      'the kernel has no type of that number',
    );
  }
  const type = btf.type(id as BtfTypeId);
  switch (type.kind) {
    case 'struct':
    case 'union':
      return kernelObject(kfunc, id as BtfTypeId, PTR_UNTRUSTED);
    case 'void':
      return pointerReg(PTR_TO_MEM | MEM_RDONLY | PTR_UNTRUSTED);
    default:
      return refuse(
        ex,
        'kfunc bpf_rdonly_cast type ID argument must be of a struct or void',
        'the pointer becomes one to a struct, or to bytes',
      );
  }
}

function slice(ex: Explorer, meta: KfuncMeta, writable: boolean): RegState {
  const reg = pointerReg(PTR_TO_MEM | meta.dynptrKind | (writable ? 0 : MEM_RDONLY));
  reg.memSize = Number(BigInt.asIntN(32, meta.constant ?? 0n)) >>> 0;
  reg.dynptrId = meta.initialisedDynptr;
  if (writable && !mayWritePackets(ex)) {
    refuse(
      ex,
      'the prog does not allow writes to packet data',
      'programs of this type only read packets',
      'use bpf_dynptr_slice',
    );
  }
  return reg;
}

function mayWritePackets(ex: Explorer): boolean {
  const type = programType(ex.draft);
  const facts: ProgramFacts = PROGRAMS[type];
  return facts.packetAccess === 'write' || type === 'cgroup_sockopt';
}
