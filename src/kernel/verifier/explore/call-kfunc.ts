/** Calls of kernel functions. */
import type { Insn } from '../../../isa/insn.ts';
import type { Draft } from '../structure/draft.ts';
import type { CallSiteFacts } from './call-facts.ts';
import type { Explorer } from './explorer.ts';

/** What the plan and the callers of the function need to know of the call at a slot; `undefined` where it is unknown. */
export function kfuncFacts(_draft: Draft, _idx: number): CallSiteFacts | undefined {
  return undefined;
}

/** Whether the kernel function with that BTF id may be called while a lock is held. */
export function kfuncAllowedUnderLock(_draft: Draft, _btfId: number): boolean {
  return false;
}

/** @returns whether the path ended; if not, `ex.insnIdx` is the next instruction */
export function checkKfuncCall(ex: Explorer, insn: Insn & { readonly kind: 'call' }): boolean {
  const id = insn.target.kind === 'kfunc' ? insn.target.btfId : 0;
  ex.refuse('unsupported-insn', `the embedded kernel does not have the kernel function of BTF id ${id}`, {
    reason: 'kernel functions are not part of it yet',
    hint: 'run the program on Linux (--kernel linux)',
  });
}
