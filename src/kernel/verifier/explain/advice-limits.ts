/** Programs that are too large to be judged, and stacks that are too deep. */
import type { SourceLine } from '../program.ts';
import type { Advice, Trouble } from './trouble.ts';

export function limitAdvice(trouble: Trouble): Advice | undefined {
  const { refusal, draft } = trouble;
  if (refusal.code === 'too-complex') return tooComplex(trouble);
  if (refusal.code === 'stack-size') {
    const depths = draft.subprograms
      .filter(({ stackDepth }) => stackDepth > 0)
      .map(({ name, start, stackDepth }) => `${name ?? `the function at ${start}`}() ${stackDepth}`);
    return { reason: `${refusal.reason}; they take: ${depths.join(', ')} bytes` };
  }
  if (refusal.code === 'call-depth' && refusal.problem.startsWith('the call stack of')) {
    return {
      suggestion: 'let the compiler put functions into their callers: declare them static __always_inline',
    };
  }
  return undefined;
}

interface Loop {
  visits: number;
  first: SourceLine | undefined;
  last: SourceLine | undefined;
}

/** Names the loop that took most of the work. */
function tooComplex({ ex, draft, line, refusal }: Trouble): Advice | undefined {
  if (ex === undefined) return undefined;
  const loops = new Map<number, Loop>();
  for (const [idx, { visits }] of ex.aux.entries()) {
    const number = ex.plan.scc[idx] ?? 0;
    if (number === 0 || draft.insns[idx] === undefined) continue;
    const loop = loops.get(number) ?? { visits: 0, first: undefined, last: undefined };
    loops.set(number, loop);
    loop.visits += visits;
    const at = line(idx);
    if (at === undefined) continue;
    if (loop.first === undefined || at.line < loop.first.line) loop.first = at;
    if (loop.last === undefined || at.line > loop.last.line) loop.last = at;
  }
  const [most] = [...loops.values()].sort((a, b) => b.visits - a.visits);
  const how = 'see what each line costs with --stats';
  if (most === undefined || most.visits * 2 < ex.processed) {
    return {
      reason: `${limitOf(refusal.problem)}: the program has too many paths`,
      suggestion: `split it into global functions (judged once each) or by tail calls, and leave early; ${how}`,
    };
  }
  const where =
    most.first === undefined ? 'a loop' : `the loop of lines ${most.first.line} to ${most.last!.line}`;
  return {
    reason: `${limitOf(refusal.problem)}, and ${most.visits} of the ${ex.processed} that were looked at are in ${where}: each round is judged anew`,
    suggestion: `give the loop a small constant bound that the verifier sees (for (i = 0; i < n && i < 128; i++)), or use bpf_loop() or bpf_for(), whose bodies are judged once; ${how}`,
  };
}

function limitOf(problem: string): string {
  return problem.startsWith('The sequence')
    ? 'at most 8192 branches may wait to be judged'
    : 'at most 1,000,000 instructions are judged, over all paths';
}
