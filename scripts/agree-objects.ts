/**
 * Verdicts, counts and level 2 logs of both verifiers over the programs of object files, line by line. Kernel addresses
 * are masked.
 *
 *     npx tsx scripts/agree-objects.ts FILE_OR_FOLDER… [--program NAME] [--diff] [--lines N] [--level N]
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { InputError } from '../src/base/error.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import { loadObject, parseObject } from '../src/loader/index.ts';
import { TwoKernels } from './agree-kernels.ts';
import { counts, linesAlike, masked, verdictMessage } from './agree-log.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    program: { type: 'string' },
    diff: { type: 'boolean', default: false },
    lines: { type: 'string', default: '12' },
    level: { type: 'string', default: '2' },
  },
});

function* objectFiles(): Generator<string> {
  for (const path of positionals) {
    if (!statSync(path).isDirectory()) yield path;
    else for (const name of readdirSync(path).sort()) if (name.endsWith('.o')) yield join(path, name);
  }
}

/** The first lines that differ, with what stands before them. */
function firstDifference(linux: string, skep: string, lines: number): string {
  const a = linux.split('\n');
  const b = skep.split('\n');
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  const from = Math.max(0, at - 4);
  const show = (log: string[], mark: string): string =>
    log
      .slice(at, at + lines)
      .map((line) => `${mark} ${line}`)
      .join('\n');
  return `${a
    .slice(from, at)
    .map((line) => `  ${line}`)
    .join('\n')}\n${show(a, '-')}\n${show(b, '+')}`;
}

const total = { programs: 0, agree: 0, counted: 0, lines: 0, same: 0, crashes: 0 };
const status = linuxStatus();
if (!status.ok) {
  console.log(`skipped: ${status.reason}`);
  process.exit(0);
}
using kernels = new TwoKernels(openLinux());
kernels.manner = { logLevel: Number(values.level) };
for (const file of objectFiles()) {
  const spec = parseObject(new Uint8Array(readFileSync(file)), basename(file));
  for (const { name } of spec.programs.values()) {
    if (values.program !== undefined && values.program !== name) continue;
    try {
      loadObject(kernels, spec, {
        programs: [name],
        maps: 'used',
        logLevel: kernels.manner.logLevel,
      }).close();
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
    const judged = kernels.judged.splice(0).at(-1);
    if (judged === undefined || (!judged.linux.accepted && judged.linux.log === '')) continue;
    total.programs++;
    const linux = masked(judged.linux.log);
    const skep = masked(judged.skep.log);
    const agree = judged.linux.accepted === judged.skep.accepted && judged.skep.crash === undefined;
    if (agree) total.agree++;
    if (judged.skep.crash !== undefined) total.crashes++;
    const alike = linesAlike(linux, skep);
    total.lines += alike.lines;
    total.same += alike.same;
    const [ours, theirs] = [counts(skep), counts(linux)];
    const same = JSON.stringify(ours) === JSON.stringify(theirs);
    if (same) total.counted++;
    const verdict = agree
      ? 'agree '
      : `linux ${judged.linux.accepted ? 'accepts' : `refuses: ${verdictMessage(linux)}`} skep ${judged.skep.accepted ? 'accepts' : `refuses: ${judged.skep.crash ?? verdictMessage(skep)}`}`;
    const share = ((100 * alike.same) / Math.max(1, alike.lines)).toFixed(1);
    console.log(
      `${basename(file)} ${name}: ${verdict} lines ${share}% counts ${same ? 'same' : `${JSON.stringify(theirs)} ${JSON.stringify(ours)}`}`,
    );
    if (values.diff && linux !== skep) console.log(firstDifference(linux, skep, Number(values.lines)));
  }
}
const percent = (part: number, whole: number): string => ((100 * part) / Math.max(1, whole)).toFixed(2);
console.log(`figure objects_programs ${total.programs}`);
console.log(`figure objects_verdict_percent ${percent(total.agree, total.programs)}`);
console.log(`figure objects_counts_percent ${percent(total.counted, total.programs)}`);
console.log(`figure objects_log2_lines_percent ${percent(total.same, total.lines)}`);
console.log(`figure objects_crashes ${total.crashes}`);
