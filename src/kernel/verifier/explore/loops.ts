/**
 * Loops whose states converge (iterators, `may_goto`, callbacks): a path may be cut because it came back to a state
 * that is still being explored. Precision marks that this state gets later must then reach the cut path as well, so
 * the cut is kept as a back edge of its loop and marks travel round until they settle, when the loop's entry state
 * is finished.
 */
import { markEverything, propagatePrecision } from './backtrack.ts';
import type { Explorer } from './explorer.ts';
import { VerifierState } from './state.ts';

interface Backedge {
  /** The state that was cut. */
  readonly state: VerifierState;
  /** The state that it was equal to. */
  readonly equal: VerifierState;
}

/** One loop as entered through one chain of calls. */
interface LoopVisit {
  entry: VerifierState | null;
  backedges: Backedge[];
}

/** Rounds before everything is marked precise instead. */
const MAX_ROUNDS = 64;

/** Visits by the chain of call sites and the component. */
export class LoopVisits {
  private readonly visits = new Map<string, LoopVisit>();

  find(key: string): LoopVisit | undefined {
    return this.visits.get(key);
  }
  enter(key: string): LoopVisit {
    let visit = this.visits.get(key);
    if (visit === undefined) {
      visit = { entry: null, backedges: [] };
      this.visits.set(key, visit);
    }
    return visit;
  }
  /** A function that is verified on its own has none from before. */
  clear(): void {
    this.visits.clear();
  }
}

/** Names the outermost loop that a state is in, with the calls that lead to it; `undefined` outside loops. */
function loopKey(ex: Explorer, state: VerifierState): string | undefined {
  const { scc } = ex.plan;
  let fr = 0;
  while (scc[insnOf(state, fr)] === 0) if (++fr > state.curframe) return undefined;
  let key = '';
  for (let outer = 0; outer < fr; outer++) key += `${insnOf(state, outer)},`;
  return `(${key}${scc[insnOf(state, fr)]})`;
}

/** Where a frame of the state stands. */
function insnOf(state: VerifierState, frameno: number): number {
  return frameno === state.curframe ? state.insnIdx : state.frames[frameno + 1]!.callsite;
}

/** A loop as the log names it: Linux takes a call at instruction 0 for the end of the calls. */
function label(key: string | undefined): string {
  return (key ?? '').replace(/^\(0,(?:\d+,)*/, '(');
}

export function enterScc(ex: Explorer, state: VerifierState): void {
  const key = loopKey(ex, state);
  if (key === undefined) return;
  const visit = ex.loops.enter(key);
  if (visit.entry !== null) return;
  visit.entry = state;
  if (ex.log.wantsStates) ex.log.write(`SCC enter ${label(key)}\n`);
}

/**
 * A path that ends inside a loop ends at one of the loop's remembered states. Where an exception leaves the loop before
 * any state of it was remembered, Linux takes itself to be wrong.
 */
export function checkEnded(ex: Explorer, ended: VerifierState): void {
  if (ended.speculative) return;
  const key = loopKey(ex, ended);
  if (key === undefined || ex.loops.find(key) !== undefined) return;
  ex.refuse('lost-track', `verifier bug: scc exit: no visit info for call chain ${label(key)}`, {
    reason: 'an exception leaves a loop before the first of its states was remembered',
    hint: 'throw the exception outside of the loop',
  });
}

export function exitScc(ex: Explorer, state: VerifierState): void {
  const key = loopKey(ex, state);
  const visit = key === undefined ? undefined : ex.loops.find(key);
  if (visit === undefined || visit.entry !== state) return;
  if (ex.log.wantsStates) ex.log.write(`SCC exit ${label(key)}\n`);
  propagateRound(ex, visit);
  visit.entry = null;
  ex.backedges -= visit.backedges.length;
  visit.backedges = [];
}

/** Whether precision marks of the state may still be missing because its loop is not finished. */
export function hasBackedges(ex: Explorer, state: VerifierState): boolean {
  if (ex.backedges === 0) return false;
  const key = loopKey(ex, state);
  return key !== undefined && (ex.loops.find(key)?.backedges.length ?? 0) > 0;
}

export function addBackedge(ex: Explorer, equal: VerifierState, cur: VerifierState, insnIdx: number): void {
  const key = loopKey(ex, equal);
  const visit = key === undefined ? undefined : ex.loops.find(key);
  if (visit === undefined) return;
  if (ex.log.wantsStates) ex.log.write(`SCC backedge ${label(key)}\n`);
  const state = new VerifierState(cur.history.fork());
  state.copyFrom(cur);
  state.insnIdx = insnIdx;
  visit.backedges.unshift({ state, equal });
  ex.backedges++;
  ex.notePeak();
}

function propagateRound(ex: Explorer, visit: LoopVisit): void {
  for (let round = 0; ; round++) {
    if (round > MAX_ROUNDS) {
      for (const { state } of visit.backedges) markEverything(ex, state);
      return;
    }
    let changed = false;
    for (const { state, equal } of visit.backedges) {
      if (propagatePrecision(ex, equal, state)) changed = true;
    }
    if (!changed) return;
  }
}
