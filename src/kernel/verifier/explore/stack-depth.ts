/**
 * The stack that chains of calls take together, now that exploration knows what each subprogram uses; how deep calls
 * nest; and which subprograms a tail call can be made from.
 *
 * @see kernel/bpf/verifier.c, check_max_stack_depth
 */

import { FORMS } from '../../../isa/opcodes.ts';
import { LIMITS } from '../../../sys/limits.ts';
import type { ProgType } from '../../../sys/tables.ts';
import type { RejectCode, Verdict } from '../rejection.ts';
import { type Draft, type DraftSubprogram, subprogramStarting } from '../structure/draft.ts';
import { calleeSlot } from '../structure/subprograms.ts';
import { kfuncFacts } from './call-kfunc.ts';

/** Bytes that a tail call's callers may have on the stack when the target brings 512 more. */
const TAIL_CALL_STACK = 256;
/** What a frame's size is rounded up to by the JIT. */
const FRAME_ALIGN = 16;
/** From this size on a subprogram gets a stack of its own, where the program type allows it. */
const PRIVATE_STACK_MIN = 64;

/** Types whose programs may run with stacks of their own, one for each processor, apart from the kernel's. */
const PRIVATE_STACK: ReadonlySet<ProgType> = new Set([
  'kprobe',
  'tracepoint',
  'perf_event',
  'raw_tracepoint',
  'tracing',
]);

interface CallSite {
  readonly idx: number;
  /** {@link THROW} where an exception is thrown. */
  readonly callee: number;
  /** A call, not the address of a callback. */
  readonly direct: boolean;
}

const THROW = -1;

type StackKind = 'unknown' | 'kernel' | 'private';

class Chains {
  readonly draft: Draft;
  private readonly sites: readonly (readonly CallSite[])[];
  private readonly kinds: StackKind[];
  /** Subprograms on the way from the root to where the walk is. */
  private readonly chain: number[] = [];
  /** Per subprogram the deepest it was entered so far: entering it less deep finds nothing new. */
  private deepest: ({ below: number; frame: number } | undefined)[] = [];

  constructor(draft: Draft) {
    this.draft = draft;
    this.sites = draft.subprograms.map((sub) => callSites(draft, sub));
    this.kinds = draft.subprograms.map(() => 'unknown');
  }

  /** Walks all chains of calls that begin at a subprogram. */
  walk(root: number, mayBePrivate: boolean): Verdict {
    this.deepest = [];
    return this.enter(root, 0, 0, mayBePrivate);
  }

  private enter(index: number, below: number, frame: number, mayBePrivate: boolean): Verdict {
    const { subprograms } = this.draft;
    const sub = subprograms[index]!;
    if (!mayBePrivate) this.kinds[index] = 'kernel';
    const inCallback = sub.isCallback || this.chain.some((one) => subprograms[one]!.isCallback);
    const seen = this.deepest[index];
    if (seen !== undefined && below <= seen.below && frame <= seen.frame && !inCallback) {
      return sub.tailCallReachable ? this.markTailCallReachable() : undefined;
    }
    this.chain.push(index);
    if (sub.hasLdAbs && inCallback) {
      return refuse('ld-abs-not-allowed', sub.start, 'cannot use BPF_LD_[ABS|IND] within callback', {
        reason: 'a load behind the packet would return from the callback',
      });
    }
    if (index !== 0 && sub.hasTailCall && below >= TAIL_CALL_STACK) {
      const problem = `tail_calls are not allowed when call stack of previous frames is ${below} bytes. Too large`;
      return refuse('tail-call-stack', sub.start, problem, {
        reason: `the target of the tail call brings a stack of its own, so its callers may hold ${TAIL_CALL_STACK - 1} bytes`,
      });
    }
    const size = Math.ceil(sub.stackDepth / FRAME_ALIGN) * FRAME_ALIGN;
    if (mayBePrivate && this.kinds[index] === 'unknown' && size >= PRIVATE_STACK_MIN) {
      this.kinds[index] = 'private';
    }
    let depth = below;
    if (this.kinds[index] === 'private') {
      if (size > LIMITS.MAX_BPF_STACK) {
        const problem = `stack size of subprog ${index} is ${size}. Too large`;
        return refuse('stack-size', sub.start, problem, TOO_LARGE);
      }
    } else {
      depth += size;
      if (depth > LIMITS.MAX_BPF_STACK) {
        const problem = `combined stack size of ${this.chain.length} calls is ${depth}. Too large`;
        return refuse('stack-size', sub.start, problem, TOO_LARGE);
      }
    }
    for (const site of this.sites[index]!) {
      if (site.callee === THROW) {
        if (!inCallback && !this.chain.includes(this.draft.exceptionCallback ?? THROW)) continue;
        const problem = `bpf_throw kfunc (insn ${site.idx}) cannot be called from callback subprog ${index}`;
        return refuse('call-depth', site.idx, problem, {
          reason: 'an exception would leave the function of the kernel that calls back',
          errno: 'EINVAL',
        });
      }
      const refusal = this.call(site, depth, frame, mayBePrivate);
      if (refusal) return refusal;
    }
    if (sub.hasTailCall) {
      const refusal = this.markTailCallReachable();
      if (refusal) return refusal;
    }
    this.chain.pop();
    this.deepest[index] = {
      below: Math.max(below, seen?.below ?? 0),
      frame: Math.max(frame, seen?.frame ?? 0),
    };
    return undefined;
  }

  private call(site: CallSite, depth: number, frame: number, mayBePrivate: boolean): Verdict {
    const { subprograms, exceptionCallback } = this.draft;
    const callee = subprograms[site.callee]!;
    if (callee.isAsyncCallback || site.callee === exceptionCallback) {
      // It runs later, on a stack of its own.
      if (!site.direct) return undefined;
      if (site.callee === exceptionCallback) {
        return refuse('call-depth', site.idx, `insn ${site.idx} cannot call exception cb directly`, {
          reason: 'it is called by the kernel when an exception is thrown',
          errno: 'EINVAL',
        });
      }
    }
    const next = frame + 1;
    if (next >= LIMITS.MAX_CALL_FRAMES) {
      return refuse('call-depth', site.idx, `the call stack of ${next} frames is too deep !`, {
        reason: `functions may call each other ${LIMITS.MAX_CALL_FRAMES} deep`,
      });
    }
    return this.enter(site.callee, depth, next, mayBePrivate);
  }

  /** A tail call replaces only the frame that makes it, so those of its callers must survive it. */
  private markTailCallReachable(): Verdict {
    const { subprograms, exceptionCallback } = this.draft;
    for (const index of this.chain) {
      const sub = subprograms[index]!;
      if (index === exceptionCallback) {
        return refuse('call-depth', sub.start, 'cannot tail call within exception cb', {
          reason: 'the program is left by it',
          errno: 'EINVAL',
        });
      }
      sub.tailCallReachable = true;
    }
    return undefined;
  }
}

const TOO_LARGE = {
  reason: `the functions of a call chain share ${LIMITS.MAX_BPF_STACK} bytes of stack`,
  hint: 'move large variables into a per-CPU array map',
} as const;

function refuse(
  code: RejectCode,
  insn: number,
  problem: string,
  more: { readonly reason: string; readonly hint?: string; readonly errno?: 'EINVAL' },
): Verdict {
  return { code, insn, problem, ...more };
}

function callSites(draft: Draft, sub: DraftSubprogram): CallSite[] {
  const sites: CallSite[] = [];
  for (let idx = sub.start; idx < sub.end; idx++) {
    const insn = draft.insns[idx];
    const direct = insn?.kind === 'call';
    if (direct && kfuncFacts(draft, idx)?.throws) {
      sites.push({ idx, callee: THROW, direct });
      continue;
    }
    const target = calleeSlot(draft, idx);
    if (target === undefined) continue;
    sites.push({
      idx,
      callee: subprogramStarting(draft, target),
      direct: FORMS[draft.slots[idx]!.code]?.form === 'call',
    });
  }
  return sites;
}

/** Stack, frames and tail calls over every chain of calls. */
export function checkCallChains(draft: Draft): Verdict {
  const chains = new Chains(draft);
  const { subprograms, input } = draft;
  const iterator = input.expectedAttachType === 'trace_iter';
  const allowed = PRIVATE_STACK.has(input.type) && !iterator && !subprograms.some((sub) => sub.hasTailCall);
  for (let index = subprograms.length - 1; index >= 0; index--) {
    const later = subprograms[index]!.isAsyncCallback || index === draft.exceptionCallback;
    if (index !== 0 && !later) continue;
    const refusal = chains.walk(index, index === 0 && allowed);
    if (refusal) return refusal;
  }
  return undefined;
}
