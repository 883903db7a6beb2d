/**
 * Verifies a program: Linux's rules in Linux's words.
 *
 * First the structure: what can be said of the program without running it. Then exploration: every path, on abstract
 * values. What was learned of each instruction goes into the answer.
 */
import type { InsnIdx } from '../../isa/index.ts';
import type { VerifyEnvironment } from './environment.ts';
import { type Diagnosis, diagnose, sourceLine } from './explain/diagnosis.ts';
import { attachNote } from './explore/btf-context.ts';
import { buildPlan } from './explore/build-plan.ts';
import { callFacts, markSubprogEffects } from './explore/call-facts.ts';
import { checkConversions } from './explore/conversions.ts';
import { checkFunctionLoads, removeDead } from './explore/dead-functions.ts';
import { exploreProgram } from './explore/entry.ts';
import { type ExploreCaps, Explorer, Refused } from './explore/explorer.ts';
import { type Counts, Log } from './explore/log.ts';
import { proofs } from './explore/proofs.ts';
import { addRewrittenStack } from './explore/rewritten-stack.ts';
import { checkCallChains } from './explore/stack-depth.ts';
import { checkCallsLeft } from './explore/tail-calls.ts';
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
import { checkVersion, checkVersionOfFlow } from './structure/version.ts';

/** In Linux's order, so that of several faults the same one is reported. */
const STRUCTURE: readonly ((draft: Draft, log: Log) => Verdict)[] = [
  checkLimits,
  checkVersion,
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
  checkVersionOfFlow,
  checkAttachTarget,
];

/** Never throws for a program's sake: what is wrong with it is in the answer. */
export function verify(program: ProgramInput, environment: VerifyEnvironment): Rejection | VerifiedProgram {
  return run(program, environment, false).result;
}

/** A verification with what it cost and, for a refusal, what explains it. */
export interface Inspection {
  readonly result: Rejection | VerifiedProgram;
  readonly diagnosis?: Diagnosis;
  readonly counts: Counts;
  /** By slot: how often the instruction was processed, states kept there, and paths that ended there as known. */
  readonly costs: readonly InsnCost[];
  /** By slot; the source line of the instruction, where it is known. */
  readonly lines: ReadonlyMap<number, SourceLine>;
  /** By slot: number of the loop that the instruction is in; 0 for none. */
  readonly loops: readonly number[];
}

export interface InsnCost {
  readonly visits: number;
  readonly kept: number;
  readonly pruned: number;
}

/** As {@link verify}, remembering the steps of every path: slower, and for people. */
export function inspect(program: ProgramInput, environment: VerifyEnvironment): Inspection {
  const { result, made, ex, refusal } = run(program, environment, true);
  // Refused before the records of lines were read: a person wants them all the same.
  if (refusal !== undefined && made.lines.size === 0 && made.subprograms.length > 0) checkLineInfo(made);
  return {
    result,
    ...(refusal && { diagnosis: diagnose(made, refusal, ex) }),
    counts: counts(ex),
    costs: ex?.aux.map(({ visits, kept, pruned }) => ({ visits, kept, pruned })) ?? [],
    lines: made.lines,
    loops: ex === undefined ? [] : [...ex.plan.scc],
  };
}

interface Run {
  readonly result: Rejection | VerifiedProgram;
  readonly made: Draft;
  readonly ex: Explorer | undefined;
  readonly refusal: Refusal | undefined;
}

function run(program: ProgramInput, environment: VerifyEnvironment, tracing: boolean): Run {
  const made = draft(program, environment);
  const log = new Log(made);
  let refusal = checkStructure(made, log);
  let ex: Explorer | undefined;
  if (refusal === undefined) {
    const plan = buildPlan(made, (idx) => callFacts(made, idx));
    log.liveRegs(plan);
    ex = new Explorer(made, plan, log, capabilities(environment));
    ex.tracing = tracing;
    refusal = explored(ex) ?? afterwards(made, log) ?? checkConversions(made, ex, log);
    if (refusal === undefined) addRewrittenStack(made, ex);
    if (refusal === undefined && environment.capabilities.bpf) {
      removeDead(made, ex);
      refusal = checkFunctionLoads(made, ex, log);
    }
    refusal ??= checkCallsLeft(made, ex, log);
  }
  const result = refusal === undefined ? seal(made, log, ex!) : reject(made, refusal, log, ex);
  return { result, made, ex, refusal };
}

function checkStructure(made: Draft, log: Log): Verdict {
  for (const pass of STRUCTURE) {
    const refusal = pass(made, log);
    if (refusal === undefined) continue;
    if (refusal.problem !== '') log.write(lineOf(refusal.problem));
    return refusal;
  }
  markSubprogEffects(made);
  log.write(attachNote(made));
  return undefined;
}

function explored(ex: Explorer): Verdict {
  try {
    exploreProgram(ex);
    ex.fastcall.shrink();
    return undefined;
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    throw error;
  }
}

/** Messages that Linux does not end a line after: the counts stand right behind them. */
const OPEN_ENDED =
  /^(nonzero tailing record in (func info|line_info)|invalid type id \d+ in func info|insn \d+ cannot call exception cb directly)$/;

const lineOf = (problem: string): string => (OPEN_ENDED.test(problem) ? problem : `${problem}\n`);

/** What can be judged only when every path is known. */
function afterwards(made: Draft, log: Log): Verdict {
  const refusal = checkCallChains(made);
  if (refusal) log.write(lineOf(refusal.problem));
  return refusal;
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

const NOTHING: Counts = { processed: 0, maxStatesPerInsn: 0, totalStates: 0, peakStates: 0 };

function counts(ex: Explorer | undefined): Counts {
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
    ...(made.exceptionCallback !== undefined && {
      exceptionCallback: made.subprograms[made.exceptionCallback]!.start as InsnIdx,
    }),
    gplCompatible: isGplCompatible(made.input.license),
    ...counts(ex),
    // An exception that the program has no function for ends in one of Linux's own.
    log: log.finish(counts(ex), made.throws === true && made.exceptionCallback === undefined),
  };
  return program as VerifiedProgram;
}
