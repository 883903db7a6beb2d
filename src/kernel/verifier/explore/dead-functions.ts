/**
 * Functions of which nothing is reached, and what becomes of their addresses. Linux takes runs of unreached instructions out
 * from the first to the last. An address that leads behind a run moves with what it leads to; one that leads into a run stays
 * as it is, and is then the address of whatever function begins there, if any does.
 */

import type { Verdict } from '../rejection.ts';
import type { Draft } from '../structure/draft.ts';
import type { Explorer } from './explorer.ts';
import type { Log } from './log.ts';

/** Subprograms of which nothing is reached. */
export function removeDead({ subprograms }: Draft, ex: Explorer): void {
  for (const sub of subprograms) {
    sub.removed = !ex.aux.slice(sub.start, sub.end).some(({ seen }) => seen);
  }
}

type Run = readonly [from: number, to: number];

/** First slot and end of each run of unreached instructions. */
function deadRuns({ insns }: Draft, ex: Explorer): readonly Run[] {
  const runs: [number, number][] = [];
  for (const idx of insns.keys()) {
    // The second slot of a wide instruction is reached with the first.
    const seen =
      ex.aux[idx]!.seen || (idx > 0 && insns[idx - 1]?.kind === 'ldimm64' && ex.aux[idx - 1]!.seen);
    if (seen) continue;
    const last = runs.at(-1);
    if (last?.[1] === idx) last[1] = idx + 1;
    else runs.push([idx, idx + 1]);
  }
  return runs;
}

/** Where a slot, or an address that leads to it, is after runs were taken out, from the first to the last. */
function moved(slot: number, runs: readonly Run[]): number {
  let at = slot;
  let taken = 0;
  for (const [from, to] of runs) {
    if (at >= to - taken) at -= to - from;
    taken += to - from;
  }
  return at;
}

/** A function whose address is taken must still be there, or another one in its place. */
export function checkFunctionLoads(draft: Draft, ex: Explorer, log: Log): Verdict {
  const { insns, subprograms } = draft;
  const kept = subprograms.filter(({ removed }) => !removed);
  // Where exceptions end has a function of its own, behind all others.
  const thrown = draft.throws === true && draft.exceptionCallback === undefined;
  if (kept.length + (thrown ? 1 : 0) < 2) return undefined;
  if (!insns.some((insn) => insn?.kind === 'ldimm64' && insn.imm.kind === 'func')) return undefined;
  const dead = deadRuns(draft, ex);
  // Jumps to the next instruction are taken out after what is dead.
  const idle = [...insns.entries()].flatMap(([idx, insn]): Run[] => {
    if (insn?.kind !== 'ja' || insn.off !== 0 || !ex.aux[idx]!.seen) return [];
    const at = moved(idx, dead);
    return [[at, at + 1]];
  });
  const place = (slot: number): number => moved(moved(slot, dead), idle);
  const starts = new Set(kept.map(({ start }) => place(start)));
  if (thrown) starts.add(place(insns.length));
  for (const [idx, insn] of insns.entries()) {
    if (insn?.kind !== 'ldimm64' || insn.imm.kind !== 'func' || !ex.aux[idx]!.seen) continue;
    const start = place(idx + insn.imm.off + 1);
    if (starts.has(start)) continue;
    const problem = `No program to jit at insn ${start} (subprog < 0)`;
    log.write(`verifier bug: ${problem}\n`);
    return {
      code: 'callback-function',
      insn: idx,
      problem,
      reason: 'the function whose address is taken is called by nothing, so it is removed and has no address',
      hint: 'pass it to a helper that calls it, or leave it out',
      errno: 'EFAULT',
    };
  }
  return undefined;
}
