/**
 * The stack that Linux's rewriting of a verified program adds to its functions: what replaces an instruction keeps what it
 * needs below everything that the function itself has there. It does not count towards the limits.
 *
 * @see kernel/bpf/fixups.c of Linux 7.2, bpf_optimize_bpf_loop and bpf_do_misc_fixups
 */
import type { Draft } from '../structure/draft.ts';
import type { Explorer } from './explorer.ts';

/** A `bpf_loop` that is made a loop of instructions keeps r6 to r8. */
const LOOP_BYTES = 24;
/** A `may_goto` counts its rounds and remembers when the first was. */
const MAY_GOTO_BYTES = 16;

/** Notes it in the program's subprograms, once they are explored. */
export function addRewrittenStack({ subprograms, insns }: Draft, ex: Explorer): void {
  for (const sub of subprograms) {
    let loop = false;
    let mayGoto = false;
    for (let idx = sub.start; idx < sub.end; idx++) {
      const insn = insns[idx];
      const aux = ex.aux[idx]!;
      if (aux.inlineLoop !== undefined && aux.inlineLoop >= 0) loop = true;
      // One that goes to where the path goes anyway is taken out.
      if (insn?.kind === 'may_goto' && aux.seen && skips(ex, idx, insn.off)) mayGoto = true;
    }
    sub.rewrittenStack = (loop ? LOOP_BYTES : 0) + (mayGoto ? MAY_GOTO_BYTES : 0);
  }
}

/** Whether anything that is reached lies between a jump and its target. */
function skips(ex: Explorer, idx: number, off: number): boolean {
  if (off < 0) return true;
  for (let i = 1; i <= off; i++) if (ex.aux[idx + i]!.seen) return true;
  return false;
}
