/**
 * Whether a state that was explored before makes exploring the current one unnecessary: every concrete machine that
 * the current state describes is described by the old one too, as far as the old exploration looked.
 */
import { contains, equals } from '../value/scalar.ts';
import {
  type Frame,
  NUM_REGS,
  SLOT_BYTES,
  STACK_DYNPTR,
  STACK_INVALID,
  STACK_IRQ_FLAG,
  STACK_ITER,
  STACK_MISC,
  STACK_SPILL,
  STACK_ZERO,
} from './frame.ts';
import type { IdMap } from './ids.ts';
import { type RegState, scalarReg } from './reg.ts';
import {
  baseType,
  NOT_INIT,
  PTR_TO_ARENA,
  PTR_TO_BUF,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_STACK,
  PTR_TO_TP_BUFFER,
  SCALAR,
} from './reg-type.ts';
import type { VerifierState } from './state.ts';

/**
 * How alike is alike enough. `subset`: the usual rule, where imprecise scalars match anything. `range`: scalars must
 * be inside the old range whether precise or not (loops whose precision marks are not complete yet). `exact`: the
 * states are the same (a loop that makes no progress).
 */
export type Exactness = 'subset' | 'range' | 'exact';

/** What the comparison needs to know of the verification. */
export interface EqualityRules {
  readonly ids: IdMap;
  /** Highest id given so far. */
  readonly lastId: number;
  /** Reading stack that was never written is allowed (privileged programs). */
  readonly allowUninitStack: boolean;
  /** Pointer arithmetic is being recorded for speculation barriers, so scalars must match exactly. */
  readonly exactScalars: boolean;
  /** Registers that may be read from instruction `idx` on: bit i is register i. */
  liveRegs(idx: number): number;
  /** Every scalar counts as precise. */
  readonly allPrecise: boolean;
}

const UNKNOWN_SLOT: RegState = scalarReg();

export function statesEqual(
  rules: EqualityRules,
  old: VerifierState,
  cur: VerifierState,
  insnIdx: number,
  exact: Exactness,
): boolean {
  if (old.curframe !== cur.curframe) return false;
  rules.ids.reset(rules.lastId);
  // What was safe under a mispredicted branch says nothing about the real one.
  if (old.speculative && !cur.speculative) return false;
  if (old.inSleepable !== cur.inSleepable) return false;
  if (!refsEqual(rules, old, cur)) return false;
  for (let i = 0; i <= old.curframe; i++) {
    const oldFrame = old.frames[i]!;
    const curFrame = cur.frames[i]!;
    if (oldFrame.callsite !== curFrame.callsite) return false;
    const idx = i === old.curframe ? insnIdx : old.frames[i + 1]!.callsite;
    if (!framesEqual(rules, oldFrame, curFrame, rules.liveRegs(idx), exact)) return false;
  }
  return true;
}

function framesEqual(rules: EqualityRules, old: Frame, cur: Frame, live: number, exact: Exactness): boolean {
  if (old.callbackDepth > cur.callbackDepth) return false;
  for (let i = 0; i < NUM_REGS; i++) {
    if ((live & (1 << i)) === 0) continue;
    if (!regSafe(rules, old.regs[i]!, cur.regs[i]!, (old.preciseRegs & (1 << i)) !== 0, exact)) return false;
  }
  return stackSafe(rules, old, cur, exact);
}

function refsEqual(rules: EqualityRules, old: VerifierState, cur: VerifierState): boolean {
  if (old.refs.length !== cur.refs.length) return false;
  if (old.activeLocks !== cur.activeLocks) return false;
  if (old.activePreemptLocks !== cur.activePreemptLocks) return false;
  if (old.activeRcuLocks !== cur.activeRcuLocks) return false;
  if (!rules.ids.match(old.activeIrqId, cur.activeIrqId)) return false;
  if (!rules.ids.match(old.activeLockId, cur.activeLockId)) return false;
  if (old.activeLockHolder !== cur.activeLockHolder) return false;
  for (let i = 0; i < old.refs.length; i++) {
    const a = old.refs[i]!;
    const b = cur.refs[i]!;
    if (a.kind !== b.kind || !rules.ids.match(a.id, b.id)) return false;
    if (a.holder !== b.holder) return false;
  }
  return true;
}

/** All facts but ids and the scalar part. */
function sameKind(a: RegState, b: RegState): boolean {
  return (
    a.type === b.type &&
    a.off === b.off &&
    a.range === b.range &&
    a.memSize === b.memSize &&
    a.dynptrId === b.dynptrId &&
    a.map === b.map &&
    a.mapUid === b.mapUid &&
    a.btf === b.btf &&
    a.btfId === b.btfId &&
    a.dynptr?.type === b.dynptr?.type &&
    a.dynptr?.firstSlot === b.dynptr?.firstSlot &&
    a.subprog === b.subprog
  );
}

function regsExact(rules: EqualityRules, old: RegState, cur: RegState): boolean {
  return (
    sameKind(old, cur) &&
    equals(old.scalar, cur.scalar) &&
    rules.ids.match(old.id, cur.id) &&
    rules.ids.match(old.refObjId, cur.refObjId)
  );
}

function regSafe(
  rules: EqualityRules,
  old: RegState,
  cur: RegState,
  precise: boolean,
  exact: Exactness,
): boolean {
  // The very same record, of which nothing has to be compared across registers.
  if (old === cur && (old.id | old.refObjId) === 0) return true;
  if (exact === 'exact') return regsExact(rules, old, cur);
  if (old.type === NOT_INIT) return exact === 'subset' || cur.type === NOT_INIT;
  if (old.type !== cur.type) return false;
  switch (baseType(old.type)) {
    case SCALAR:
      if (rules.exactScalars) {
        return equals(old.scalar, cur.scalar) && rules.ids.matchScalar(old.id, cur.id);
      }
      if (!precise && !rules.allPrecise && exact === 'subset') return true;
      // Links of the current value alone only say more of it.
      if (old.id !== 0 && old.linkedAdd !== cur.linkedAdd) return false;
      if (old.linkedAdd !== 0 && old.off !== cur.off) return false;
      return contains(old.scalar, cur.scalar) && rules.ids.matchScalar(old.id, cur.id);
    case PTR_TO_MAP_KEY:
    case PTR_TO_MAP_VALUE:
    case PTR_TO_MEM:
    case PTR_TO_BUF:
    case PTR_TO_TP_BUFFER:
      return (
        sameKind(old, cur) &&
        contains(old.scalar, cur.scalar) &&
        rules.ids.match(old.id, cur.id) &&
        rules.ids.match(old.refObjId, cur.refObjId)
      );
    case PTR_TO_PACKET_META:
    case PTR_TO_PACKET:
      // A negative range marks a pointer at or beyond the packet's end; it must be the same one.
      if (old.range < 0 || cur.range < 0 ? old.range !== cur.range : old.range > cur.range) return false;
      return old.off === cur.off && rules.ids.match(old.id, cur.id) && contains(old.scalar, cur.scalar);
    case PTR_TO_STACK:
      return regsExact(rules, old, cur) && old.frameno === cur.frameno;
    case PTR_TO_ARENA:
      return true;
    default:
      return regsExact(rules, old, cur);
  }
}

/** A slot that reads as one 64-bit scalar: a full spill of one, or eight bytes of which nothing is known. */
function slotScalar(rules: EqualityRules, frame: Frame, slot: number): RegState | null {
  const base = slot * SLOT_BYTES;
  if (frame.bytes[base] === STACK_SPILL) {
    const reg = frame.spilled[slot]!;
    return reg.type === SCALAR ? reg : null;
  }
  for (let b = 0; b < SLOT_BYTES; b++) {
    const type = frame.bytes[base + b];
    if (type !== STACK_MISC && !(type === STACK_INVALID && rules.allowUninitStack)) return null;
  }
  return UNKNOWN_SLOT;
}

function stackSafe(rules: EqualityRules, old: Frame, cur: Frame, exact: Exactness): boolean {
  if (exact === 'subset' && rules.allowUninitStack && !rules.allPrecise && !rules.exactScalars) {
    // Of the other slots the old state knows nothing that the current one could contradict.
    old.findKnownSlots();
    return (
      someStackSafe(rules, old, cur, old.knownLow, 0) && someStackSafe(rules, old, cur, old.knownHigh, 32)
    );
  }
  for (let slot = 0; slot < old.slots; slot++) {
    if (!stackSlotSafe(rules, old, cur, slot, exact)) return false;
  }
  return true;
}

/** @param mask the slots to compare, bit 0 being slot `first` */
function someStackSafe(rules: EqualityRules, old: Frame, cur: Frame, mask: number, first: number): boolean {
  for (let rest = mask; rest !== 0; rest &= rest - 1) {
    const slot = first + 31 - Math.clz32(rest & -rest);
    if (!stackSlotSafe(rules, old, cur, slot, 'subset')) return false;
  }
  return true;
}

function stackSlotSafe(
  rules: EqualityRules,
  old: Frame,
  cur: Frame,
  slot: number,
  exact: Exactness,
): boolean {
  const base = slot * SLOT_BYTES;
  if (slot >= cur.slots) return exact === 'subset' && slotSafe(rules, old, cur, slot, exact);
  if (old.bytes[base] === STACK_SPILL && cur.bytes[base] === STACK_SPILL) {
    // All of a register in both.
    return regSafe(rules, old.spilled[slot]!, cur.spilled[slot]!, old.isPreciseSlot(slot), exact);
  }
  if (exact !== 'subset') {
    for (let b = 0; b < SLOT_BYTES; b++) if (old.bytes[base + b] !== cur.bytes[base + b]) return false;
  }
  const oldReg = slotScalar(rules, old, slot);
  const curReg = oldReg === null ? null : slotScalar(rules, cur, slot);
  if (oldReg !== null && curReg !== null) {
    return regSafe(rules, oldReg, curReg, oldReg !== UNKNOWN_SLOT && old.isPreciseSlot(slot), exact);
  }
  return slotSafe(rules, old, cur, slot, exact);
}

function slotSafe(rules: EqualityRules, old: Frame, cur: Frame, slot: number, exact: Exactness): boolean {
  for (let b = 0; b < SLOT_BYTES; b++) {
    const oldType = old.bytes[slot * SLOT_BYTES + b]!;
    if (oldType === STACK_INVALID) continue;
    if (oldType === STACK_MISC && rules.allowUninitStack) continue;
    if (slot >= cur.slots) return false;
    const curType = cur.bytes[slot * SLOT_BYTES + b]!;
    if (oldType === STACK_MISC && curType === STACK_ZERO) continue;
    if (oldType !== curType) return false;
  }
  if (slot >= cur.slots) return true;
  const oldReg = old.spilled[slot]!;
  const curReg = cur.spilled[slot]!;
  switch (old.bytes[slot * SLOT_BYTES + SLOT_BYTES - 1]) {
    case STACK_SPILL:
      return regSafe(rules, oldReg, curReg, old.isPreciseSlot(slot), exact);
    case STACK_DYNPTR:
      return (
        oldReg.dynptr?.type === curReg.dynptr?.type &&
        oldReg.dynptr?.firstSlot === curReg.dynptr?.firstSlot &&
        rules.ids.match(oldReg.refObjId, curReg.refObjId)
      );
    case STACK_ITER:
      // How often the iterator ran is not compared: it is what makes loops converge.
      return (
        oldReg.iter?.btf === curReg.iter?.btf &&
        oldReg.iter?.btfId === curReg.iter?.btfId &&
        oldReg.iter?.state === curReg.iter?.state &&
        rules.ids.match(oldReg.refObjId, curReg.refObjId)
      );
    case STACK_IRQ_FLAG:
      return (
        rules.ids.match(oldReg.refObjId, curReg.refObjId) && oldReg.irq?.kfuncClass === curReg.irq?.kfuncClass
      );
    default:
      return true;
  }
}
