/** How large a program may be, and who may load it. */
import { LIMITS } from '../../../sys/limits.ts';
import type { Verdict } from '../rejection.ts';
import type { Draft } from './draft.ts';

export function checkLimits({ input, environment, count }: Draft): Verdict {
  const limit = environment.capabilities.bpf ? LIMITS.BPF_MAXINSNS_PRIVILEGED : LIMITS.BPF_MAXINSNS;
  if (count === 0 || count > limit) {
    return {
      code: 'program-size',
      insn: 0,
      problem: count === 0 ? 'the program is empty' : `the program has ${count} instructions`,
      reason:
        count === 0
          ? 'a program needs at least an exit instruction'
          : `a caller ${environment.capabilities.bpf ? 'with' : 'without'} CAP_BPF may load at most ${limit}`,
    };
  }
  if (input.insns.length % 8 !== 0) {
    return {
      code: 'program-size',
      insn: count,
      problem: `the program is ${input.insns.length} bytes long`,
      reason: 'instructions are 8 bytes each, so the last one is cut short',
      errno: 'EINVAL',
    };
  }
  return undefined;
}
