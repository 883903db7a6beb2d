/**
 * Spills around calls that keep all registers but their own: compilers that know such a call (`bpf_fastcall`) still
 * spill and fill r0 to r5 around it, for kernels that don't. Linux removes the pair, and with it the stack that nothing
 * else uses.
 *
 * @see kernel/bpf/verifier.c, mark_fastcall_patterns
 */
import type { Insn } from '../../../isa/insn.ts';
import { helperName } from '../../../sys/helper-ids.ts';
import { prototype } from '../../helpers/prototypes.ts';
import { calleeName } from '../explain/insn-text.ts';
import type { Draft, DraftSubprogram } from '../structure/draft.ts';
import { callFacts } from './call-facts.ts';

/** r0 to r5. */
const CALLER_SAVED = 0x3f;
const FP = 10;
const SLOT = 8;
/** Below every offset: the subprogram uses the spilled slots for something else. */
const OFF = -0x8000;
const FASTCALL_KFUNCS: ReadonlySet<string> = new Set(['bpf_cast_to_kern_ctx', 'bpf_rdonly_cast']);

export class FastcallStack {
  private readonly draft: Draft;
  /** By slot: part of such a pair. */
  private readonly pattern: Uint8Array;
  /** By subprogram: the pairs' slots begin below this offset. */
  private readonly boundary: Int32Array;
  /** By subprogram: pairs that can be removed, and pairs that stay. */
  private readonly removable: Uint8Array;
  private readonly keeps: Uint8Array;

  constructor(draft: Draft) {
    this.draft = draft;
    const count = draft.subprograms.length;
    this.pattern = new Uint8Array(draft.count);
    this.boundary = new Int32Array(count);
    this.removable = new Uint8Array(count);
    this.keeps = new Uint8Array(count);
    for (const [i, sub] of draft.subprograms.entries()) this.mark(i, sub);
  }

  private mark(subprog: number, { start, end }: DraftSubprogram): void {
    const { insns } = this.draft;
    let lowest = 0;
    for (let idx = start; idx < end; idx++) {
      const insn = insns[idx];
      if (insn?.kind === 'stx' && insn.size === SLOT && insn.dst === FP) lowest = Math.min(lowest, insn.off);
    }
    if (lowest === 0) return;
    for (let idx = start; idx < end; idx++) {
      if (insns[idx]?.kind === 'call') this.markCall(subprog, idx, lowest);
    }
  }

  private markCall(subprog: number, idx: number, lowest: number): void {
    const clobbered = clobberedBy(this.draft, idx);
    if (clobbered === CALLER_SAVED) return;
    const { insns } = this.draft;
    let expected = CALLER_SAVED & ~clobbered;
    let off = lowest;
    let pairs = 0;
    for (let i = 1; expected !== 0; i++, off += SLOT) {
      const reg = pairOf(insns[idx - i], insns[idx + i], off);
      if (reg === undefined || (expected & (1 << reg)) === 0) break;
      expected &= ~(1 << reg);
      this.pattern[idx - i] = 1;
      this.pattern[idx + i] = 1;
      pairs++;
    }
    if (pairs === 0) return;
    if (canInline(this.draft, idx)) this.removable[subprog] = 1;
    else this.keeps[subprog] = 1;
    this.boundary[subprog] = Math.min(this.boundary[subprog]!, off);
  }

  /** The stack is accessed: outside of a pair, the pairs' slots are used for something else too. */
  touch(subprog: number, idx: number, off: number): void {
    if (this.boundary[subprog]! <= off || this.pattern[idx] === 1) return;
    this.boundary[subprog] = OFF;
    this.removable[subprog] = 0;
    const { start, end } = this.draft.subprograms[subprog]!;
    this.pattern.fill(0, start, end);
  }

  /** Subprograms whose pairs go need less stack. */
  shrink(): void {
    for (const [i, sub] of this.draft.subprograms.entries()) {
      if (this.removable[i] === 1 && this.keeps[i] === 0) sub.stackDepth = -this.boundary[i]!;
    }
  }
}

/** The register that is stored at an offset before a call and loaded from there after it. */
function pairOf(before: Insn | undefined, after: Insn | undefined, off: number): number | undefined {
  if (before?.kind !== 'stx' || before.size !== SLOT || before.dst !== FP || before.off !== off)
    return undefined;
  if (after?.kind !== 'ldx' || after.size !== SLOT || after.src !== FP || after.off !== off) return undefined;
  return before.src === after.dst ? before.src : undefined;
}

/** Registers that a call does not keep: its result and its arguments. */
function clobberedBy(draft: Draft, idx: number): number {
  const insn = draft.insns[idx];
  const facts = callFacts(draft, idx);
  if (insn?.kind !== 'call' || facts === undefined) return CALLER_SAVED;
  const args = ((1 << facts.args) - 1) << 1;
  if (insn.target.kind !== 'helper') return args | 1;
  const helper = helperName(insn.target.id);
  const returns = helper !== undefined && prototype(helper, draft.input.type).ret !== 'void';
  return args | (returns ? 1 : 0);
}

function canInline(draft: Draft, idx: number): boolean {
  const insn = draft.insns[idx];
  if (insn?.kind !== 'call') return false;
  if (insn.target.kind === 'helper') {
    const helper = helperName(insn.target.id);
    return helper !== undefined && prototype(helper, draft.input.type).fastcall === true;
  }
  return FASTCALL_KFUNCS.has(calleeName(draft, insn.target) ?? '');
}
