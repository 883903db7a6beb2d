/** Calls of kernel functions as far as they can be judged before any path is explored. */
import type { BtfTypeId } from '../../../btf/index.ts';
import { KF_DEV_BOUND, kfuncFlags } from '../../kfuncs/index.ts';
import { isGplCompatible } from '../license.ts';
import type { Verdict } from '../rejection.ts';
import type { Draft } from './draft.ts';

/** @param idx slot of a call instruction that names a kernel function */
export function checkKfunc({ slots, input, environment }: Draft, idx: number): Verdict {
  const { imm, off } = slots[idx]!;
  const btf = environment.kernelBtf;
  const refuse = (
    problem: string,
    reason: string,
    errno: 'EINVAL' | 'ENOTSUPP' | 'EPROTO' | 'EBADF' = 'EINVAL',
  ): Verdict => ({
    code: 'kfunc-not-found',
    insn: idx,
    problem,
    reason,
    errno,
  });
  if (btf === undefined) {
    const problem = 'calling kernel function is not supported without CONFIG_DEBUG_INFO_BTF';
    return refuse(problem, 'this kernel has no BTF to find the function in', 'ENOTSUPP');
  }
  if (!isGplCompatible(input.license)) {
    return {
      code: 'gpl-only',
      insn: idx,
      problem: 'cannot call kernel function from non-GPL compatible program',
      reason: `the program's license is "${input.license}"`,
    };
  }
  // One that is not there may be called by code that turns out to be dead.
  if (imm === 0 && off === 0) return undefined;
  if (off !== 0) {
    const why =
      off < 0
        ? 'negative offset disallowed for kernel module function call'
        : input.fdArray === undefined
          ? 'kfunc offset > 0 without fd_array is invalid'
          : 'invalid module BTF fd specified';
    return refuse(
      `${why}\nfailed to find BTF for kernel function`,
      'the function is one of a kernel module that is not loaded',
      off < 0 ? 'EINVAL' : input.fdArray === undefined ? 'EPROTO' : 'EBADF',
    );
  }
  const type = imm > 0 && imm < btf.endId ? btf.type(imm as BtfTypeId) : undefined;
  if (type?.kind !== 'func') {
    return refuse(
      `kernel btf_id ${imm >>> 0} is not a function`,
      'the BTF id in the instruction is of something else in this kernel',
    );
  }
  if (((kfuncFlags(type.name) ?? 0) & KF_DEV_BOUND) !== 0) {
    const problem = 'metadata kfuncs require device-bound program';
    return refuse(problem, `${type.name}() asks the network device that the program is bound to`);
  }
  return undefined;
}
