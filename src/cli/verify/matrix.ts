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
    const refused = programs.filter(({ accepted }) => !accepted);
    const verdict =
      refused.length === 0
        ? paint.green('all accepted')
        : refused.map(({ program, reason }) => `${paint.red(program)}: ${reason}`).join('; ');
    lines.push(`${`Linux ${kernel}`.padEnd(11)}  ${verdict}`);
  }
  return `${lines.join('\n')}\n`;
}
