/** Which register types an argument takes, and with which offsets. */
import type { BtfTypeId } from '../../../btf/index.ts';
import type { Arg, ArgKind } from '../../helpers/prototypes-arg.ts';
import { formatBits } from '../value/print.ts';
import { Scalar } from '../value/scalar.ts';
import type { CallMeta } from './call-meta.ts';
import type { Explorer } from './explorer.ts';
import { checkKptrMatch } from './kptr-access.ts';
import { kptrTarget } from './record.ts';
import type { RegState } from './reg.ts';
import {
  baseType,
  CONST_PTR_TO_DYNPTR,
  CONST_PTR_TO_MAP,
  DYNPTR_TYPE_FILE,
  DYNPTR_TYPE_LOCAL,
  DYNPTR_TYPE_RINGBUF,
  DYNPTR_TYPE_SKB,
  DYNPTR_TYPE_SKB_META,
  DYNPTR_TYPE_XDP,
  MEM_ALLOC,
  MEM_PERCPU,
  MEM_RCU,
  MEM_RDONLY,
  MEM_RINGBUF,
  mayBeNull,
  NON_OWN_REF,
  NOT_INIT,
  PTR_MAYBE_NULL,
  PTR_TO_ARENA,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_CTX,
  PTR_TO_FUNC,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_STACK,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  PTR_TRUSTED,
  type RegType,
  regTypeName,
  SCALAR,
} from './reg-type.ts';
import { structIdsMatch } from './struct-match.ts';

const SOCKETS: readonly RegType[] = [PTR_TO_SOCK_COMMON, PTR_TO_SOCKET, PTR_TO_TCP_SOCK, PTR_TO_XDP_SOCK];
const MEMORY: readonly RegType[] = [
  PTR_TO_STACK,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_MEM | MEM_RINGBUF,
  PTR_TO_BUF,
  PTR_TO_BTF_ID | PTR_TRUSTED,
];

/** In the order in which the log lists them. @see kernel/bpf/verifier.c, compatible_reg_types */
const COMPATIBLE: Readonly<Record<ArgKind, readonly RegType[]>> = {
  anything: [],
  ctx: [PTR_TO_CTX],
  const_map_ptr: [CONST_PTR_TO_MAP],
  map_key: MEMORY,
  map_value: MEMORY,
  mem: MEMORY,
  const_size: [SCALAR],
  const_size_or_zero: [SCALAR],
  const_alloc_size_or_zero: [SCALAR],
  spin_lock: [PTR_TO_MAP_VALUE, PTR_TO_BTF_ID | MEM_ALLOC],
  sock_common: SOCKETS,
  socket: [PTR_TO_SOCKET],
  btf_id_sock_common: [...SOCKETS, PTR_TO_BTF_ID, PTR_TO_BTF_ID | PTR_TRUSTED],
  btf_id: [PTR_TO_BTF_ID, PTR_TO_BTF_ID | PTR_TRUSTED, PTR_TO_BTF_ID | MEM_RCU],
  percpu_btf_id: [
    PTR_TO_BTF_ID | MEM_PERCPU,
    PTR_TO_BTF_ID | MEM_PERCPU | MEM_RCU,
    PTR_TO_BTF_ID | MEM_PERCPU | PTR_TRUSTED,
  ],
  ringbuf_mem: [PTR_TO_MEM | MEM_RINGBUF],
  func: [PTR_TO_FUNC],
  stack: [PTR_TO_STACK],
  const_str: [PTR_TO_MAP_VALUE],
  timer: [PTR_TO_MAP_VALUE],
  kptr_xchg_dest: [PTR_TO_MAP_VALUE, PTR_TO_BTF_ID | MEM_ALLOC],
  dynptr: [PTR_TO_STACK, CONST_PTR_TO_DYNPTR],
};

const DYNPTR_FLAGS =
  DYNPTR_TYPE_LOCAL |
  DYNPTR_TYPE_RINGBUF |
  DYNPTR_TYPE_SKB |
  DYNPTR_TYPE_XDP |
  DYNPTR_TYPE_SKB_META |
  DYNPTR_TYPE_FILE;

/** Refuses a register of a type that the argument does not take. @param wanted struct of a `btf_id` in the kernel's BTF */
export function checkRegType(
  ex: Explorer,
  regno: number,
  arg: Arg,
  meta: CallMeta,
  wanted: BtfTypeId | undefined,
): void {
  const reg = ex.state.frame().reg(regno);
  const compatible = COMPATIBLE[arg.kind];
  const kptrSource = meta.helper === 'kptr_xchg' && regno === 2;
  let { type } = reg;
  if (arg.kind === 'mem' && arg.access === 'read') type &= ~MEM_RDONLY;
  if (arg.nullable) type &= ~PTR_MAYBE_NULL;
  if (arg.kind === 'mem') type &= ~DYNPTR_FLAGS;
  if (kptrSource && (type & MEM_ALLOC) !== 0) type &= ~(MEM_ALLOC | MEM_PERCPU);
  if (!compatible.includes(type)) {
    ex.refuse(
      'bad-argument-type',
      `R${regno} type=${regTypeName(reg.type)} expected=${compatible.map(regTypeName).join(', ')}`,
      {
        reason: describeMismatch(reg, regno),
        hint: mayBeNull(reg.type) ? `compare r${regno} with 0 first` : undefined,
        errno: 'EACCES',
      },
    );
  }
  if (baseType(reg.type) !== PTR_TO_BTF_ID) return;
  if (compatible === MEMORY) {
    if (arg.kind === 'mem' && arg.access === 'read') return;
    ex.refuse(
      'bad-argument-type',
      `bpf_${meta.helper}() may write into memory pointed by R${regno} type=${regTypeName(reg.type)}`,
      { reason: "the kernel's own structs can't be written", errno: 'EACCES' },
    );
  }
  checkKernelPointer(ex, reg, regno, arg, meta, wanted);
}

function describeMismatch(reg: RegState, regno: number): string {
  if (mayBeNull(reg.type)) return `r${regno} may be null here`;
  return reg.type === SCALAR ? `r${regno} holds a number here` : `r${regno} points to something else here`;
}

function checkKernelPointer(
  ex: Explorer,
  reg: RegState,
  regno: number,
  arg: Arg,
  meta: CallMeta,
  wanted: BtfTypeId | undefined,
): void {
  if ((reg.type & MEM_ALLOC) !== 0) {
    if (meta.helper === 'kptr_xchg' && regno === 2) checkKptrSource(ex, meta, reg, regno);
    return;
  }
  if ((reg.type & MEM_PERCPU) !== 0) return;
  if (mayBeNull(reg.type) && (!arg.nullable || arg.release)) {
    ex.refuse('bad-argument-type', `Possibly NULL pointer passed to helper arg${regno}`, {
      reason: `r${regno} may be null here`,
      hint: `compare r${regno} with 0 first`,
      errno: 'EACCES',
    });
  }
  if (meta.helper === 'kptr_xchg') {
    checkKptrSource(ex, meta, reg, regno);
    return;
  }
  const kernelBtf = ex.draft.environment.kernelBtf;
  const name = arg.kind === 'btf_id_sock_common' ? 'sock_common' : arg.btf;
  const id = wanted ?? (name === undefined ? undefined : kernelBtf?.find(name, 'struct'));
  if (kernelBtf === undefined || id === undefined || reg.btf === null) return;
  const strict = arg.release === true && meta.helper !== 'sk_release';
  if (structIdsMatch(reg.btf, reg.btfId, reg.off, kernelBtf, id, strict, ex.log)) return;
  ex.refuse(
    'bad-argument-type',
    `R${regno} is of type ${reg.btf.nameOf(reg.btfId)} but ${kernelBtf.nameOf(id)} is expected`,
    { reason: 'it is a pointer to another struct', errno: 'EACCES' },
  );
}

/** A pointer that is put into a pointer field must be of the field's type and not be able to go stale. */
function checkKptrSource(ex: Explorer, meta: CallMeta, reg: RegState, regno: number): void {
  const { kptrField: field, kptrBtf } = meta;
  if (field === null || kptrBtf === null) return;
  checkKptrMatch(ex, field, kptrTarget(kptrBtf, field, ex.draft.environment.kernelBtf), reg, regno);
}

/** Pointers that may have any offset when they are passed as memory. */
const FREE_OFFSET: ReadonlySet<RegType> = new Set([
  PTR_TO_STACK,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_MEM | MEM_RDONLY,
  PTR_TO_MEM | MEM_RINGBUF,
  PTR_TO_BUF,
  PTR_TO_BUF | MEM_RDONLY,
  PTR_TO_ARENA,
  SCALAR,
]);
/** Pointers that may have a constant offset. */
const FIXED_OFFSET: ReadonlySet<RegType> = new Set([
  PTR_TO_BTF_ID,
  PTR_TO_BTF_ID | MEM_ALLOC,
  PTR_TO_BTF_ID | PTR_TRUSTED,
  PTR_TO_BTF_ID | MEM_RCU,
  PTR_TO_BTF_ID | MEM_ALLOC | NON_OWN_REF,
  PTR_TO_BTF_ID | MEM_ALLOC | NON_OWN_REF | MEM_RCU,
]);

/** Refuses offsets that a pointer of its type can't be passed with. @param release the object is given back */
export function checkRegOffset(
  ex: Explorer,
  regno: number,
  what: { readonly release?: boolean | undefined; readonly dynptr?: boolean } = {},
): void {
  const reg = ex.state.frame().reg(regno);
  if (what.release) {
    if (what.dynptr && reg.type === PTR_TO_STACK) return;
    if (reg.off !== 0) {
      ex.refuse(
        'modified-pointer',
        `R${regno} must have zero offset when passed to release func or trusted arg to kfunc`,
        { reason: 'an object is given back by the pointer that was got for it', errno: 'EINVAL' },
      );
    }
    checkPointerOffset(ex, reg, regno, false);
    return;
  }
  if (FREE_OFFSET.has(reg.type)) return;
  checkPointerOffset(ex, reg, regno, FIXED_OFFSET.has(reg.type));
}

/** Refuses a pointer that was changed since it was got. @param fixed a constant offset is allowed */
export function checkPointerOffset(ex: Explorer, reg: RegState, regno: number, fixed: boolean): void {
  const name = regTypeName(reg.type);
  const reason = 'a pointer of this kind is used as it was got';
  if (reg.off < 0) {
    ex.refuse('modified-pointer', `negative offset ${name} ptr R${regno} off=${reg.off} disallowed`, {
      reason,
      errno: 'EACCES',
    });
  }
  if (!fixed && reg.off !== 0) {
    ex.refuse('modified-pointer', `dereference of modified ${name} ptr R${regno} off=${reg.off} disallowed`, {
      reason,
      errno: 'EACCES',
    });
  }
  // Arguments of kernel functions are not read before: of what was never written nothing is known.
  const offset = reg.type === NOT_INIT ? Scalar.UNKNOWN : reg.scalar;
  if (!offset.isConst || (offset.valueHi | offset.valueLo) !== 0) {
    ex.refuse('modified-pointer', `variable ${name} access var_off=${formatBits(offset)} disallowed`, {
      reason,
      errno: 'EACCES',
    });
  }
}
