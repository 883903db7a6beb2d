/**
 * Dynptrs: bounded views of memory that live in two stack slots. Of the two the first, at the lower address, has the
 * higher slot number. Only helpers and kernel functions make, use and destroy them; any other write to their slots
 * destroys them.
 */
import type { Arg } from '../../helpers/prototypes-arg.ts';
import { checkMemAccess } from './access.ts';
import type { Explorer } from './explorer.ts';
import { type Frame, SLOT_BYTES, STACK_DYNPTR, STACK_INVALID } from './frame.ts';
import { acquireReference, invalidateRegs, releaseObject } from './references.ts';
import { dynptrReg, type RegState, UNINIT } from './reg.ts';
import {
  CONST_PTR_TO_DYNPTR,
  DYNPTR_TYPE_FILE,
  DYNPTR_TYPE_LOCAL,
  DYNPTR_TYPE_RINGBUF,
  DYNPTR_TYPE_SKB,
  DYNPTR_TYPE_SKB_META,
  DYNPTR_TYPE_XDP,
  PTR_TO_STACK,
} from './reg-type.ts';
import { destroyDynptrAt } from './stack-special.ts';

/** Stack slots that a dynptr takes. */
export const DYNPTR_SLOTS = 2;

/** Names of the kinds in messages. */
export const DYNPTR_NAMES: Readonly<Record<number, string>> = {
  [DYNPTR_TYPE_LOCAL]: 'local',
  [DYNPTR_TYPE_RINGBUF]: 'ringbuf',
  [DYNPTR_TYPE_SKB]: 'skb',
  [DYNPTR_TYPE_XDP]: 'xdp',
  [DYNPTR_TYPE_SKB_META]: 'skb_meta',
  [DYNPTR_TYPE_FILE]: 'file',
};

/** Making one acquires a reference, so that it must be given back. */
function isReferenced(type: number): boolean {
  return type === DYNPTR_TYPE_RINGBUF || type === DYNPTR_TYPE_FILE;
}

/** The place is not one where the object can be (the log says so), or one that the frame has not used so far. */
export const BAD_SLOT = -1;
export const UNUSED_SLOT = -2;

/**
 * The slot that a pointer to an object on the stack points to.
 *
 * @param kind what the object is, in the log's words
 * @param slots how many slots it takes
 */
export function stackObjectSlot(ex: Explorer, reg: RegState, kind: string, slots: number): number {
  if (!reg.scalar.isConst) {
    ex.log.write(`${kind} has to be at a constant offset\n`);
    return BAD_SLOT;
  }
  const off = reg.off + reg.scalar.constNumber();
  // Rounded towards zero, as in C: offset 0 counts as the first slot.
  const slot = Math.trunc((-off - 1) / SLOT_BYTES) | 0;
  if (off % SLOT_BYTES !== 0 || slot + 1 < slots) {
    ex.log.write(`cannot pass in ${kind} at an offset=${off}\n`);
    return BAD_SLOT;
  }
  return slot < ex.state.frames[reg.frameno]!.slots ? slot : UNUSED_SLOT;
}

function dynptrSlot(ex: Explorer, reg: RegState): number {
  return stackObjectSlot(ex, reg, 'dynptr', DYNPTR_SLOTS);
}

/** What is known of the dynptr that a register points to: its first slot, or the register itself. */
export function dynptrOf(ex: Explorer, reg: RegState): RegState {
  if (reg.type === CONST_PTR_TO_DYNPTR) return reg;
  const slot = dynptrSlot(ex, reg);
  return slot < 0 ? UNINIT : ex.state.frames[reg.frameno]!.spilled[slot]!;
}

function isInitialised(ex: Explorer, reg: RegState): boolean {
  if (reg.type === CONST_PTR_TO_DYNPTR) return true;
  const slot = dynptrSlot(ex, reg);
  if (slot < 0) return false;
  const frame = ex.state.frames[reg.frameno]!;
  return (
    frame.byteType(slot, 0) === STACK_DYNPTR &&
    frame.byteType(slot - 1, 0) === STACK_DYNPTR &&
    frame.spilled[slot]!.dynptr?.firstSlot === true
  );
}

const KINDS: Readonly<Record<NonNullable<Arg['dynptr']>, number>> = {
  local: DYNPTR_TYPE_LOCAL,
  ringbuf: DYNPTR_TYPE_RINGBUF,
};

/**
 * A dynptr argument.
 *
 * @param cloneOf the reference that a clone shares with its original; 0 to acquire one where the kind needs it
 * @param kind a `DYNPTR_TYPE_*` flag, for kinds that only kernel functions make
 */
export function processDynptrArg(
  ex: Explorer,
  regno: number,
  arg: Arg,
  cloneOf: number,
  kind: number = arg.dynptr === undefined ? 0 : KINDS[arg.dynptr],
): void {
  const reg = ex.state.frame().reg(regno);
  const refuse = (problem: string, reason: string): never =>
    ex.refuse('bad-dynptr', problem, { reason, errno: 'EINVAL' });
  if (reg.type !== PTR_TO_STACK && reg.type !== CONST_PTR_TO_DYNPTR) {
    refuse(
      `arg#${regno - 1} expected pointer to stack or const struct bpf_dynptr`,
      `r${regno} does not point to a dynptr`,
    );
  }
  if (arg.access === 'uninit') {
    if (reg.type === CONST_PTR_TO_DYNPTR || dynptrSlot(ex, reg) === BAD_SLOT) {
      refuse('Dynptr has to be an uninitialized dynptr', 'a new dynptr is made in 16 aligned bytes of stack');
    }
    for (let off = 0; off < DYNPTR_SLOTS * SLOT_BYTES; off += SLOT_BYTES) {
      checkMemAccess(ex, regno, off, SLOT_BYTES, 'write', -1);
    }
    makeDynptr(ex, reg, kind, cloneOf);
    return;
  }
  if (reg.type === CONST_PTR_TO_DYNPTR && arg.access !== 'read') {
    refuse(
      'cannot pass pointer to const bpf_dynptr, the helper mutates it',
      'the dynptr belongs to whoever passed it',
    );
  }
  if (!isInitialised(ex, reg)) {
    refuse(
      `Expected an initialized dynptr as arg #${regno - 1}`,
      `no dynptr was made where r${regno} points to, or it was overwritten`,
    );
  }
  if (kind !== 0 && dynptrOf(ex, reg).dynptr?.type !== kind) {
    refuse(
      `Expected a dynptr of type ${DYNPTR_NAMES[kind]} as arg #${regno - 1}`,
      'it is a dynptr of another type',
    );
  }
  if (reg.type === CONST_PTR_TO_DYNPTR) return;
  const slot = dynptrSlot(ex, reg);
  for (let i = 0; i < DYNPTR_SLOTS; i++) {
    ex.stackLiveness.read(reg.frameno, ex.insnIdx, slot - i);
    ex.log.touchSlot(slot - i);
  }
}

function makeDynptr(ex: Explorer, reg: RegState, type: number, cloneOf: number): void {
  const frame = ex.state.frames[reg.frameno]!;
  const slot = dynptrSlot(ex, reg);
  destroyDynptrAt(ex, frame, slot);
  destroyDynptrAt(ex, frame, slot - 1);
  const id = ex.newId();
  const refObjId = !isReferenced(type) ? 0 : cloneOf !== 0 ? cloneOf : acquireReference(ex);
  for (let i = 0; i < DYNPTR_SLOTS; i++) {
    frame.setSlot(slot - i, STACK_DYNPTR);
    frame.setSpilled(slot - i, dynptrReg({ type, firstSlot: i === 0 }, id, refObjId));
    ex.stackLiveness.write(frame.frameno, slot - i);
  }
}

function forget(ex: Explorer, frame: Frame, slot: number): void {
  for (let i = 0; i < DYNPTR_SLOTS; i++) {
    frame.setSlot(slot - i, STACK_INVALID);
    frame.setSpilled(slot - i, UNINIT);
    ex.stackLiveness.write(frame.frameno, slot - i);
  }
}

/** The dynptr that a register points to is given back, with its clones and slices. @returns whether it was held */
export function releaseDynptr(ex: Explorer, reg: RegState): boolean {
  const slot = dynptrSlot(ex, reg);
  if (slot < 0) return false;
  const frame = ex.state.frames[reg.frameno]!;
  const { dynptr, refObjId } = frame.spilled[slot]!;
  if (dynptr === null || !isReferenced(dynptr.type)) {
    forget(ex, frame, slot);
    return true;
  }
  releaseObject(ex, refObjId);
  for (let i = 1; i < frame.slots; i++) {
    const one = frame.spilled[i]!;
    if (one.refObjId === refObjId && one.dynptr?.firstSlot) forget(ex, frame, i);
  }
  return true;
}

/** Slices of the dynptr become unusable. */
export function invalidateSlices(ex: Explorer, dynptrId: number): void {
  invalidateRegs(ex, (reg) => reg.dynptrId === dynptrId && dynptrId !== 0);
}
