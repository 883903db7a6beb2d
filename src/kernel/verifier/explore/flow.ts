/** Control flow inside one frame: a call goes on behind itself. Slots are those of the program. */
import type { Draft } from '../structure/draft.ts';

/** There is no such successor. */
export const NONE = -1;

/** Order of a subprogram's instructions. */
export interface SubprogFlow {
  readonly start: number;
  readonly length: number;
  /** Slots relative to `start` in postorder of the control flow: an instruction's successors mostly come before it. */
  readonly postorder: Int32Array;
}

/**
 * The slots that may run after each slot in the same frame: `2 * idx` holds the next one, `2 * idx + 1` where a jump
 * goes; either may be {@link NONE}.
 */
export function findSuccessors({ insns, subprograms, count }: Draft): Int32Array {
  const successors = new Int32Array(2 * count).fill(NONE);
  for (const { start, end } of subprograms) {
    for (let idx = start; idx < end; idx++) {
      const insn = insns[idx];
      let next = idx + 1;
      let target = NONE;
      switch (insn?.kind) {
        case undefined:
        case 'exit':
          continue;
        case 'ja':
          next = idx + insn.off + 1;
          break;
        case 'jmp':
        case 'may_goto':
          if (insn.off !== 0) target = idx + insn.off + 1;
          break;
        case 'ldimm64':
          next = idx + 2;
          break;
        default:
      }
      if (next >= start && next < end) successors[2 * idx] = next;
      if (target >= start && target < end) successors[2 * idx + 1] = target;
    }
  }
  return successors;
}

export function flowOf(draft: Draft, subprogno: number, successors: Int32Array): SubprogFlow {
  const { start, end } = draft.subprograms[subprogno]!;
  return { start, length: end - start, postorder: postorder(start, end, successors) };
}

/** As Linux computes it: successors are taken up together, the last of them first. */
function postorder(start: number, end: number, successors: Int32Array): Int32Array {
  const length = end - start;
  const order = new Int32Array(length);
  let ordered = 0;
  const discovered = new Uint8Array(length);
  const explored = new Uint8Array(length);
  const stack = new Int32Array(length);
  let depth = 1;
  discovered[0] = 1;
  while (depth > 0) {
    const top = stack[depth - 1]!;
    if (explored[top] === 1) {
      order[ordered++] = top;
      depth--;
      continue;
    }
    explored[top] = 1;
    for (let i = 0; i < 2; i++) {
      const to = successors[2 * (start + top) + i]!;
      if (to === NONE || discovered[to - start] === 1) continue;
      discovered[to - start] = 1;
      stack[depth++] = to - start;
    }
  }
  return order.subarray(0, ordered);
}
