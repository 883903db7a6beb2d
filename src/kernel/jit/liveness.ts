/** Which registers a function reads before it writes them: its parameters. */
import type { Insn } from '../../isa/index.ts';
import { reads, writes } from '../interpreter/registers.ts';
import { type Graph, NOWHERE } from './graph.ts';

/** Registers that a call reads: bit i is register i. */
export type CallReads = (slot: number, insn: Extract<Insn, { kind: 'call' }>) => number;

/** r0 to r5: a call changes them. */
const CALL_WRITES = 0b111111;
const R0 = 1;

/** Registers, of r1 to r5, that are read before they are written on some path from the entry. */
export function parametersOf(
  insns: readonly (Insn | undefined)[],
  graph: Graph,
  callReads: CallReads,
): number {
  const { blocks, order } = graph;
  const used = new Uint16Array(blocks.length);
  const killed = new Uint16Array(blocks.length);
  for (const index of order) {
    const { first, last, end } = blocks[index]!;
    if (end === 'dispatch') continue;
    let reading = end === 'exit' ? R0 : 0;
    let writing = 0;
    for (let slot = last; slot >= first; slot--) {
      const insn = insns[slot];
      if (insn === undefined) continue;
      const kills = insn.kind === 'call' ? CALL_WRITES : writes(insn);
      reading = (reading & ~kills) | reads(insn) | (insn.kind === 'call' ? callReads(slot, insn) : 0);
      writing |= kills;
    }
    used[index] = reading;
    killed[index] = writing;
  }
  const live = new Uint16Array(blocks.length);
  for (let changed = true; changed; ) {
    changed = false;
    for (let i = order.length - 1; i >= 0; i--) {
      const index = order[i]!;
      const { taken, next, targets } = blocks[index]!;
      let out = 0;
      if (taken !== NOWHERE) out |= live[taken]!;
      if (next !== NOWHERE) out |= live[next]!;
      for (const target of targets) out |= live[target]!;
      const now = used[index]! | (out & ~killed[index]!);
      if (now === live[index]) continue;
      live[index] = now;
      changed = true;
    }
  }
  return live[0]! & 0b111110;
}
