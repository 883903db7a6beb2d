/** What can be said of calls only when every path to them is known. */
import type { Verdict } from '../rejection.ts';
import type { Draft } from '../structure/draft.ts';
import type { Explorer } from './explorer.ts';
import type { Log } from './log.ts';

/**
 * The index of a tail call into a map made without privilege is masked by that map's size: it must be one map. A call of
 * a kernel function that this kernel lacks must be dead.
 */
export function checkCallsLeft({ insns }: Draft, ex: Explorer, log: Log): Verdict {
  for (const [idx, insn] of insns.entries()) {
    if (insn?.kind !== 'call') continue;
    if (insn.target.kind === 'kfunc' && insn.target.btfId === 0 && ex.aux[idx]!.seen) {
      const problem = 'invalid kernel function call not eliminated in verifier pass';
      log.write(`${problem}\n`);
      return {
        code: 'bad-kfunc-call',
        insn: idx,
        problem,
        reason: 'the function that the program declares is not there on this kernel',
        hint: 'call it only where bpf_ksym_exists() says that it exists',
      };
    }
    if (insn.target.kind !== 'helper' || insn.target.id !== TAIL_CALL) continue;
    const { map, unprivilegedMap } = ex.aux[idx]!;
    if (map !== null || !unprivilegedMap) continue;
    const problem = 'tail_call abusing map_ptr';
    log.write(`${problem}\n`);
    return {
      code: 'map-argument',
      insn: idx,
      problem,
      reason: 'different paths call into different maps, so the index has no one limit',
      hint: 'make a call of its own for each map',
      errno: 'EINVAL',
    };
  }
  return undefined;
}

const TAIL_CALL = 12;
