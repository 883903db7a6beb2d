/**
 * A refusal, explained: what is wrong, where, why (the instructions that made it so) and how to mend it. Plain data;
 * `JSON.stringify` of it is the documented form.
 */
import type { Errno } from '../../../sys/errno.ts';
import type { Explorer } from '../explore/explorer.ts';
import { regText } from '../explore/reg-text.ts';
import { NOT_INIT, SCALAR } from '../explore/reg-type.ts';
import type { TraceStep } from '../explore/state.ts';
import type { SourceLine } from '../program.ts';
import { REJECT_CODES, type Refusal, type RejectCategory, type RejectCode } from '../rejection.ts';
import { type Draft, subprogramAt } from '../structure/draft.ts';
import { chainOf, type Link, stepsOf } from './chain.ts';
import { describeReg } from './describe.ts';
import { insnText } from './insn-text.ts';
import { advise } from './mend.ts';

/** Categories by the names that Linux 7.3 gives them. */
export const CATEGORY_TITLES = {
  memory: 'Memory Safety',
  register: 'Register Type Safety',
  call: 'Call Type Safety',
  lifetime: 'Resource Lifetime Safety',
  context: 'Execution Context Safety',
  structure: 'Program Structure',
  policy: 'Policy',
  limit: 'Verifier Limit',
  unsupported: 'Not Supported by This Kernel',
} as const satisfies Record<RejectCategory, string>;

/** A place in the program. */
export interface Place {
  readonly insn: number;
  /** As the kernel's log writes it. */
  readonly text: string;
  readonly function?: string;
  readonly source?: SourceLine;
}

export interface CausalStep extends Place {
  readonly kind: Link['kind'];
  /** `r2`, `fp-8`. */
  readonly register: string;
  /** The register before and after, as the log's states write it. */
  readonly before?: string;
  readonly after?: string;
  /** The same for a person. */
  readonly says: string;
}

export interface Diagnosis {
  readonly code: RejectCode;
  readonly category: RejectCategory;
  readonly title: string;
  readonly errno: Errno;
  /** Linux's message. */
  readonly problem: string;
  readonly reason: string;
  readonly suggestion?: string;
  readonly at: Place;
  /** Registers that the refusal is about, before the failing instruction. */
  readonly registers: readonly { readonly register: string; readonly value: string; readonly says: string }[];
  /** Oldest first. */
  readonly causes: readonly CausalStep[];
  /** Instructions on the failing path. */
  readonly pathLength: number;
}

/** @param ex the exploration, with its steps traced; absent for refusals of the structure */
export function diagnose(draft: Draft, refusal: Refusal, ex: Explorer | undefined): Diagnosis {
  const { category, errno } = REJECT_CODES[refusal.code];
  const steps = ex === undefined ? [] : stepsOf(ex.state.trace);
  const last = steps.at(-1);
  const blamed = last === undefined || category === 'limit' ? [] : blame(draft, refusal, last);
  const regs = last === undefined ? [] : blamed.map((number) => ({ number, value: last.regs[number]! }));
  const chain = ex === undefined ? [] : chainOf(ex, steps, blamed);
  const advice = advise({
    draft,
    refusal,
    insn: draft.insns[refusal.insn],
    ex,
    steps,
    regs,
    chain,
    line: (insn) => sourceLine(draft, insn),
  });
  const causes = [...chain, ...(advice.causes ?? [])].sort((a, b) => a.step - b.step);
  return {
    code: refusal.code,
    category,
    title: CATEGORY_TITLES[category],
    errno: refusal.errno ?? errno,
    problem: refusal.problem,
    reason: advice.reason ?? refusal.reason,
    ...(advice.suggestion !== undefined && { suggestion: advice.suggestion }),
    at: placeOf(draft, refusal.insn),
    registers: regs
      .filter(({ value }) => value.type !== NOT_INIT)
      .map(({ number, value }) => ({
        register: `r${number}`,
        value: textOf(ex!, value),
        says: describeReg(value),
      })),
    causes: causes.map((link) => ({
      ...placeOf(draft, link.insn),
      kind: link.kind,
      register: link.place,
      ...(link.before && link.before.type !== NOT_INIT && { before: textOf(ex!, link.before) }),
      ...(link.after && link.after.type !== NOT_INIT && { after: textOf(ex!, link.after) }),
      says: link.says,
    })),
    pathLength: steps.length,
  };
}

/** Registers that the refusal names; else those that the instruction reads. */
function blame(draft: Draft, refusal: Refusal, { regs }: TraceStep): number[] {
  const found = new Set<number>();
  for (const [, digits] of refusal.problem.matchAll(/\bR(\d+)\b/g)) found.add(Number(digits));
  for (const [, digits] of refusal.problem.matchAll(/\barg#?(\d+)\b/g)) found.add(Number(digits) + 1);
  const named = [...found].filter((reg) => reg <= 10);
  const insn = draft.insns[refusal.insn];
  if (named.length > 0) {
    // A function is told of the size of memory in the register after its address.
    const size = named[0]! + 1;
    const variable = size <= 5 && regs[size]!.type === SCALAR && !regs[size]!.scalar.isConst;
    const sized = insn?.kind === 'call' && variable && REJECT_CODES[refusal.code].category === 'memory';
    return sized && !named.includes(size) ? [...named, size] : named;
  }
  switch (insn?.kind) {
    case 'alu':
      return insn.src.kind === 'reg' ? [insn.dst, insn.src.reg] : [insn.dst];
    case 'jmp':
      return insn.src.kind === 'reg' ? [insn.dst, insn.src.reg] : [insn.dst];
    case 'ldx':
      return [insn.src];
    case 'st':
      return [insn.dst];
    case 'stx':
    case 'atomic':
      return [insn.dst, insn.src];
    default:
      return [];
  }
}

function textOf(ex: Explorer, reg: Parameters<typeof regText>[1]): string {
  return regText(ex.state.frame(), reg, false);
}

export function placeOf(draft: Draft, insn: number): Place {
  const name = draft.subprograms[subprogramAt(draft, insn)]?.name;
  const source = sourceLine(draft, insn);
  return {
    insn,
    text: insnText(draft, insn),
    ...(name !== undefined && { function: name }),
    ...(source && { source }),
  };
}

/** The record of the instruction, or of the nearest one before it. */
export function sourceLine({ lines }: Draft, insn: number): SourceLine | undefined {
  for (let idx = insn; idx >= 0; idx--) {
    const line = lines.get(idx);
    if (line) return line;
  }
  return undefined;
}
