/** Reads that Linux refuses once it has explored the program, as it rewrites them. */

import type { Verdict } from '../rejection.ts';
import type { Draft } from '../structure/draft.ts';
import type { Explorer } from './explorer.ts';
import type { Log } from './log.ts';

/**
 * The second half of a 64-bit member of `struct bpf_tcp_sock` is four bytes at a multiple of four, which the pointer's rules
 * allow; the rewriting knows members by where they begin.
 *
 * @see net/core/filter.c, bpf_tcp_sock_is_valid_access and bpf_tcp_sock_convert_ctx_access
 */
export function checkConversions({ insns }: Draft, ex: Explorer, log: Log): Verdict {
  const insn = insns.findIndex((_, idx) => ex.aux[idx]!.noConversion);
  if (insn < 0) return undefined;
  const problem = 'verifier bug: error during ctx access conversion (0)';
  log.write(`${problem}\n`);
  return {
    code: 'context-access',
    insn,
    problem,
    reason: 'the second half of a field of 8 bytes is read, for which Linux has no instruction',
    hint: 'read the whole field, as 8 bytes, and shift it',
    errno: 'EFAULT',
  };
}
