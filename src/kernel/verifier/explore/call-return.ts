/** What a helper leaves in r0. */
import type { BtfTypeId } from '../../../btf/index.ts';
import { resolve, trySizeOf } from '../../../btf/index.ts';
import type { Helper } from '../../../sys/helper-ids.ts';
import type { Prototype, ReturnKind } from '../../helpers/prototypes-arg.ts';
import { Scalar } from '../value/scalar.ts';
import { canElideNull, mayHoldLock } from './call-args.ts';
import type { CallMeta } from './call-meta.ts';
import type { Explorer } from './explorer.ts';
import { kptrTarget } from './record.ts';
import { acquireReference } from './references.ts';
import { pointerReg, type RegState, scalarReg, UNINIT } from './reg.ts';
import {
  MEM_ALLOC,
  MEM_PERCPU,
  MEM_RCU,
  MEM_RDONLY,
  MEM_RINGBUF,
  mayBeNull,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TRUSTED,
  type RegType,
} from './reg-type.ts';

const MAX_ERRNO = 4095;

const TYPES: Readonly<Record<Exclude<ReturnKind, 'integer' | 'void'>, RegType>> = {
  map_value: PTR_TO_MAP_VALUE,
  map_value_or_null: PTR_TO_MAP_VALUE | PTR_MAYBE_NULL,
  socket_or_null: PTR_TO_SOCKET | PTR_MAYBE_NULL,
  tcp_sock_or_null: PTR_TO_TCP_SOCK | PTR_MAYBE_NULL,
  sock_common_or_null: PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL,
  ringbuf_mem_or_null: PTR_TO_MEM | MEM_RINGBUF | PTR_MAYBE_NULL,
  dynptr_mem_or_null: PTR_TO_MEM | PTR_MAYBE_NULL,
  btf_id: PTR_TO_BTF_ID,
  btf_id_trusted: PTR_TO_BTF_ID | PTR_TRUSTED,
  btf_id_or_null: PTR_TO_BTF_ID | PTR_MAYBE_NULL,
  mem_or_btf_id: PTR_TO_MEM | MEM_RDONLY,
  mem_or_btf_id_or_null: PTR_TO_MEM | MEM_RDONLY | PTR_MAYBE_NULL,
};

/** Helpers that give another view of the same socket: releasing one releases the other. */
const CASTS: ReadonlySet<Helper> = new Set([
  'tcp_sock',
  'sk_fullsock',
  'skc_to_tcp_sock',
  'skc_to_tcp6_sock',
  'skc_to_udp6_sock',
  'skc_to_mptcp_sock',
  'skc_to_tcp_timewait_sock',
  'skc_to_tcp_request_sock',
]);

/** The value of r0 behind the call; r1 to r5 still hold the arguments. */
export function returnValue(ex: Explorer, helper: Helper, proto: Prototype, meta: CallMeta): RegState {
  if (proto.ret === 'integer') return integer(ex, proto, meta);
  if (proto.ret === 'void') return UNINIT;
  const reg = pointer(ex, helper, proto, meta, proto.ret);
  if (mayBeNull(reg.type)) reg.id = ex.newId();
  if (helper === 'dynptr_data') {
    reg.dynptrId = meta.dynptrId;
    reg.refObjId = meta.refObjId;
  } else if (CASTS.has(helper)) {
    reg.refObjId = meta.refObjId;
  } else if (proto.acquires || acquiresFromMap(helper, meta)) {
    reg.id = reg.refObjId = acquireReference(ex);
  }
  return reg;
}

function acquiresFromMap(helper: Helper, meta: CallMeta): boolean {
  return helper === 'map_lookup_elem' && (meta.map?.type === 'sockmap' || meta.map?.type === 'sockhash');
}

function integer(ex: Explorer, proto: Prototype, meta: CallMeta): RegState {
  if (proto.retRange === 'size_or_errno') return ranged(-MAX_ERRNO, meta.maxSize);
  if (proto.retRange === 'cpu') return ranged(0, (ex.draft.environment.cpus ?? 1) - 1);
  return scalarReg();
}

/** A number of that range, which fits in 32 bits with its sign. */
function ranged(min: number, max: number): RegState {
  const scalar = new Scalar().setUnknown();
  scalar.sminHi = min >> 31;
  scalar.sminLo = scalar.s32min = min | 0;
  scalar.smaxHi = max >> 31;
  scalar.smaxLo = scalar.s32max = max | 0;
  if (min >= 0) {
    scalar.uminHi = 0;
    scalar.uminLo = scalar.u32min = min;
    scalar.umaxHi = 0;
    scalar.umaxLo = scalar.u32max = max;
  }
  scalar.sync();
  return scalarReg(scalar);
}

function pointer(
  ex: Explorer,
  helper: Helper,
  proto: Prototype,
  meta: CallMeta,
  kind: keyof typeof TYPES,
): RegState {
  const reg = pointerReg(TYPES[kind]);
  switch (kind) {
    case 'map_value':
    case 'map_value_or_null':
      mapValue(ex, helper, meta, reg);
      break;
    case 'ringbuf_mem_or_null':
    case 'dynptr_mem_or_null':
      reg.memSize = meta.memSize;
      break;
    case 'mem_or_btf_id':
    case 'mem_or_btf_id_or_null':
      perCpu(ex, meta, reg);
      break;
    case 'btf_id':
    case 'btf_id_trusted':
    case 'btf_id_or_null':
      kernelPointer(ex, helper, proto, meta, reg);
      break;
    default:
  }
  return reg;
}

function mapValue(ex: Explorer, helper: Helper, meta: CallMeta, reg: RegState): void {
  const map = meta.map!;
  const { constKey } = meta;
  if (helper === 'map_lookup_elem' && canElideNull(map) && constKey >= 0 && constKey < map.maxEntries) {
    reg.type &= ~PTR_MAYBE_NULL;
  }
  reg.map = map;
  reg.mapUid = meta.mapUid;
  if (!mayBeNull(reg.type) && mayHoldLock(map)) reg.id = ex.newId();
}

/** A per-CPU variable: memory where it is no struct, else a kernel pointer. */
function perCpu(ex: Explorer, meta: CallMeta, reg: RegState): void {
  const btf = meta.retBtf!;
  const id = resolve(btf, meta.retBtfId);
  const type = btf.type(id);
  if (type.kind !== 'struct' && type.kind !== 'union') {
    const size = trySizeOf(btf, id);
    if (size === undefined) {
      const name = 'name' in type ? type.name : '';
      ex.refuse('bad-argument', `unable to resolve the size of type '${name}': -22`, {
        reason: 'the variable is of a type without a size',
      });
    }
    reg.memSize = size;
    return;
  }
  const alloc = (ex.state.frame().reg(1).type & MEM_RCU) !== 0;
  reg.type = alloc ? PTR_TO_BTF_ID | MEM_ALLOC | MEM_RCU : PTR_TO_BTF_ID | (reg.type & ~(0xff | MEM_RDONLY));
  reg.btf = btf;
  reg.btfId = meta.retBtfId;
}

function kernelPointer(ex: Explorer, helper: Helper, proto: Prototype, meta: CallMeta, reg: RegState): void {
  const { kernelBtf } = ex.draft.environment;
  if (helper === 'kptr_xchg') {
    const field = meta.kptrField!;
    const { btf, btfId } = kptrTarget(meta.kptrBtf!, field, kernelBtf);
    if (btf !== kernelBtf) {
      reg.type |= MEM_ALLOC;
      if (field.kind === 'kptr_percpu') reg.type |= MEM_PERCPU;
    }
    reg.btf = btf;
    reg.btfId = btfId;
    return;
  }
  const id = proto.retBtf === undefined ? undefined : kernelBtf?.find(proto.retBtf, 'struct');
  if (kernelBtf === undefined || id === undefined) {
    ex.refuse('bad-argument', `invalid return type 8 of func bpf_${helper}#${meta.helperId}`, {
      reason: `this kernel has no struct ${proto.retBtf}`,
    });
  }
  reg.btf = kernelBtf;
  reg.btfId = id as BtfTypeId;
}
