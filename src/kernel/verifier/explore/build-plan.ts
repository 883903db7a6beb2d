/** Fills the {@link Plan}: where states are remembered, which registers are live, where the loops are. */
import type { Draft } from '../structure/draft.ts';
import { findSuccessors, flowOf } from './flow.ts';
import { computeLiveRegs } from './live-regs.ts';
import { Plan } from './plan.ts';
import { findLoops } from './scc.ts';

/** What a call means for the plan. */
export interface CallFacts {
  /** Arguments that the prototype has. */
  readonly args: number;
  /** Runs a callback: before it returns, or later. */
  readonly callback?: 'sync' | 'async';
  /** Gives an open-coded iterator's next element. */
  readonly iterNext?: true;
}

/** @param call facts of the helper or kernel function that is called at a slot; `undefined` where it is unknown */
export function buildPlan(draft: Draft, call: (idx: number) => CallFacts | undefined): Plan {
  const successors = findSuccessors(draft);
  const plan = new Plan(draft.count, {
    successors,
    flows: draft.subprograms.map((_, subprogno) => flowOf(draft, subprogno, successors)),
    scc: findLoops(draft.count, successors),
  });
  for (let idx = 0; idx < draft.count; idx++) markPoints(draft, plan, idx, call);
  computeLiveRegs(draft, (idx) => call(idx)?.args, plan);
  return plan;
}

function markPoints(
  draft: Draft,
  plan: Plan,
  idx: number,
  call: (idx: number) => CallFacts | undefined,
): void {
  const insn = draft.insns[idx];
  if (insn === undefined) return;
  const markBoth = (at: number) => {
    if (at < 0 || at >= draft.count) return;
    plan.markPrunePoint(at);
    plan.markJumpPoint(at);
  };
  switch (insn.kind) {
    case 'ja':
      // No good place to prune, but walking back needs the jump in the history.
      markBoth(idx + insn.off + 1);
      return;
    case 'jmp':
      plan.markPrunePoint(idx);
      markBoth(idx + insn.off + 1);
      return;
    case 'may_goto':
      plan.markPrunePoint(idx);
      plan.markForcedCheckpoint(idx);
      plan.markMayGoto(idx);
      markBoth(idx + insn.off + 1);
      return;
    case 'call': {
      // Linux takes every call for a branch: what follows is reached from a callee's exit.
      markBoth(idx + 1);
      if (insn.target.kind === 'local') {
        plan.markPrunePoint(idx);
        markBoth(idx + insn.target.off + 1);
        return;
      }
      const facts = call(idx);
      if (facts?.callback !== undefined) {
        plan.markPrunePoint(idx);
        if (facts.callback === 'sync') {
          plan.markSyncCallback(idx);
          plan.markForcedCheckpoint(idx);
          plan.markJumpPoint(idx);
        }
      }
      if (facts?.iterNext === true) {
        plan.markIterNext(idx);
        plan.markPrunePoint(idx);
        plan.markForcedCheckpoint(idx);
      }
      return;
    }
    case 'ldimm64':
      if (insn.imm.kind !== 'func') return;
      plan.markPrunePoint(idx);
      markBoth(idx + 2);
      markBoth(idx + insn.imm.off + 1);
      return;
    default:
  }
}
