/**
 * The stack of call chains. Only accesses at a constant offset from r10 are known here; exploration finds the depth
 * that computed pointers reach.
 */
import { LIMITS } from '../../../sys/limits.ts';
import type { Refusal, Verdict } from '../rejection.ts';
import { type Draft, subprogramAt } from './draft.ts';

/** Bytes that a tail call's callers may have on the stack when the target brings 512 more. */
const TAIL_CALL_STACK = 256;
/** What a frame's size is rounded up to on a JIT. */
const FRAME_ALIGN = 16;
const FP = 10;

/** Notes an access to the stack at `r10 + off`, and refuses one outside of the frame. */
export function noteStackAccess(
  draft: Draft,
  idx: number,
  off: number,
  size: number,
  write: boolean,
): Verdict {
  if (off % size !== 0) {
    return {
      code: 'misaligned-access',
      insn: idx,
      problem: `misaligned stack access off 0+0+${off} size ${size}`,
      reason: `an access of ${size} bytes to the stack must be at a multiple of ${size}`,
    };
  }
  if (off < -LIMITS.MAX_BPF_STACK || off + size > 0) {
    return {
      code: 'stack-bounds',
      insn: idx,
      problem: `invalid ${write ? 'write to' : 'read from'} stack R${FP} off=${off} size=${size}`,
      reason: `a function's stack is the ${LIMITS.MAX_BPF_STACK} bytes below r${FP}`,
    };
  }
  const sub = draft.subprograms[subprogramAt(draft, idx)]!;
  sub.stackDepth = Math.max(sub.stackDepth, -off);
  return undefined;
}

interface CallSite {
  readonly idx: number;
  readonly callee: number;
}

/** By subprogram: what it calls. */
export function callGraph(draft: Draft): readonly (readonly CallSite[])[] {
  const graph: CallSite[][] = draft.subprograms.map(() => []);
  for (const [idx, insn] of draft.insns.entries()) {
    let target: number | undefined;
    if (insn?.kind === 'call' && insn.target.kind === 'local') target = idx + 1 + insn.target.off;
    else if (insn?.kind === 'ldimm64' && insn.imm.kind === 'func') target = idx + 1 + insn.imm.off;
    if (target === undefined) continue;
    graph[subprogramAt(draft, idx)]!.push({ idx, callee: subprogramAt(draft, target) });
  }
  return graph;
}

/** Frames, stack bytes and tail calls over every chain of calls. */
export function checkCallChains(draft: Draft): Verdict {
  const graph = callGraph(draft);
  // How deep a subprogram was entered and with how much stack below it: a second visit that is no worse ends there.
  const worst = draft.subprograms.map(() => ({ frames: 0, stack: -1 }));
  let refusal: Refusal | undefined;
  const visit = (index: number, frames: number, below: number): void => {
    const sub = draft.subprograms[index]!;
    const seen = worst[index]!;
    if (frames <= seen.frames && below <= seen.stack) return;
    worst[index] = { frames: Math.max(frames, seen.frames), stack: Math.max(below, seen.stack) };
    refusal ??= checkFrame(sub.start, sub.hasTailCall && index !== 0, below);
    const size = Math.ceil(Math.max(sub.stackDepth, 1) / FRAME_ALIGN) * FRAME_ALIGN;
    const total = below + size;
    if (total > LIMITS.MAX_BPF_STACK) {
      refusal ??= {
        code: 'stack-size',
        insn: sub.start,
        problem: `combined stack size of ${frames} calls is ${total}. Too large`,
        reason: `the functions of a call chain share ${LIMITS.MAX_BPF_STACK} bytes of stack`,
        hint: 'move large variables into a per-CPU array map',
      };
    }
    for (const { idx, callee } of graph[index]!) {
      if (refusal) return;
      if (frames === LIMITS.MAX_CALL_FRAMES) {
        refusal = {
          code: 'call-depth',
          insn: idx,
          problem: `the call stack of ${frames + 1} frames is too deep`,
          reason: `functions may call each other ${LIMITS.MAX_CALL_FRAMES} deep, and recursion has no end that can be seen`,
        };
        return;
      }
      visit(callee, frames + 1, total);
    }
  };
  visit(0, 1, 0);
  markTailCallReachable(draft, graph);
  return refusal;
}

function checkFrame(start: number, tailCalls: boolean, below: number): Refusal | undefined {
  if (!tailCalls || below < TAIL_CALL_STACK) return undefined;
  return {
    code: 'tail-call-stack',
    insn: start,
    problem: `tail_calls are not allowed when call stack of previous frames is ${below} bytes. Too large`,
    reason: `the target of the tail call brings a stack of its own, so its callers may hold ${TAIL_CALL_STACK - 1} bytes`,
  };
}

/** A tail call in a callee replaces only the callee's frame, so the callers' frames must survive it. */
function markTailCallReachable(draft: Draft, graph: readonly (readonly CallSite[])[]): void {
  const visit = (index: number, callers: readonly number[]): void => {
    if (callers.includes(index)) return;
    const chain = [...callers, index];
    if (draft.subprograms[index]!.hasTailCall) {
      for (const caller of chain) draft.subprograms[caller]!.tailCallReachable = true;
    }
    for (const { callee } of graph[index]!) if (chain.length < LIMITS.MAX_CALL_FRAMES) visit(callee, chain);
  };
  visit(0, []);
}
