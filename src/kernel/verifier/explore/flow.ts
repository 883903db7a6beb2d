/** Control flow inside one subprogram, by slot relative to its start. */
import type { Draft } from '../structure/draft.ts';
import type { SubprogFlow } from './stack-liveness.ts';

/** Slots that may run after slot `idx` in the same frame, the next one first. A call goes on behind itself. */
export function successorsOf(draft: Draft, idx: number): readonly number[] {
  const insn = draft.insns[idx];
  switch (insn?.kind) {
    case undefined:
      return [];
    case 'exit':
      return [];
    case 'ja':
      return [idx + insn.off + 1];
    case 'jmp':
    case 'may_goto':
      return insn.off === 0 ? [idx + 1] : [idx + 1, idx + insn.off + 1];
    case 'ldimm64':
      return [idx + 2];
    default:
      return [idx + 1];
  }
}

export function flowOf(draft: Draft, subprogno: number): SubprogFlow {
  const { start, end } = draft.subprograms[subprogno]!;
  const length = end - start;
  const successors: (readonly number[])[] = [];
  for (let idx = start; idx < end; idx++) {
    successors.push(
      successorsOf(draft, idx)
        .map((next) => next - start)
        .filter((next) => next >= 0 && next < length),
    );
  }
  return { start, length, postorder: postorder(successors), successors: (idx) => successors[idx]! };
}

/** As Linux computes it: successors are taken up together, the last of them first. */
function postorder(successors: readonly (readonly number[])[]): number[] {
  const order: number[] = [];
  const discovered = new Uint8Array(successors.length);
  const explored = new Uint8Array(successors.length);
  const stack = [0];
  discovered[0] = 1;
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    if (explored[top] === 1) {
      order.push(top);
      stack.pop();
      continue;
    }
    explored[top] = 1;
    for (const next of successors[top]!) {
      if (discovered[next] === 1) continue;
      discovered[next] = 1;
      stack.push(next);
    }
  }
  return order;
}
