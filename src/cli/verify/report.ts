/** What `skep verify` tells of a program: one structure, and its renderings. */
import { type Diagnosis, type Inspection, isRejection, type Place } from '../../kernel/judge.ts';

/** What `skep verify --json` prints for each program. Names and meanings stay; more may be added. */
export interface ProgramReport {
  readonly program: string;
  readonly type: string;
  readonly section: string;
  /** Absent when no verdict was reached: `error` says why. */
  readonly accepted?: boolean;
  readonly error?: string;
  /** What a person should know beside the verdict. */
  readonly notes?: readonly string[];
  readonly diagnosis?: {
    readonly code: string;
    readonly category: string;
    readonly title: string;
    readonly errno: string;
    readonly problem: string;
    readonly reason: string;
    readonly suggestion?: string;
    readonly at: Place;
    readonly registers: Diagnosis['registers'];
    readonly causes: Diagnosis['causes'];
    readonly path_length: number;
  };
  readonly counts?: {
    readonly processed: number;
    readonly max_states_per_insn: number;
    readonly total_states: number;
    readonly peak_states: number;
  };
  /** Bytes of stack of each function. */
  readonly stack_depth?: readonly number[];
  readonly milliseconds?: number;
  readonly log?: string;
  readonly linux?: LinuxAnswer;
  readonly stats?: Stats;
}

/** Linux's answer to the same program. */
export interface LinuxAnswer {
  readonly release: string;
  /** Absent when its verifier did not come to judge: `message` says why. */
  readonly accepted?: boolean;
  readonly errno?: string;
  readonly message?: string;
  readonly agrees?: boolean;
}

/** Where the work of verification went, most first. */
export interface Stats {
  readonly lines: readonly {
    readonly file: string;
    readonly line: number;
    readonly text: string;
    readonly processed: number;
    readonly states: number;
    readonly pruned: number;
  }[];
  readonly loops: readonly LoopCost[];
}

export interface LoopCost {
  /** Instructions. */
  readonly first: number;
  readonly last: number;
  readonly processed: number;
  /** Lines of source that they came from, where that is known. */
  readonly file?: string;
  readonly first_line?: number;
  readonly last_line?: number;
}

export function diagnosisReport(found: Diagnosis): NonNullable<ProgramReport['diagnosis']> {
  const { pathLength, ...rest } = found;
  return { ...rest, path_length: pathLength };
}

export function countsReport({ counts }: Inspection): NonNullable<ProgramReport['counts']> {
  return {
    processed: counts.processed,
    max_states_per_insn: counts.maxStatesPerInsn,
    total_states: counts.totalStates,
    peak_states: counts.peakStates,
  };
}

export function stackDepths({ result }: Inspection): readonly number[] | undefined {
  return isRejection(result) ? undefined : result.subprograms.map(({ stackDepth }) => stackDepth);
}

/** Instructions without a source line are told by themselves. */
export function statsReport(inspection: Inspection): Stats {
  const { costs, lines, loops } = inspection;
  const byLine = new Map<
    string,
    { file: string; line: number; text: string; processed: number; states: number; pruned: number }
  >();
  const byLoop = new Map<number, { -readonly [K in keyof LoopCost]: LoopCost[K] }>();
  let at = { file: '', line: 0, text: '' };
  for (const [idx, { visits, kept, pruned }] of costs.entries()) {
    at = lines.get(idx) ?? (lines.size === 0 ? { file: '', line: idx, text: `instruction ${idx}` } : at);
    if (visits === 0) continue;
    const key = `${at.file}:${at.line}`;
    const sum = byLine.get(key) ?? {
      file: at.file,
      line: at.line,
      text: at.text.trim(),
      processed: 0,
      states: 0,
      pruned: 0,
    };
    byLine.set(key, sum);
    sum.processed += visits;
    sum.states += kept;
    sum.pruned += pruned;
    const loop = loops[idx] ?? 0;
    if (loop === 0) continue;
    const range = byLoop.get(loop) ?? { first: idx, last: idx, processed: 0 };
    byLoop.set(loop, range);
    range.last = idx;
    range.processed += visits;
    if (at.file === '') continue;
    range.file ??= at.file;
    if (range.file !== at.file) continue;
    range.first_line = Math.min(range.first_line ?? at.line, at.line);
    range.last_line = Math.max(range.last_line ?? at.line, at.line);
  }
  const most = <T extends { processed: number }>(sums: Iterable<T>): T[] =>
    [...sums].sort((a, b) => b.processed - a.processed).slice(0, 20);
  return { lines: most(byLine.values()), loops: most(byLoop.values()) };
}
