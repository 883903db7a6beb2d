/**
 * Locks in map values and allocated objects: `bpf_spin_lock`, of which one may be held, and `bpf_res_spin_lock`, of
 * which several may, released in reverse order.
 */
import type { Explorer } from './explorer.ts';
import { mapRecord, recordOf } from './record.ts';
import {
  acquireLock,
  holdsLock,
  inRcuSection,
  invalidateNonOwningRefs,
  type LockKind,
  releaseLock,
  untrustRcuRefs,
} from './references.ts';
import { PTR_TO_MAP_VALUE } from './reg-type.ts';

/** @param kind which lock is taken or given back through the register */
export function processSpinLock(
  ex: Explorer,
  regno: number,
  action: 'lock' | 'unlock',
  kind: LockKind,
): void {
  const { state } = ex;
  const reg = state.frame().reg(regno);
  const field = kind === 'lock' ? 'spin_lock' : 'res_spin_lock';
  // What the messages call the lock, without `_lock`.
  const name = kind === 'lock' ? 'bpf_spin' : 'bpf_res_spin';
  const refuse: (problem: string, reason: string, hint?: string) => never = (problem, reason, hint) =>
    ex.refuse('bad-lock', problem, { reason, hint });
  if (!reg.scalar.isConst) {
    refuse(
      `R${regno} doesn't have constant offset. ${name}_lock has to be at the constant offset`,
      'where the pointer points to inside the value must be known',
    );
  }
  const map = reg.type === PTR_TO_MAP_VALUE ? reg.map : null;
  if (map !== null && map.btf === undefined) {
    refuse(
      `map '${map.name}' has to have BTF in order to use ${name}_lock`,
      'BTF says where the lock is in the value',
    );
  }
  const record = map !== null ? mapRecord(map) : reg.btf !== null ? recordOf(reg.btf, reg.btfId) : [];
  const lock = record.find((one) => one.kind === field);
  if (lock === undefined) {
    refuse(
      `${map !== null ? 'map' : 'local'} '${map !== null ? map.name : 'kptr'}' has no valid ${name}_lock`,
      `it has no member of type struct ${name}_lock`,
    );
  }
  const off = reg.off + reg.scalar.constNumber();
  if (lock.offset !== off) {
    refuse(
      `off ${off} doesn't point to 'struct ${name}_lock' that is at ${lock.offset}`,
      'the pointer must point to the lock itself',
    );
  }
  const holder: object = map ?? reg.btf!;
  if (action === 'lock') {
    if (state.activeLocks > 0) {
      if (kind === 'lock' && holdsLock(state, ['lock'], 0, null)) {
        refuse(
          'Locking two bpf_spin_locks are not allowed',
          'two programs could wait for each other for ever',
        );
      }
      if (kind !== 'lock' && holdsLock(state, ['res_lock', 'res_lock_irq'], reg.id, holder)) {
        refuse(
          'Acquiring the same lock again, AA deadlock detected',
          'the program would wait for itself for ever',
        );
      }
    }
    acquireLock(ex, kind, reg.id, holder);
    return;
  }
  if (state.activeLocks === 0) {
    refuse(`${name}_unlock without taking a lock`, 'no lock is held here');
  }
  if (!holdsLock(state, [kind], reg.id, holder)) {
    refuse(
      `${name}_unlock of different lock`,
      'the lock that is held was taken through another pointer',
      'use the pointer that the lock was taken with',
    );
  }
  if (reg.id !== state.activeLockId || holder !== state.activeLockHolder) {
    refuse(`${name}_unlock cannot be out of order`, 'the lock taken last is released first');
  }
  const wasInRcu = inRcuSection(ex);
  releaseLock(state, kind, reg.id, holder);
  if (wasInRcu && !inRcuSection(ex)) untrustRcuRefs(state);
  invalidateNonOwningRefs(ex);
}
