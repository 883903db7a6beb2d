/**
 * Open-coded iterators: an object on the stack with functions that make it, give its next element and destroy it.
 * Where the next element is asked for, the path parts: one way has no more elements, the other goes round once more.
 */
import { type BtfTypeId, trySizeOf } from '../../../btf/index.ts';
import { KF_ITER_DESTROY, KF_ITER_NEW, KF_RCU_PROTECTED } from '../../kfuncs/index.ts';
import { Scalar } from '../value/scalar.ts';
import { checkMemAccess } from './access.ts';
import { BAD_SLOT, stackObjectSlot, UNUSED_SLOT } from './dynptr.ts';
import type { Explorer } from './explorer.ts';
import { SLOT_BYTES, STACK_INVALID, STACK_ITER } from './frame.ts';
import type { KfuncMeta } from './kfunc-meta.ts';
import type { Kfunc } from './kfunc-proto.ts';
import { earlierRound, widenScalars } from './may-goto.ts';
import { notNull } from './nullness.ts';
import { acquireReference, inRcuSection, releaseObject } from './references.ts';
import { pointerReg, type RegState, scalarReg, UNINIT } from './reg.ts';
import { MEM_RCU, PTR_MAYBE_NULL, PTR_TO_STACK, PTR_UNTRUSTED } from './reg-type.ts';
import type { VerifierState } from './state.ts';

const PREFIX = 'bpf_iter_';

/** An iterator argument: made, used or destroyed, as the function does. */
export function processIterArg(
  ex: Explorer,
  regno: number,
  kfunc: Kfunc,
  typeId: BtfTypeId,
  meta: KfuncMeta,
): void {
  const reg = ex.state.frame().reg(regno);
  const arg = regno - 1;
  if (reg.type !== PTR_TO_STACK) {
    refuse(
      ex,
      `arg#${arg} expected pointer to an iterator on stack`,
      `r${regno} does not point to the stack`,
    );
  }
  const { btf } = kfunc;
  const type = btf.type(typeId);
  const name = type.kind === 'struct' ? type.name : '';
  const size = trySizeOf(btf, typeId) ?? 0;
  if (!name.startsWith(PREFIX) || size === 0 || size % SLOT_BYTES !== 0) {
    refuse(ex, `expected valid iter pointer as arg #${arg}`, 'the parameter is no pointer to an iterator');
  }
  const kind = name.slice(PREFIX.length);
  const slots = size / SLOT_BYTES;
  const slot = stackObjectSlot(ex, reg, 'iter', slots);
  if ((kfunc.flags & KF_ITER_NEW) !== 0) {
    if (slot === BAD_SLOT || (slot !== UNUSED_SLOT && holdsIterator(ex, reg, slot, slots))) {
      refuse(
        ex,
        `expected uninitialized iter_${kind} as arg #${arg}`,
        'an iterator is made in aligned stack that holds none',
        'destroy the iterator that is there first',
      );
    }
    for (let off = 0; off < size; off += SLOT_BYTES) checkMemAccess(ex, regno, off, SLOT_BYTES, 'write', -1);
    make(ex, ex.state.frame().reg(regno), kfunc, typeId, slots);
    return;
  }
  switch (slot < 0 ? 'none' : stateOf(ex, reg, slot, slots, kfunc, typeId)) {
    case 'none':
      refuse(
        ex,
        `expected an initialized iter_${kind} as arg #${arg}`,
        'no such iterator was made there, or it was destroyed or overwritten',
      );
      break;
    case 'untrusted':
      ex.refuse('bad-iterator', `expected an RCU CS when using ${kfunc.name}`, {
        reason: 'the iterator was made in an RCU section that ended, or outside of one',
        errno: 'EPROTO',
      });
      break;
    default:
  }
  for (let i = 0; i < slots; i++) {
    ex.stackLiveness.read(reg.frameno, ex.insnIdx, slot - i);
    ex.log.touchSlot(slot - i);
  }
  meta.iterFrame = reg.frameno;
  meta.iterSlot = slot;
  meta.refObjId = ex.state.frames[reg.frameno]!.spilled[slot]!.refObjId;
  if ((kfunc.flags & KF_ITER_DESTROY) !== 0) destroy(ex, reg, slot, slots);
}

function refuse(ex: Explorer, problem: string, reason: string, hint?: string): never {
  ex.refuse('bad-iterator', problem, { reason, hint });
}

function holdsIterator(ex: Explorer, reg: RegState, slot: number, slots: number): boolean {
  const frame = ex.state.frames[reg.frameno]!;
  for (let i = 0; i < slots; i++) {
    for (let b = 0; b < SLOT_BYTES; b++) if (frame.byteType(slot - i, b) === STACK_ITER) return true;
  }
  return false;
}

function make(ex: Explorer, reg: RegState, kfunc: Kfunc, btfId: BtfTypeId, slots: number): void {
  const slot = stackObjectSlot(ex, reg, 'iter', slots);
  const frame = ex.state.frames[reg.frameno]!;
  const id = acquireReference(ex);
  let type = PTR_TO_STACK;
  if ((kfunc.flags & KF_RCU_PROTECTED) !== 0) type |= inRcuSection(ex) ? MEM_RCU : PTR_UNTRUSTED;
  for (let i = 0; i < slots; i++) {
    const st = pointerReg(type);
    st.refObjId = i === 0 ? id : 0;
    st.iter = { btf: kfunc.btf, btfId, state: 'active', depth: 0 };
    frame.setSlot(slot - i, STACK_ITER);
    frame.setSpilled(slot - i, st);
    ex.stackLiveness.write(frame.frameno, slot - i);
    ex.log.touchSlot(slot - i);
  }
}

function stateOf(
  ex: Explorer,
  reg: RegState,
  slot: number,
  slots: number,
  kfunc: Kfunc,
  btfId: BtfTypeId,
): 'none' | 'untrusted' | 'ready' {
  const frame = ex.state.frames[reg.frameno]!;
  for (let i = 0; i < slots; i++) {
    const st = frame.spilled[slot - i]!;
    if ((st.type & PTR_UNTRUSTED) !== 0) return 'untrusted';
    if (i === 0 ? st.refObjId === 0 : st.refObjId !== 0) return 'none';
    if (st.iter?.btf !== kfunc.btf || st.iter.btfId !== btfId) return 'none';
    for (let b = 0; b < SLOT_BYTES; b++) if (frame.byteType(slot - i, b) !== STACK_ITER) return 'none';
  }
  return 'ready';
}

function destroy(ex: Explorer, reg: RegState, slot: number, slots: number): void {
  const frame = ex.state.frames[reg.frameno]!;
  releaseObject(ex, frame.spilled[slot]!.refObjId);
  for (let i = 0; i < slots; i++) {
    frame.setSpilled(slot - i, UNINIT);
    frame.setSlot(slot - i, STACK_INVALID);
    ex.stackLiveness.write(frame.frameno, slot - i);
    ex.log.touchSlot(slot - i);
  }
}

/**
 * The next element was asked for, and r0 is what a pointer to one is: the path goes on as if there was none, and one
 * with an element is put aside.
 */
export function processIterNext(ex: Explorer, meta: KfuncMeta): void {
  const { state, insnIdx: idx } = ex;
  const { iterFrame, iterSlot } = meta;
  const iter = state.frames[iterFrame]!.spilled[iterSlot]!;
  if (iter.iter?.state === 'active') {
    // The checkpoint at this instruction is the parent: an earlier round is looked for behind it.
    const before = earlierRound(ex, state.parent, idx);
    const round = ex.fork(idx + 1, idx);
    setIter(round, iterFrame, iterSlot, 'active', iter.iter.depth + 1);
    if (before !== undefined) widenScalars(ex, before, round);
    const frame = round.frame();
    const r0 = frame.reg(0);
    if ((r0.type & PTR_MAYBE_NULL) !== 0) frame.regs[0] = notNull(r0);
  }
  setIter(state, iterFrame, iterSlot, 'drained', iter.iter?.depth ?? 0);
  state.frame().regs[0] = scalarReg(Scalar.ZERO);
}

function setIter(
  state: VerifierState,
  frameno: number,
  slot: number,
  to: 'active' | 'drained',
  depth: number,
): void {
  const frame = state.frames[frameno]!;
  const copy = frame.spilled[slot]!.clone();
  if (copy.iter !== null) copy.iter = { ...copy.iter, state: to, depth };
  frame.setSpilled(slot, copy);
}

/** Iterators that were made in an RCU section are of no use behind its end. */
export function untrustRcuIterators(state: VerifierState): void {
  for (const frame of state.frames) {
    for (let slot = 0; slot < frame.slots; slot++) {
      if (frame.byteType(slot, 0) !== STACK_ITER) continue;
      const st = frame.spilled[slot]!;
      if ((st.type & MEM_RCU) === 0) continue;
      const copy = st.clone();
      copy.type = (copy.type & ~(MEM_RCU | PTR_MAYBE_NULL)) | PTR_UNTRUSTED;
      frame.setSpilled(slot, copy);
    }
  }
}
