/**
 * What a path acquired and must give back: objects, locks and saved interrupt flags, in one list of the state; and
 * the pointers that lose their meaning when it does.
 */
import { changeRegs } from './each-reg.ts';
import type { Explorer } from './explorer.ts';
import { type RegState, scalarReg, UNINIT } from './reg.ts';
import {
  baseType,
  DYNPTR_TYPE_SKB,
  DYNPTR_TYPE_SKB_META,
  DYNPTR_TYPE_XDP,
  MEM_RCU,
  NON_OWN_REF,
  PTR_MAYBE_NULL,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_PACKET_META,
  PTR_UNTRUSTED,
} from './reg-type.ts';
import type { Reference, VerifierState } from './state.ts';

/** Kinds of locks among the references. */
export type LockKind = 'lock' | 'res_lock' | 'res_lock_irq';

function push(ex: Explorer, kind: Reference['kind'], id: number, holder: object | null): void {
  ex.state.refs = [...ex.state.refs, { kind, id, insnIdx: ex.insnIdx, holder }];
}

/** The current instruction acquires an object. @returns its id, for `refObjId` of the pointers to it */
export function acquireReference(ex: Explorer): number {
  const id = ex.newId();
  push(ex, 'object', id, null);
  return id;
}

/** Whether the object with that id is still held. */
export function holdsReference(state: VerifierState, id: number): boolean {
  return state.refs.some((ref) => ref.kind === 'object' && ref.id === id);
}

/**
 * The object is no longer to be given back; pointers to it stay as they are.
 *
 * @returns false when it was not held
 */
export function releaseReference(state: VerifierState, id: number): boolean {
  const at = state.refs.findIndex((ref) => ref.kind === 'object' && ref.id === id);
  if (at < 0) return false;
  state.refs = without(state.refs, at);
  return true;
}

function without(refs: readonly Reference[], at: number): readonly Reference[] {
  return refs.filter((_, i) => i !== at);
}

/** Gives an object back: every pointer to it, or into it, becomes unusable. @returns false when it was not held */
export function releaseObject(ex: Explorer, id: number): boolean {
  if (!releaseReference(ex.state, id)) return false;
  invalidateRegs(ex, (reg) => reg.refObjId === id);
  return true;
}

/** What is left of a pointer whose object is gone: a number, or nothing where numbers of pointers are secret. */
export function invalidReg(ex: Explorer): RegState {
  return ex.caps.allowPtrLeaks ? scalarReg() : UNINIT;
}

/** Makes the registers that `gone` names unusable, in all frames. */
export function invalidateRegs(ex: Explorer, gone: (reg: RegState) => boolean): void {
  const invalid = invalidReg(ex);
  changeRegs(ex.state, (reg) => (gone(reg) ? invalid : reg));
}

/** Pointers that may be null and belong to packet data through a dynptr. */
function isPacketSlice(reg: RegState): boolean {
  return (
    baseType(reg.type) === PTR_TO_MEM &&
    (reg.type & (DYNPTR_TYPE_SKB | DYNPTR_TYPE_XDP | DYNPTR_TYPE_SKB_META)) !== 0
  );
}

/** A call may have moved the packet's data: pointers to it are worth nothing any more. */
export function clearPacketPointers(ex: Explorer): void {
  invalidateRegs(ex, (reg) => {
    const base = baseType(reg.type);
    return (
      base === PTR_TO_PACKET ||
      base === PTR_TO_PACKET_META ||
      base === PTR_TO_PACKET_END ||
      isPacketSlice(reg)
    );
  });
}

/** A lock was given back: nodes that were seen under it may be gone. */
export function invalidateNonOwningRefs(ex: Explorer): void {
  invalidateRegs(ex, (reg) => (reg.type & NON_OWN_REF) !== 0);
}

/** The RCU read section ended: what it protected can still be read, but may be anything. */
export function untrustRcuRefs(state: VerifierState): void {
  changeRegs(state, (reg) => {
    if ((reg.type & MEM_RCU) === 0) return reg;
    const copy = reg.clone();
    copy.type = (copy.type & ~(MEM_RCU | PTR_MAYBE_NULL)) | PTR_UNTRUSTED;
    return copy;
  });
}

/** Takes a lock. @param holder the map or BTF of the object that contains it */
export function acquireLock(ex: Explorer, kind: LockKind, id: number, holder: object): void {
  push(ex, kind, id, holder);
  const { state } = ex;
  state.activeLocks++;
  state.activeLockId = id;
  state.activeLockHolder = holder;
}

/** Whether a lock of one of the kinds is held: that one, or any where `holder` is null. */
export function holdsLock(
  state: VerifierState,
  kinds: readonly LockKind[],
  id: number,
  holder: object | null,
): boolean {
  return state.refs.some(
    (ref) =>
      (kinds as readonly string[]).includes(ref.kind) &&
      (holder === null || (ref.id === id && ref.holder === holder)),
  );
}

/** Gives a lock back; the one taken before it becomes the innermost. @returns false when it was not held */
export function releaseLock(state: VerifierState, kind: LockKind, id: number, holder: object): boolean {
  const at = state.refs.findLastIndex((ref) => ref.kind === kind && ref.id === id && ref.holder === holder);
  if (at < 0) return false;
  state.refs = without(state.refs, at);
  state.activeLocks--;
  const outer = state.refs.findLast((ref) => ref.kind !== 'object' && ref.kind !== 'irq');
  state.activeLockId = outer?.id ?? 0;
  state.activeLockHolder = outer?.holder ?? null;
  return true;
}

/** Interrupts were switched off. @returns id of the saved flags */
export function acquireIrq(ex: Explorer): number {
  const id = ex.newId();
  push(ex, 'irq', id, null);
  ex.state.activeIrqId = id;
  return id;
}

/**
 * Restores saved interrupt flags, which must be the last that were saved.
 *
 * @returns the reference that has to be released first, or `undefined` when it worked
 */
export function releaseIrq(state: VerifierState, id: number): Reference | undefined {
  if (id !== state.activeIrqId) return state.refs.find((ref) => ref.id === state.activeIrqId);
  const at = state.refs.findIndex((ref) => ref.kind === 'irq' && ref.id === id);
  if (at < 0) return undefined;
  state.refs = without(state.refs, at);
  state.activeIrqId = state.refs.findLast((ref) => ref.kind === 'irq')?.id ?? 0;
  return undefined;
}

/** Kernel pointers that RCU protects may be used: in a program that can't sleep, or in a section that says so. */
export function inRcuSection(ex: Explorer): boolean {
  const { state } = ex;
  return state.activeRcuLocks > 0 || state.activeLocks > 0 || !state.inSleepable;
}

/** The path may sleep here. */
export function inSleepableContext(ex: Explorer): boolean {
  const { state } = ex;
  return (
    state.activeRcuLocks === 0 &&
    state.activePreemptLocks === 0 &&
    state.activeLocks === 0 &&
    state.activeIrqId === 0 &&
    state.inSleepable
  );
}

/** Why the path may not sleep here, in the log's words. */
export function nonSleepableContext(ex: Explorer): string {
  const { state } = ex;
  if (state.activeRcuLocks > 0) return 'rcu_read_lock region';
  if (state.activePreemptLocks > 0) return 'non-preemptible region';
  if (state.activeIrqId !== 0) return 'IRQ-disabled region';
  if (state.activeLocks > 0) return 'lock region';
  return 'non-sleepable prog';
}
