/** Walks the control flow: every instruction is reachable, and for unprivileged callers none is reached in a loop. */
import { FORMS } from '../../../isa/opcodes.ts';
import type { Verdict } from '../rejection.ts';
import type { Draft } from './draft.ts';

const UNSEEN = 0;
const ON_PATH = 1;
const DONE = 2;

/**
 * Where control can go from a slot, in the order in which Linux explores. A call is followed by the callee.
 * The second slot of a 64-bit load goes on to the next: that is how a jump into its middle shows.
 */
export function successors({ slots }: Draft, idx: number): readonly number[] {
  const { code, src, off, imm } = slots[idx]!;
  switch (FORMS[code]?.form) {
    case 'exit':
      return [];
    case 'ja':
      return [idx + 1 + (code === JA32 ? imm : off)];
    case 'jmp':
    case 'may_goto':
      return [idx + 1, idx + 1 + off];
    case 'call':
      return src === 1 ? [idx + 1, idx + 1 + imm] : [idx + 1];
    case 'ldimm64':
      return src === 4 ? [idx + 2, idx + 1 + imm] : [idx + 2];
    default:
      return [idx + 1];
  }
}

/** `gotol`: the only jump whose offset is in the immediate. */
const JA32 = 0x06;

export function checkControlFlow(draft: Draft): Verdict {
  const state = new Uint8Array(draft.count);
  const path: { readonly idx: number; readonly next: readonly number[]; taken: number }[] = [];
  const enter = (idx: number) => {
    state[idx] = ON_PATH;
    path.push({ idx, next: successors(draft, idx), taken: 0 });
  };
  // The subprogram that exceptions end in is called by the kernel only. It is explored last.
  const handler = draft.exceptionCallback;
  enter(0);
  let handlerLeft = handler !== undefined;
  for (let top = path.at(-1); top; top = path.at(-1)) {
    const to = top.next[top.taken++];
    if (to === undefined) {
      state[top.idx] = DONE;
      path.pop();
      if (path.length === 0 && handlerLeft) {
        handlerLeft = false;
        enter(draft.subprograms[handler!]!.start);
      }
      continue;
    }
    if (state[to] === UNSEEN) enter(to);
    else if (state[to] === ON_PATH && !draft.environment.capabilities.bpf) {
      return {
        code: 'back-edge',
        insn: top.idx,
        problem: `back-edge from insn ${top.idx} to ${to}`,
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
