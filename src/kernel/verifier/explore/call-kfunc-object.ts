/** Arguments that are objects: the context, kernel objects, and objects that programs allocate. */
import { type Btf, type BtfTypeId, resolve, VOID } from '../../../btf/index.ts';
import { KF_RELEASE } from '../../kfuncs/index.ts';
import { programType } from './access-context.ts';
import type { Explorer } from './explorer.ts';
import { kindName } from './func-args.ts';
import type { KfuncMeta } from './kfunc-meta.ts';
import { isProjection, type Kfunc } from './kfunc-proto.ts';
import { has, recordOf } from './record.ts';
import type { RegState } from './reg.ts';
import {
  baseType,
  CONST_PTR_TO_MAP,
  MEM_ALLOC,
  MEM_PERCPU,
  MEM_RCU,
  NON_OWN_REF,
  PTR_TO_BTF_ID,
  PTR_TO_CTX,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TRUSTED,
  regTypeName,
  typeFlags,
} from './reg-type.ts';
import { structIdsMatch } from './struct-match.ts';

/** Kernel structs behind the verifier's own pointer types. @see kernel/bpf/verifier.c, reg2btf_ids */
const OWN_STRUCTS: Readonly<Record<number, string>> = {
  [PTR_TO_SOCKET]: 'sock',
  [PTR_TO_SOCK_COMMON]: 'sock_common',
  [PTR_TO_TCP_SOCK]: 'tcp_sock',
  [CONST_PTR_TO_MAP]: 'bpf_map',
};
/** Modifiers of pointers that can be relied on. */
const SAFE_FLAGS = MEM_ALLOC | PTR_TRUSTED | NON_OWN_REF;

function refuse(ex: Explorer, problem: string, reason: string, hint?: string): never {
  ex.refuse('bad-kfunc-argument', problem, { reason, hint });
}

/** The register may be passed as a pointer to a kernel struct. */
export function isKernelObject(reg: RegState): boolean {
  const base = baseType(reg.type);
  return base === PTR_TO_BTF_ID || OWN_STRUCTS[base] !== undefined;
}

/** @see kernel/bpf/verifier.c, is_trusted_reg */
export function checkTrusted(ex: Explorer, reg: RegState, regno: number, rcu: boolean): void {
  if (reg.refObjId !== 0) return;
  const flags = typeFlags(reg.type);
  if ((flags & ~SAFE_FLAGS) === 0 && (flags !== 0 || OWN_STRUCTS[baseType(reg.type)] !== undefined)) return;
  if (!rcu) {
    refuse(
      ex,
      `R${regno} must be referenced or trusted`,
      'the object may be freed while the function works on it',
      'acquire the object first, or get it from the context',
    );
  }
  if ((reg.type & MEM_RCU) === 0) {
    refuse(
      ex,
      `R${regno} must be a rcu pointer`,
      'the object may be freed while the function works on it',
      'acquire the object, or load the pointer in an RCU section',
    );
  }
}

export function checkContext(ex: Explorer, kfunc: Kfunc, i: number, reg: RegState, meta: KfuncMeta): void {
  if (reg.type !== PTR_TO_CTX) {
    refuse(
      ex,
      `arg#${i} expected pointer to ctx, but got ${regTypeName(reg.type)}`,
      'the function works on what the program was called for',
      'pass the context that the program got in r1',
    );
  }
  if (kfunc.name !== 'bpf_cast_to_kern_ctx') return;
  const id = kernelContext(kfunc.btf, ex);
  const type = kfunc.btf.type(id);
  if (type.kind !== 'struct' && type.kind !== 'union') {
    refuse(ex, `kern ctx type id ${id} is not a struct`, 'the kernel has no struct for the context');
  }
  meta.contextId = id;
}

/** The kernel's type of a program type's context. @see kernel/bpf/btf.c, bpf_ctx_convert */
function kernelContext(btf: Btf, ex: Explorer): BtfTypeId {
  const all = btf.find('bpf_ctx_convert', 'struct');
  const type = all === undefined ? undefined : btf.type(all);
  const name = `BPF_PROG_TYPE_${programType(ex.draft).toUpperCase()}_kern`;
  const members = type?.kind === 'struct' ? type.members : [];
  const member = members.find((one) => one.name === name);
  return member?.type ?? VOID;
}

export function checkAllocObject(
  ex: Explorer,
  kfunc: Kfunc,
  i: number,
  reg: RegState,
  meta: KfuncMeta,
): void {
  const local = reg.type === (PTR_TO_BTF_ID | MEM_ALLOC);
  const perCpu = reg.type === (PTR_TO_BTF_ID | MEM_ALLOC | MEM_PERCPU);
  if (!local && !perCpu) {
    refuse(
      ex,
      `arg#${i} expected pointer to allocated object`,
      'the function takes what the program allocated',
    );
  }
  const wanted = local ? 'bpf_obj_drop_impl' : 'bpf_percpu_obj_drop_impl';
  if (kfunc.name !== wanted) {
    refuse(ex, `arg#${i} expected for ${wanted}()`, 'per-CPU objects have a function of their own');
  }
  if (reg.refObjId === 0) {
    ex.refuse('unreferenced-argument', 'allocated object must be referenced', {
      reason: 'the program does not own the object here',
    });
  }
  meta.argBtf = reg.btf;
  meta.argBtfId = reg.btfId;
}

export function checkRefcounted(ex: Explorer, i: number, reg: RegState, meta: KfuncMeta): void {
  if (baseType(reg.type) !== PTR_TO_BTF_ID || (reg.type & MEM_ALLOC) === 0) {
    refuse(
      ex,
      `arg#${i} is neither owning or non-owning ref`,
      'the function takes what the program allocated',
    );
  }
  if ((reg.type & NON_OWN_REF) === 0) meta.argOwning = true;
  const record = reg.btf === null ? [] : recordOf(reg.btf, reg.btfId);
  if (!has(record, 'refcount')) {
    // Of types without any special field Linux has no record to look at, which it takes for a fault of its own.
    const none = record.length === 0;
    ex.refuse(
      'bad-kfunc-argument',
      none
        ? "verifier bug: Couldn't find btf_record"
        : `arg#${i} doesn't point to a type with bpf_refcount field`,
      {
        reason: 'the object does not count its references',
        hint: 'add a struct bpf_refcount to it',
        ...(none && { errno: 'EFAULT' }),
      },
    );
  }
  meta.argBtf = reg.btf;
  meta.argBtfId = reg.btfId;
}

/** A pointer to the kernel struct `wanted`, or to one that begins with it. */
export function checkStruct(ex: Explorer, kfunc: Kfunc, i: number, reg: RegState, wanted: BtfTypeId): void {
  const { btf, flags, name } = kfunc;
  const base = baseType(reg.type);
  const own = OWN_STRUCTS[base];
  const unsafe = (typeFlags(reg.type) & ~SAFE_FLAGS) !== 0 && (reg.type & MEM_RCU) === 0;
  if ((base !== PTR_TO_BTF_ID || unsafe) && own === undefined) {
    const expected = regTypeName(base | (typeFlags(reg.type) & SAFE_FLAGS));
    const problem = `arg#${i} is ${regTypeName(reg.type)} expected ${expected} or socket`;
    refuse(ex, problem, `r${i + 1} may point to something that is gone`);
  }
  const regBtf = own === undefined ? reg.btf! : btf;
  const regId = resolve(
    regBtf,
    own === undefined ? reg.btfId : (btf.find(own, 'struct') ?? (0 as BtfTypeId)),
  );
  const has = regBtf.nameOf(regId);
  const wants = btf.nameOf(wanted);
  const strict = ((flags & KF_RELEASE) !== 0 && reg.refObjId !== 0) || isNoCastAlias(has, wants);
  if (structIdsMatch(regBtf, regId, reg.off, btf, wanted, strict, ex.log) || isProjection(wants, has)) return;
  const problem =
    `kernel function ${name} args#${i} expected pointer to ${kindName(btf.type(wanted))} ${wants} ` +
    `but R${i + 1} has a pointer to ${kindName(regBtf.type(regId))} ${has}`;
  refuse(ex, problem, 'it is a pointer to another struct');
}

const NO_CAST = '___init';

/** Structs that differ only in that one is not yet in use. @see kernel/bpf/btf.c, btf_type_ids_nocast_alias */
function isNoCastAlias(a: string, b: string): boolean {
  return a === b + NO_CAST || b === a + NO_CAST;
}
