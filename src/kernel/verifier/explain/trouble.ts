/** What advice is worked out from, and what it says. */
import type { Insn } from '../../../isa/insn.ts';
import type { Explorer } from '../explore/explorer.ts';
import type { RegState } from '../explore/reg.ts';
import type { TraceStep } from '../explore/state.ts';
import type { SourceLine } from '../program.ts';
import type { Refusal } from '../rejection.ts';
import type { Draft } from '../structure/draft.ts';
import type { Link } from './chain.ts';

/** A refusal that happened on a path. */
export interface Trouble {
  readonly draft: Draft;
  readonly refusal: Refusal;
  readonly insn: Insn | undefined;
  /** What was known when it happened; absent for refusals of the structure. */
  readonly ex: Explorer | undefined;
  /** The failing path, oldest first; its last step is the instruction that failed. */
  readonly steps: readonly TraceStep[];
  /** Registers that it is about, before the failing instruction. */
  readonly regs: readonly BlamedReg[];
  readonly chain: readonly Link[];
  /** The line that an instruction came from. */
  readonly line: (insn: number) => SourceLine | undefined;
}

export interface BlamedReg {
  readonly number: number;
  readonly value: RegState;
}

/** What is said to a person in place of what the check itself says. */
export interface Advice {
  /** What is wrong, in one plain sentence. */
  readonly reason?: string;
  /** What to test, where, or what to give back. */
  readonly suggestion?: string;
  /** Instructions that belong into the chain of causes too. */
  readonly causes?: readonly Link[];
}

/** `line 47 (if (i > 16))`, or the instruction's number. */
export function place({ line }: Pick<Trouble, 'line'>, insn: number): string {
  const source = line(insn);
  if (source === undefined) return `instruction ${insn}`;
  const text = source.text.trim();
  return text === '' ? `line ${source.line}` : `line ${source.line} (${text})`;
}

/** The text of the line that an instruction came from; empty where it is not known. */
export function sourceText({ line }: Pick<Trouble, 'line'>, insn: number): string {
  return line(insn)?.text ?? '';
}
