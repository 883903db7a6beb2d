/** Walks the control flow: every instruction is reachable, and for unprivileged callers none is reached in a loop. */
import { FORMS } from '../../../isa/opcodes.ts';
import type { Verdict } from '../rejection.ts';
import type { Draft } from './draft.ts';

const UNSEEN = 0;
const ON_PATH = 1;
const DONE = 2;

/** There are no more successors. */
export const END = -1;

/**
 * Where control can go from a slot, in the order in which Linux explores. A call is followed by the callee.
 * The second slot of a 64-bit load goes on to the next: that is how a jump into its middle shows.
 *
 * @param n which of the successors
 */
export function successor({ slots }: Draft, idx: number, n: number): number {
  const { code, src, off, imm } = slots[idx]!;
  switch (FORMS[code]?.form) {
    case 'exit':
      return END;
    case 'ja':
      return n === 0 ? idx + 1 + (code === JA32 ? imm : off) : END;
    case 'jmp':
    case 'may_goto':
      return n === 0 ? idx + 1 : n === 1 ? idx + 1 + off : END;
    case 'call':
      return n === 0 ? idx + 1 : n === 1 && src === 1 ? idx + 1 + imm : END;
    case 'ldimm64':
      return n === 0 ? idx + 2 : n === 1 && src === 4 ? idx + 1 + imm : END;
    default:
      return n === 0 ? idx + 1 : END;
  }
}

/** `gotol`: the only jump whose offset is in the immediate. */
const JA32 = 0x06;

export function checkControlFlow(draft: Draft): Verdict {
  const state = new Uint8Array(draft.count);
  // The way to the instruction that is looked at, and how many successors of each on it were taken.
  const path = new Int32Array(draft.count);
  const taken = new Uint8Array(draft.count);
  let depth = 0;
  const enter = (idx: number) => {
    state[idx] = ON_PATH;
    path[depth++] = idx;
  };
  // The subprogram that exceptions end in is called by the kernel only. It is explored last.
  const handler = draft.exceptionCallback;
  enter(0);
  let handlerLeft = handler !== undefined;
  while (depth > 0) {
    const idx = path[depth - 1]!;
    const to = successor(draft, idx, taken[idx]!++);
    if (to === END) {
      state[idx] = DONE;
      depth--;
      if (depth === 0 && handlerLeft) {
        handlerLeft = false;
        enter(draft.subprograms[handler!]!.start);
      }
      continue;
    }
    if (state[to] === UNSEEN) enter(to);
    else if (state[to] === ON_PATH && !draft.environment.capabilities.bpf) {
      return {
        code: 'back-edge',
        insn: idx,
        problem: `back-edge from insn ${idx} to ${to}`,
        reason: 'only a caller with CAP_BPF may load a program with loops',
        hint: 'unroll the loop (#pragma unroll) or load with CAP_BPF',
      };
    }
  }
  for (let idx = 0; idx < draft.count; idx++) {
    if (state[idx] === UNSEEN) {
      return {
        code: 'unreachable-insn',
        insn: idx,
        problem: `unreachable insn ${idx}`,
        reason: 'no path from the start of the program leads to it, which Linux does not allow',
      };
    }
    if (FORMS[draft.slots[idx]!.code]?.form !== 'ldimm64') continue;
    if (state[idx + 1] !== UNSEEN) {
      return {
        code: 'jump-into-ldimm64',
        insn: idx,
        problem: `jump into the middle of ldimm64 insn ${idx}`,
        reason: 'the load takes two slots, and the second is no instruction of its own',
      };
    }
    idx++;
  }
  return undefined;
}
