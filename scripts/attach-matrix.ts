/**
 * Runs the attach matrix on this machine's kernel and writes its table into docs/attach.md; prints the figures. Needs root.
 *
 * `npm run attach:matrix [-- PART-OF-A-NAME]`; with a part of a name, only those cases are run and nothing is written.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import type { Row } from '../test/linux/matrix/row.ts';
import { runMatrix } from '../test/linux/matrix/start.ts';

const PAGE = join(import.meta.dirname, '../docs/attach.md');
const BEGIN = '<!-- matrix -->';
const END = '<!-- end -->';
const only = process.argv[2];
const rows = runMatrix(only);

const RESULT: Readonly<Record<Row['result'], (row: Row) => string>> = {
  works: ({ fired, note }) =>
    `works: ${fired} run${fired === 1 ? '' : 's'}${note === undefined ? '' : `, ${note}`}`,
  lacking: ({ errno, config, since }) =>
    `lacking: ${errno}, ${since === undefined ? `built without ${config}` : `since Linux ${since}`}`,
  forbidden: ({ errno }) => `forbidden: ${errno} at load`,
  wrong: ({ reason }) => `WRONG: ${reason}`,
};

function table(all: readonly Row[]): string {
  const lines = ['| hook | attached by | event | result |', '|--|--|--|--|'];
  for (const row of all)
    lines.push(`| ${row.name} | ${row.road} | ${row.event} | ${RESULT[row.result](row)} |`);
  return lines.join('\n');
}

const groups = [...new Set(rows.map(({ group }) => group))];
const text = groups
  .map(
    (group) =>
      `### ${group[0]!.toUpperCase()}${group.slice(1)}\n\n${table(rows.filter((row) => row.group === group))}`,
  )
  .join('\n\n');
const count = (result: Row['result']) => rows.filter((row) => row.result === result).length;

process.stdout.write(`${text}\n\n`);
if (only === undefined) {
  const page = readFileSync(PAGE, 'utf8');
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`${PAGE} has no place for the table`);
  const kernel = release().split('-')[0];
  const intro = `Linux ${kernel}: ${count('works')} of ${rows.length} work, ${count('lacking')} are lacking, ${count('forbidden')} forbidden.`;
  writeFileSync(PAGE, `${before}${BEGIN}\n\n${intro}\n\n${text}\n\n${END}${after}`);
}
for (const [name, value] of [
  ['attach_cases', rows.length],
  ['attach_works', count('works')],
  ['attach_lacking', count('lacking')],
  ['attach_forbidden', count('forbidden')],
  ['attach_wrong', count('wrong')],
] as const) {
  process.stdout.write(`figure ${name} ${value}\n`);
}
process.exitCode = count('wrong') === 0 ? 0 : 1;
