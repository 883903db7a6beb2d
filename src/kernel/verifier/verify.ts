/**
 * Verifies a program: Linux's rules in Linux's words.
 *
 * First the structure: what can be said of the program without running it. Then exploration: every path, on abstract
 * values. What was learned of each instruction goes into the answer.
 */
import type { InsnIdx } from '../../isa/index.ts';
import type { VerifyEnvironment } from './environment.ts';
import { attachNote } from './explore/btf-context.ts';
import { buildPlan } from './explore/build-plan.ts';
import { callFacts, markSubprogEffects } from './explore/call-facts.ts';
import { exploreProgram } from './explore/entry.ts';
import { type ExploreCaps, Explorer, Refused } from './explore/explorer.ts';
import { Log } from './explore/log.ts';
import { proofs } from './explore/proofs.ts';
import { checkCallChains } from './explore/stack-depth.ts';
import { isGplCompatible } from './license.ts';
import type { ProgramInput, SourceLine, VerifiedProgram } from './program.ts';
import { REJECT_CODES, type Refusal, type Rejection, type Verdict } from './rejection.ts';
import { checkAttachTarget } from './structure/attach.ts';
import { checkControlFlow } from './structure/cfg.ts';
import { type Draft, draft } from './structure/draft.ts';
import { checkFuncInfo, checkFuncRecords, checkLineInfo } from './structure/info.ts';
import { checkLimits } from './structure/limits.ts';
import { resolveLoads } from './structure/resolve.ts';
import { checkSubprograms, findSubprograms } from './structure/subprograms.ts';

/** In Linux's order, so that of several faults the same one is reported. */
const STRUCTURE: readonly ((draft: Draft, log: Log) => Verdict)[] = [
  checkLimits,
  checkFuncRecords,
  findSubprograms,
  (_, log) => {
    log.subprograms();
    return undefined;
  },
  checkSubprograms,
  checkFuncInfo,
  checkLineInfo,
  resolveLoads,
  checkControlFlow,
  checkAttachTarget,
];

/** Never throws for a program's sake: what is wrong with it is in the answer. */
export function verify(program: ProgramInput, environment: VerifyEnvironment): Rejection | VerifiedProgram {
  const made = draft(program, environment);
  const log = new Log(made);
  const ex = explored(made, log);
  if (!(ex instanceof Explorer)) return ex;
  const refusal = checkCallChains(made);
  if (refusal) {
    log.write(`${refusal.problem}\n`);
    return reject(made, refusal, log, ex);
  }
  return seal(made, log, ex);
}

function explored(made: Draft, log: Log): Rejection | Explorer {
  for (const pass of STRUCTURE) {
    const refusal = pass(made, log);
    if (refusal === undefined) continue;
    if (refusal.problem !== '') log.write(`${refusal.problem}\n`);
    return reject(made, refusal, log, undefined);
  }
  markSubprogEffects(made);
  log.write(attachNote(made));
  const plan = buildPlan(made, (idx) => callFacts(made, idx));
  log.liveRegs(plan);
  const ex = new Explorer(made, plan, log, capabilities(made.environment));
  try {
    exploreProgram(ex);
  } catch (error) {
    if (error instanceof Refused) return reject(made, error.refusal, log, ex);
    throw error;
  }
  return ex;
}

/** @see include/linux/bpf.h, bpf_allow_ptr_leaks and the functions beside it */
function capabilities({ capabilities: { bpf, perfmon } }: VerifyEnvironment): ExploreCaps {
  return {
    bpf,
    allowPtrLeaks: perfmon,
    allowUninitStack: perfmon,
    bypassSpecV1: perfmon,
    bypassSpecV4: perfmon,
  };
}

export function isRejection(result: Rejection | VerifiedProgram): result is Rejection {
  return 'rejected' in result;
}

function reject(made: Draft, refusal: Refusal, log: Log, ex: Explorer | undefined): Rejection {
  const { category, errno } = REJECT_CODES[refusal.code];
  const line = sourceLine(made, refusal.insn);
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
    // A program of the wrong size is refused before there is a log.
    log: refusal.code === 'program-size' ? '' : log.finish(counts(ex)),
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

const NOTHING = { processed: 0, maxStatesPerInsn: 0, totalStates: 0, peakStates: 0 };

function counts(ex: Explorer | undefined): typeof NOTHING {
  if (ex === undefined) return NOTHING;
  const { processed, maxStatesPerInsn, totalStates, peakStates } = ex;
  return { processed, maxStatesPerInsn, totalStates, peakStates };
}

function seal(made: Draft, log: Log, ex: Explorer): VerifiedProgram {
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
    proofs: proofs(ex),
    gplCompatible: isGplCompatible(made.input.license),
    ...counts(ex),
    log: log.finish(counts(ex)),
  };
  return program as VerifiedProgram;
}
