/** Asks verifiers for their verdict on the programs of an object. */
import { InputError } from '../../base/error.ts';
import { type Diagnosis, isRejection } from '../../kernel/judge.ts';
import { linuxStatus, openLinux } from '../../linux/index.ts';
import { loadObject, type ObjectSpec } from '../../loader/index.ts';
import type { Kernel } from '../../sys/index.ts';
import type { Judged, JudgingKernel, Manner } from './judging-kernel.ts';
import {
  countsReport,
  diagnosisReport,
  type LinuxAnswer,
  type ProgramReport,
  stackDepths,
  statsReport,
} from './report.ts';

export interface JudgeOptions extends Manner {
  readonly kernel: JudgingKernel;
  readonly stats: boolean;
  readonly compareLinux: boolean;
}

/** One program after the other, each loaded alone. */
export function judgeProgram(spec: ObjectSpec, name: string, options: JudgeOptions): ProgramReport {
  const { type, section } = spec.programs.get(name)!;
  const head = { program: name, type: type ?? 'unknown', section };
  const start = performance.now();
  const outcome = inspectProgram(spec, name, options);
  if (typeof outcome === 'string') return { ...head, error: outcome };
  const { inspection } = outcome;
  const { result, diagnosis } = inspection;
  const accepted = !isRejection(result);
  const depths = stackDepths(inspection);
  return {
    ...head,
    type: outcome.attr.prog_type,
    accepted,
    ...(options.kernel.btfProblem !== undefined && {
      notes: [`the object's types were refused, so source lines are missing: ${options.kernel.btfProblem}`],
    }),
    ...(diagnosis && { diagnosis: diagnosisReport(diagnosis) }),
    counts: countsReport(inspection),
    ...(depths && { stack_depth: depths }),
    milliseconds: performance.now() - start,
    ...(options.logLevel !== 0 && { log: result.log }),
    ...(options.compareLinux && {
      linux: diagnosis && wouldFault(diagnosis) ? notAsked() : askLinux(spec, name, accepted),
    }),
    ...(options.stats && { stats: statsReport(inspection) }),
  };
}

/** @returns why there is no verdict, where there is none */
function inspectProgram(spec: ObjectSpec, name: string, options: JudgeOptions): Judged | string {
  const { kernel } = options;
  kernel.manner = options;
  kernel.judged.length = 0;
  kernel.objectBtf = spec.btf?.bytes;
  kernel.btfProblem = undefined;
  let problem = 'the program was not loaded';
  try {
    loadObject(kernel, spec, { programs: [name], maps: 'used', logLevel: options.logLevel }).close();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    problem = error.message;
  }
  // What the loader asked beside, to learn what the kernel has, comes before the program itself.
  const judged = kernel.judged.at(-1);
  return judged === undefined ? problem : withRelocation(judged, problem);
}

/** Which relocation failed is the loader's to say: the kernel only sees what was put in place of the instruction. */
function withRelocation(judged: Judged, problem: string): Judged {
  const { inspection } = judged;
  const { diagnosis } = inspection;
  const failed = /; the kernel lacks what it needs: (.*?)( \(E[A-Z]+\))?$/.exec(problem)?.[1];
  if (diagnosis === undefined || failed === undefined) return judged;
  return {
    ...judged,
    inspection: {
      ...inspection,
      diagnosis: { ...diagnosis, reason: `a CO-RE relocation failed: ${failed}` },
    },
  };
}

/**
 * Linux 6.18 uses a null pointer where a value that is 0 or -1 is masked while the branches that wait are as many as may be:
 * the process that asks would die in the kernel.
 *
 * @see kernel/bpf/verifier.c, maybe_fork_scalars
 */
function wouldFault({ code, problem, at }: Diagnosis): boolean {
  return code === 'too-complex' && problem.startsWith('The sequence of') && / [&|]= /.test(at.text);
}

function notAsked(): LinuxAnswer {
  using linux: Kernel = openLinux();
  return { release: linux.release, message: 'it is not asked: a fault of its verifier could be met' };
}

function askLinux(spec: ObjectSpec, name: string, accepted: boolean): LinuxAnswer {
  using linux: Kernel = openLinux();
  try {
    loadObject(linux, spec, { programs: [name], maps: 'used', logLevel: 1 }).close();
    return { release: linux.release, accepted: true, agrees: accepted };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const head = { release: linux.release, ...(error.errno !== undefined && { errno: error.errno }) };
    const message = lastWords(error.detail ?? '');
    if (message === undefined) return { ...head, message: error.message };
    return { ...head, accepted: false, message, agrees: !accepted };
  }
}

/** @throws InputError when this machine's Linux can't be asked */
export function checkLinux(): void {
  const status = linuxStatus();
  if (!status.ok) throw new InputError('verify-linux', `--compare-linux: ${status.reason}`);
}

/** The last line of a log before the counts. */
function lastWords(log: string): string | undefined {
  const lines = log
    .split('\n')
    .filter((line) => line !== '' && !/^(processed|verification time|stack depth) /.test(line));
  return lines.at(-1);
}
