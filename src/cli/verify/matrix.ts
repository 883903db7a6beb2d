/** Verdicts by kernel version. */
import type { ObjectSpec } from '../../loader/index.ts';
import { type JudgeOptions, judgeProgram } from './judge.ts';
import type { Paint } from './show.ts';

/** Long-term versions of Linux. */
export const LONG_TERM = ['4.19', '5.4', '5.10', '5.15', '6.1', '6.6', '6.12', '6.18'] as const;

export interface MatrixRow {
  readonly kernel: string;
  readonly programs: readonly {
    readonly program: string;
    readonly accepted: boolean;
    readonly problem?: string;
    readonly reason?: string;
  }[];
}

export function matrixRow(spec: ObjectSpec, names: readonly string[], options: JudgeOptions): MatrixRow {
  const programs = names.map((name) => {
    const {
      accepted = false,
      diagnosis,
      error,
    } = judgeProgram(spec, name, { ...options, compareLinux: false });
    if (accepted) return { program: name, accepted };
    return {
      program: name,
      accepted,
      problem: diagnosis?.problem ?? error ?? '',
      reason: diagnosis?.reason ?? error ?? '',
    };
  });
  return { kernel: options.version, programs };
}

export function showMatrix(rows: readonly MatrixRow[], paint: Paint): string {
  const lines: string[] = [];
  for (const { kernel, programs } of rows) {
    const reasons = new Map<string, string[]>();
    for (const { program, accepted, reason = '' } of programs) {
      if (!accepted) reasons.set(reason, [...(reasons.get(reason) ?? []), program]);
    }
    const head = `Linux ${kernel}`.padEnd(HEAD);
    if (reasons.size === 0) lines.push(`${head}${paint.green('all accepted')}`);
    for (const [i, [reason, names]] of [...reasons].entries()) {
      const whose = names.length === programs.length && names.length > 1 ? `all ${names.length}` : few(names);
      lines.push(`${i === 0 ? head : ' '.repeat(HEAD)}${paint.red(whose)}: ${reason}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

const HEAD = 13;
/** Names that are told; of more it is said how many. */
const MANY = 4;

function few(names: readonly string[]): string {
  return names.length <= MANY
    ? names.join(', ')
    : `${names.slice(0, MANY - 1).join(', ')} and ${names.length - MANY + 1} more`;
}
