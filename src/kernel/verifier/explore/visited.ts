/**
 * Remembered states. At a prune point the current state is compared with those that were there before; a path whose
 * every continuation was explored already ends. What is remembered, when, and for how long decides how much work a
 * program takes, and follows Linux's rules so that both count the same instructions.
 */
import { propagatePrecision } from './backtrack.ts';
import { statesEqual } from './equal.ts';
import type { Explorer } from './explorer.ts';
import { type Frame, SLOT_BYTES, STACK_ITER } from './frame.ts';
import { JumpHistory } from './history.ts';
import { addBackedge, checkEnded, enterScc, exitScc, hasBackedges } from './loops.ts';
import { UNINIT } from './reg.ts';
import { PTR_TO_STACK } from './reg-type.ts';
import { VerifierState } from './state.ts';

/** A remembered state and how useful it was. */
export interface Remembered {
  readonly state: VerifierState;
  hits: number;
  misses: number;
}

/** Paths longer than this since the last checkpoint get one, so that walking them back stays cheap. */
const MAX_HISTORY = 40;
/** A checkpoint is worth its cost only after this much work since the last. */
const MIN_JUMPS = 2;
const MIN_INSNS = 8;
/** The same inside a loop that is still being explored. */
const MIN_LOOP_JUMPS = 20;
const MIN_LOOP_INSNS = 100;
/** States that an unprivileged program may have at one instruction. */
const MAX_UNPRIVILEGED_STATES = 64;
/** A state is dropped when it missed this many times more than it hit. */
const MISS_FACTOR = 3;
const MISS_FACTOR_FORCED = 64;

/** @returns whether the path ends here because an equal state was explored before */
export function isVisited(ex: Explorer, insnIdx: number): boolean {
  const cur = ex.state;
  const { plan } = ex;
  const forced = ex.testStateFreq || plan.isForcedCheckpoint(insnIdx) || cur.history.length > MAX_HISTORY;
  let remember =
    forced || (ex.jumps - ex.prevJumps >= MIN_JUMPS && ex.processed - ex.prevProcessed >= MIN_INSNS);

  const known = ex.remembered(insnIdx);
  cleanStates(ex, known, insnIdx, cur);

  let count = 0;
  for (let i = 0; i < known.length; i++) {
    const one = known[i]!;
    const { state } = one;
    count++;
    if (state.insnIdx !== insnIdx) continue;
    let loop = false;
    let hit = false;
    if (state.branches > 0) {
      const found = compareUnfinished(ex, state, cur, insnIdx);
      if (found === 'loop') {
        loop = true;
        hit = true;
      } else if (
        !forced &&
        ex.jumps - ex.prevJumps < MIN_LOOP_JUMPS &&
        ex.processed - ex.prevProcessed < MIN_LOOP_INSNS
      ) {
        remember = false;
      }
    } else {
      loop = hasBackedges(ex, state);
      hit = statesEqual(ex, state, cur, insnIdx, loop ? 'range' : 'subset');
    }
    if (hit) {
      one.hits++;
      ex.aux[insnIdx]!.pruned++;
      if (plan.isJumpPoint(insnIdx)) ex.pushHistory(undefined);
      propagatePrecision(ex, state, cur);
      if (loop) addBackedge(ex, state, cur, insnIdx);
      return true;
    }
    if (remember) one.misses++;
    const factor = plan.isForcedCheckpoint(insnIdx) && state.branches > 0 ? MISS_FACTOR_FORCED : MISS_FACTOR;
    if (one.misses > one.hits * factor + factor) {
      known.splice(i, 1);
      i--;
      ex.forget(state);
    }
  }
  if (ex.maxStatesPerInsn < count) ex.maxStatesPerInsn = count;
  if (!ex.caps.bpf && count > MAX_UNPRIVILEGED_STATES) return false;
  if (remember) checkpoint(ex, known, insnIdx);
  return false;
}

/** Remembers the current state and goes on from it as its child. */
function checkpoint(ex: Explorer, known: Remembered[], insnIdx: number): void {
  const cur = ex.state;
  ex.noteState();
  ex.aux[insnIdx]!.kept++;
  ex.prevJumps = ex.jumps;
  ex.prevProcessed = ex.processed;
  // What the parent's path relied on is the parent's; the new state starts with nothing known to matter.
  if (ex.caps.bpf) for (const frame of cur.frames) frame.clearPrecision();
  const state = new VerifierState(cur.history);
  state.copyFrom(cur);
  state.insnIdx = insnIdx;
  state.branches = 1;
  enterScc(ex, state);
  cur.parent = state;
  cur.firstInsnIdx = insnIdx;
  cur.dfsDepth = state.dfsDepth + 1;
  cur.history = new JumpHistory();
  ex.historyEntryOpen = false;
  known.unshift({ state, hits: 0, misses: 0 });
}

/**
 * Compares with a state whose paths are not all explored: the current path came through it, or runs beside it.
 * Equality is then a loop: a bounded one of the kinds that converge, or one that never ends.
 */
function compareUnfinished(
  ex: Explorer,
  old: VerifierState,
  cur: VerifierState,
  insnIdx: number,
): 'loop' | 'miss' {
  const oldFrame = old.frame();
  if (oldFrame.kind === 'async_callback' && oldFrame.asyncEntryCount !== cur.frame().asyncEntryCount) {
    // Another run of the same asynchronous callback is no loop.
    return 'miss';
  }
  if (ex.plan.isIterNext(insnIdx)) {
    return statesEqual(ex, old, cur, insnIdx, 'range') && iteratorIsActive(cur) ? 'loop' : 'miss';
  }
  if (
    ex.plan.isMayGoto(insnIdx) &&
    old.mayGotoDepth !== cur.mayGotoDepth &&
    statesEqual(ex, old, cur, insnIdx, 'range')
  ) {
    return 'loop';
  }
  if (ex.plan.callsCallback(insnIdx)) {
    return statesEqual(ex, old, cur, insnIdx, 'range') ? 'loop' : 'miss';
  }
  if (
    sameFrameRegisters(old, cur) &&
    statesEqual(ex, old, cur, insnIdx, 'exact') &&
    !iteratorDepthsDiffer(old, cur) &&
    old.mayGotoDepth === cur.mayGotoDepth &&
    old.callbackUnrollDepth === cur.callbackUnrollDepth
  ) {
    ex.rejectLoop(insnIdx, old, cur);
  }
  return 'miss';
}

/** A cheap necessary condition for an endless loop: the running frame's registers hold the same kinds of values. */
function sameFrameRegisters(old: VerifierState, cur: VerifierState): boolean {
  if (old.curframe !== cur.curframe) return false;
  const a = old.frame().regs;
  const b = cur.frame().regs;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i] && (a[i]!.type !== b[i]!.type || !a[i]!.sameValue(b[i]!))) return false;
  }
  return true;
}

/** The iterator that r1 points to has elements left, as far as is known. */
function iteratorIsActive(cur: VerifierState): boolean {
  const r1 = cur.frame().reg(1);
  if (r1.type !== PTR_TO_STACK) return false;
  const slot = stackSlotOf(r1.off + r1.scalar.constNumber());
  return cur.frames[r1.frameno]!.spilled[slot]?.iter?.state === 'active';
}

/** Rounded towards zero, as in C: offset 0 counts as the first slot. */
function stackSlotOf(off: number): number {
  return Math.trunc((-off - 1) / SLOT_BYTES) | 0;
}

function iteratorDepthsDiffer(old: VerifierState, cur: VerifierState): boolean {
  for (let fr = old.curframe; fr >= 0; fr--) {
    const a = old.frames[fr]!;
    const b = cur.frames[fr]!;
    const slots = Math.min(a.slots, b.slots);
    for (let slot = 0; slot < slots; slot++) {
      if (a.bytes[slot * SLOT_BYTES] !== STACK_ITER) continue;
      const iter = a.spilled[slot]!.iter;
      if (iter?.state !== 'active') continue;
      if (iter.depth !== b.spilled[slot]!.iter?.depth) return true;
    }
  }
  return false;
}

/** Forgets, in finished states at this instruction, what can no longer be read: it must not hinder equality. */
function cleanStates(ex: Explorer, known: readonly Remembered[], insnIdx: number, cur: VerifierState): void {
  for (const { state } of known) {
    if (state.branches > 0 || state.cleaned || state.insnIdx !== insnIdx) continue;
    if (!sameCallsites(state, cur) || hasBackedges(ex, state)) continue;
    state.cleaned = true;
    ex.stackLiveness.query(state);
    for (let fr = 0; fr <= state.curframe; fr++) {
      const idx = fr === state.curframe ? state.insnIdx : state.frames[fr + 1]!.callsite;
      cleanFrame(ex, state.frames[fr]!, fr, ex.plan.liveRegs[idx]!);
    }
  }
}

function cleanFrame(ex: Explorer, frame: Frame, fr: number, live: number): void {
  for (let i = 0; i < 10; i++) if ((live & (1 << i)) === 0) frame.regs[i] = UNINIT;
  for (let slot = 0; slot < frame.slots; slot++) {
    if (!ex.stackLiveness.isLive(fr, slot)) frame.forgetSlot(slot);
  }
}

function sameCallsites(a: VerifierState, b: VerifierState): boolean {
  if (a.curframe !== b.curframe) return false;
  for (let i = a.curframe; i >= 0; i--) if (a.frames[i]!.callsite !== b.frames[i]!.callsite) return false;
  return true;
}

/** A path ended: tells the states that it came from, which are finished when it was their last. */
export function pathEnded(ex: Explorer, ended: VerifierState): void {
  checkEnded(ex, ended);
  let state = ended.parent;
  while (state !== null) {
    state.branches--;
    if (state.branches > 0) return;
    exitScc(ex, state);
    ex.finished(state);
    state = state.parent;
  }
}
