/**
 * `may_goto`: the jump that ends a loop when the kernel says that it ran long enough. The loop may run any number of
 * times, so its round is explored with what does not matter forgotten.
 */
import { equals } from '../value/scalar.ts';
import type { Explorer } from './explorer.ts';
import type { IdMap } from './ids.ts';
import { type RegState, scalarReg } from './reg.ts';
import { SCALAR } from './reg-type.ts';
import type { VerifierState } from './state.ts';

export function checkMayGoto(ex: Explorer, off: number): void {
  const idx = ex.insnIdx;
  const before = earlierRound(ex, ex.state.parent, idx);
  const round = ex.fork(idx + 1, idx);
  round.mayGotoDepth++;
  if (before !== undefined) widenScalars(ex, before, round);
  ex.insnIdx = idx + off + 1;
}

/** The state in which this path was at the same instruction before. */
export function earlierRound(
  ex: Explorer,
  cur: VerifierState | null,
  idx: number,
): VerifierState | undefined {
  if (cur === null) return undefined;
  for (const { state } of ex.remembered(idx)) {
    if (state.insnIdx !== idx || state.branches === 0 || state.dfsDepth >= cur.dfsDepth) continue;
    if (state.frames.length !== cur.frames.length) continue;
    if (state.frames.every((frame, i) => frame.callsite === cur.frames[i]!.callsite)) return state;
  }
  return undefined;
}

/** Forgets the scalars that changed since `old` and whose value does not matter: they would differ in every round. */
export function widenScalars(ex: Explorer, old: VerifierState, cur: VerifierState): void {
  ex.ids.reset(ex.lastId);
  for (let fr = old.curframe; fr >= 0; fr--) {
    const was = old.frames[fr]!;
    const is = cur.frames[fr]!;
    for (let i = 0; i < was.regs.length; i++) {
      if (mayWiden(ex.ids, was.regs[i]!, is.regs[i]!, (was.preciseRegs & (1 << i)) !== 0)) {
        is.regs[i] = scalarReg();
      }
    }
    for (let slot = 0; slot < Math.min(was.slots, is.slots); slot++) {
      if (!was.isSpill(slot) || !is.isSpill(slot)) continue;
      if (mayWiden(ex.ids, was.spilled[slot]!, is.spilled[slot]!, was.isPreciseSlot(slot))) {
        is.setSpilled(slot, scalarReg());
      }
    }
  }
}

function mayWiden(ids: IdMap, old: RegState, cur: RegState, precise: boolean): boolean {
  if (old.type !== SCALAR || cur.type !== SCALAR || precise) return false;
  return !(equals(old.scalar, cur.scalar) && old.off === cur.off && ids.match(old.id, cur.id));
}
