/** Pointers that may be null, and what a comparison with zero makes of them and of their copies. */

import { Scalar } from '../value/scalar.ts';
import { changeRegs } from './each-reg.ts';
import { has, hasField, regRecord } from './record.ts';
import { releaseReference } from './references.ts';
import { type RegState, scalarReg } from './reg.ts';
import {
  baseType,
  CONST_PTR_TO_MAP,
  MEM_ALLOC,
  MEM_RCU,
  mayBeNull,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  PTR_TRUSTED,
  PTR_UNTRUSTED,
  type RegType,
  typeFlags,
} from './reg-type.ts';
import type { VerifierState } from './state.ts';

/** What a map's value pointer becomes when it is known not to be null, for maps whose values are objects. */
function mapValueType(reg: RegState): RegType {
  switch (reg.map?.type) {
    case 'xskmap':
      return PTR_TO_XDP_SOCK;
    case 'sockmap':
    case 'sockhash':
      return PTR_TO_SOCKET;
    default:
      return PTR_TO_MAP_VALUE;
  }
}

/** The pointer when it is not null. */
export function notNull(reg: RegState): RegState {
  const copy = reg.clone();
  if (baseType(reg.type) !== PTR_TO_MAP_VALUE) {
    copy.type &= ~PTR_MAYBE_NULL;
    return copy;
  }
  const inner = reg.map?.inner;
  if (inner !== undefined) {
    copy.type = CONST_PTR_TO_MAP;
    copy.map = inner;
    // Two lookups may give different inner maps: what belongs to one must not be used with the other.
    if (hasField(inner, 'timer') || hasField(inner, 'wq') || hasField(inner, 'task_work'))
      copy.mapUid = reg.id;
    return copy;
  }
  copy.type = mapValueType(reg);
  return copy;
}

/** A null pointer: the number zero. */
export function markNull(): RegState {
  return scalarReg(Scalar.ZERO);
}

/** Whether the pointer's object may hold a lock, so that its id must be kept to tell objects apart. */
function mayHoldLock(reg: RegState): boolean {
  const record = regRecord(reg);
  return record.length > 0 && (has(record, 'spin_lock') || has(record, 'res_spin_lock'));
}

/** A register that may be null was compared with zero: so are all that came from the same call. */
export function markNullRegs(state: VerifierState, regno: number, isNull: boolean): void {
  const { id, refObjId } = state.frame().reg(regno);
  if (refObjId !== 0 && refObjId === id && isNull) releaseReference(state, id);
  changeRegs(state, (reg) => {
    if (!mayBeNull(reg.type) || reg.id !== id) return reg;
    if (isNull) return markNull();
    const copy = notNull(reg);
    if (!mayHoldLock(copy)) copy.id = 0;
    return copy;
  });
}

/** Whether the pointer can't be null, so that a comparison with zero is decided. */
export function pointerIsNotNull(reg: RegState): boolean {
  if (mayBeNull(reg.type)) return false;
  switch (baseType(reg.type)) {
    case PTR_TO_SOCKET:
    case PTR_TO_TCP_SOCK:
    case PTR_TO_MAP_VALUE:
    case PTR_TO_MAP_KEY:
    case PTR_TO_SOCK_COMMON:
    case CONST_PTR_TO_MAP:
      return true;
    case PTR_TO_BTF_ID:
      return isTrusted(reg);
    case PTR_TO_MEM:
      return (reg.type & PTR_UNTRUSTED) === 0;
    default:
      return false;
  }
}

/** A kernel pointer that stays valid: held by a reference, or marked as trusted. */
export function isTrusted(reg: RegState): boolean {
  if (reg.refObjId !== 0) return true;
  const flags = typeFlags(reg.type);
  return (
    (flags & (MEM_ALLOC | PTR_TRUSTED)) !== 0 && (flags & ~(MEM_ALLOC | PTR_TRUSTED | PTR_MAYBE_NULL)) === 0
  );
}

/** A pointer that is valid until the RCU read section ends. */
export function isRcu(reg: RegState): boolean {
  return (reg.type & MEM_RCU) !== 0;
}
