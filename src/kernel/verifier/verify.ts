/**
 * Verifies a program: Linux's rules in Linux's words.
 *
 * The passes below are the structural ones. What registers hold is not tracked yet, so a program that passes may
 * still make a wrong access; the interpreter checks each one while it runs.
 */
import type { InsnIdx } from '../../isa/index.ts';
import type { VerifyEnvironment } from './environment.ts';
import { isGplCompatible } from './license.ts';
import type { ProgramInput, SourceLine, VerifiedProgram } from './program.ts';
import { REJECT_CODES, type Refusal, type Rejection, type Verdict } from './rejection.ts';
import { checkControlFlow } from './structure/cfg.ts';
import { type Draft, draft } from './structure/draft.ts';
import { checkFuncInfo, checkLineInfo } from './structure/info.ts';
import { checkInstructions } from './structure/instructions.ts';
import { checkLimits } from './structure/limits.ts';
import { resolveLoads } from './structure/resolve.ts';
import { checkCallChains } from './structure/stack.ts';
import { checkSubprograms, findSubprograms } from './structure/subprograms.ts';

/** In Linux's order, so that of several faults the same one is reported. */
const PASSES: readonly ((draft: Draft) => Verdict)[] = [
  checkLimits,
  findSubprograms,
  checkSubprograms,
  checkFuncInfo,
  checkLineInfo,
  resolveLoads,
  checkControlFlow,
  checkInstructions,
  checkCallChains,
];

/** Never throws for a program's sake: what is wrong with it is in the answer. */
export function verify(program: ProgramInput, environment: VerifyEnvironment): Rejection | VerifiedProgram {
  const made = draft(program, environment);
  for (const pass of PASSES) {
    const refusal = pass(made);
    if (refusal) return reject(made, refusal);
  }
  return seal(made);
}

export function isRejection(result: Rejection | VerifiedProgram): result is Rejection {
  return 'rejected' in result;
}

function reject(made: Draft, refusal: Refusal): Rejection {
  const { category, errno } = REJECT_CODES[refusal.code];
  const line = sourceLine(made, refusal.insn);
  // A program of the wrong size is refused before there is a log.
  const log = refusal.code === 'program-size' ? '' : renderLog(made, `${refusal.problem}\n`);
  return {
    rejected: true,
    code: refusal.code,
    category,
    insn: refusal.insn as InsnIdx,
    ...(line && { line }),
    problem: refusal.problem,
    reason: refusal.reason,
    ...(refusal.hint !== undefined && { hint: refusal.hint }),
    errno: refusal.errno ?? errno,
    log,
  };
}

/** The record of the instruction, or of the nearest one before it. */
function sourceLine({ lines }: Draft, insn: number): SourceLine | undefined {
  for (let idx = insn; idx >= 0; idx--) {
    const line = lines.get(idx);
    if (line) return line;
  }
  return undefined;
}

function renderLog({ environment, processed }: Draft, text: string): string {
  if (environment.logLevel === 0) return '';
  return (
    `${text}processed ${processed} insns (limit 1000000) ` +
    'max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n'
  );
}

function seal(made: Draft): VerifiedProgram {
  const program: Omit<VerifiedProgram, symbol> = {
    input: made.input,
    insns: made.insns,
    subprograms: made.subprograms.map(({ start, end, name, stackDepth, hasTailCall, tailCallReachable }) => ({
      start: start as InsnIdx,
      end: end as InsnIdx,
      ...(name !== undefined && { name }),
      stackDepth,
      hasTailCall,
      tailCallReachable,
    })),
    maps: made.maps,
    mapRefs: made.mapRefs as ReadonlyMap<number, number> as VerifiedProgram['mapRefs'],
    proofs: new Map(),
    gplCompatible: isGplCompatible(made.input.license),
    processed: made.processed,
    log: renderLog(made, ''),
  };
  return program as VerifiedProgram;
}
