/** A program's report as text for a person, with source beside instructions. */
import type { Place } from '../../kernel/judge.ts';
import type { ProgramReport, Stats } from './report.ts';

/** Colours, or none. */
export interface Paint {
  readonly bold: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly dim: (text: string) => string;
}

const code =
  (start: number, end: number) =>
  (text: string): string =>
    `\x1b[${start}m${text}\x1b[${end}m`;
const plain = (text: string): string => text;

export const COLOURS: Paint = { bold: code(1, 22), red: code(31, 39), green: code(32, 39), dim: code(2, 22) };
export const NO_COLOURS: Paint = { bold: plain, red: plain, green: plain, dim: plain };

const INDENT = '    ';

export function showProgram(report: ProgramReport, paint: Paint): string {
  const lines = [headline(report, paint)];
  for (const note of report.notes ?? []) lines.push(`  note: ${note}`);
  if (report.diagnosis) lines.push(...showDiagnosis(report.diagnosis, paint));
  if (report.linux && !report.linux.agrees) {
    const { release, accepted, message, errno } = report.linux;
    const refusal = accepted === undefined ? 'has no verdict' : 'refuses it';
    const why = errno === undefined ? message : `${message} (${errno})`;
    lines.push(`  Linux ${release} ${accepted ? 'accepts it' : `${refusal}: ${why}`}`);
  }
  if (report.stats) lines.push(...showStats(report.stats, paint));
  if (report.log) lines.push(report.log.trimEnd());
  return `${lines.join('\n')}\n`;
}

function headline(report: ProgramReport, paint: Paint): string {
  const name = paint.bold(report.program);
  if (report.error !== undefined) return `${name}: ${paint.red('no verdict')}: ${report.error}`;
  const linux = report.linux?.agrees ? `; Linux ${report.linux.release} agrees` : '';
  if (report.accepted) {
    const { counts, stack_depth = [] } = report;
    const work = counts ? `${counts.processed} instructions, ${counts.total_states} states` : '';
    const stack = stack_depth.length > 0 ? `, stack ${stack_depth.join('+')}` : '';
    return `${name}: ${paint.green('accepted')} (${work}${stack})${linux}`;
  }
  return `${name}: ${paint.red('refused')}: ${report.diagnosis?.title}: ${report.diagnosis?.problem} (${report.diagnosis?.errno})${linux}`;
}

function showDiagnosis(found: NonNullable<ProgramReport['diagnosis']>, paint: Paint): string[] {
  const lines: string[] = [];
  if (found.reason !== found.problem) lines.push(`  ${paint.bold(found.reason)}`);
  // A kernel that lacks the type of program lacks it everywhere in it.
  if (!/^the (program|attach) type /.test(found.reason)) {
    lines.push('  where', ...place(found.at, paint, paint.red('error')));
  }
  for (const { register, value, says } of found.registers) {
    lines.push(`${INDENT}${register} is ${says} ${paint.dim(`(${value})`)}`);
  }
  if (found.causes.length > 0) {
    lines.push(
      `  how it came to that${found.path_length > 0 ? ` (a path of ${found.path_length} instruction${found.path_length === 1 ? '' : 's'})` : ''}`,
    );
    let shown: string | undefined;
    for (const cause of found.causes) {
      const source = sourceText(cause);
      if (source !== undefined && source !== shown) lines.push(`${INDENT}${paint.bold(source)}`);
      shown = source ?? shown;
      // What a function begins with is no instruction's doing.
      const text =
        cause.kind === 'enter'
          ? `at the beginning of ${cause.function ?? 'the program'}()`
          : `${cause.insn}: ${cause.text}`;
      lines.push(`${INDENT}  ${paint.dim(text)}`, `${INDENT}      ${cause.says}`);
    }
  }
  if (found.suggestion !== undefined) lines.push(`  ${paint.green('mend')}: ${found.suggestion}`);
  return lines;
}

function place(at: Place, paint: Paint, mark: string): string[] {
  const source = sourceText(at);
  const where = at.function === undefined ? '' : paint.dim(` in ${at.function}()`);
  return [
    ...(source === undefined ? [] : [`${INDENT}${paint.bold(source)}${where}`]),
    `${INDENT}  ${at.insn}: ${at.text}  ${paint.dim('<--')} ${mark}`,
  ];
}

function sourceText({ source }: Place): string | undefined {
  if (source === undefined) return undefined;
  return `${source.file.slice(source.file.lastIndexOf('/') + 1)}:${source.line}  ${source.text.trim()}`;
}

function showStats({ lines, loops }: Stats, paint: Paint): string[] {
  const out = ['  processed   states   pruned  source line'];
  for (const { file, line, text, processed, states, pruned } of lines) {
    const where = file === '' ? '' : `${file.slice(file.lastIndexOf('/') + 1)}:${line} `;
    const numbers = [processed, states, pruned].map((n, i) => String(n).padStart(i === 0 ? 11 : 9)).join('');
    out.push(`${numbers}  ${paint.dim(where)}${text}`);
  }
  for (const { first, last, processed, file, first_line, last_line } of loops) {
    const where =
      file === undefined ? '' : ` (${file.slice(file.lastIndexOf('/') + 1)}:${first_line} to ${last_line})`;
    out.push(`  the loop of instructions ${first} to ${last}${where} took ${processed}`);
  }
  return out;
}
