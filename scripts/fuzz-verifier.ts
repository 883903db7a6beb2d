/**
 * Holds skep's verifier against Linux's on programs that a typed generator makes up.
 *
 *     npm run fuzz:verifier [-- N] [--seed S] [--mutate [--only REGEX] [--words SHARE]] [--run SHARE] [--show N]
 *
 * Each program has a seed of its own (S, S + 1, …), which is printed with every disagreement, beside the smallest program
 * that still disagrees. `softer` is accepted by skep and refused by Linux, `harder` the other way. Accepted programs whose
 * results do not depend on time, chance or addresses run in both kernels, on random packets: results and maps are compared.
 *
 * With `--mutate` the programs are changed copies of real ones: Linux's selftests and test_verifier, Debian's objects, this
 * project's examples. What is asked first is that there is an answer: one that takes 10 s of
 * processor time or 1 GiB is a failure, and so is
 * an exception. Verdicts are compared too, and of a share the words.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { linuxStatus } from '../src/linux/index.ts';
import { bundle } from './fuzz-verifier-bundle.ts';
import type { Finding, FuzzCounts, FuzzOrder, FuzzReport } from './fuzz-verifier-worker.ts';

const HEAP_MB = 1024;
/** The worker times programs itself. One that shows no progress for so long, on a busy machine too, hangs. */
const SILENCE_MS = 240_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' },
    mutate: { type: 'boolean', default: false },
    run: { type: 'string', default: '1' },
    show: { type: 'string', default: '20' },
    only: { type: 'string' },
    words: { type: 'string', default: '0.05' },
  },
});

interface Tally {
  readonly counts: { -readonly [K in keyof FuzzCounts]: number };
  megabytes: number;
  readonly findings: Finding[];
}

/** Runs from a seed on. @returns the seed that the process did not survive, or `undefined` */
function once(
  worker: string,
  order: FuzzOrder,
  tally: Tally,
  show: (finding: Finding) => void,
): Promise<number | undefined> {
  const child = fork(worker, {
    execArgv: [`--max-old-space-size=${HEAP_MB}`, '--enable-source-maps'],
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
  return new Promise((resolve, reject) => {
    let at = -1;
    let since = performance.now();
    let stderr = '';
    let ended = false;
    let hung = false;
    // Interrupted, it tells of what was done so far.
    const stop = (): void => {
      ended = true;
      child.kill();
    };
    process.once('SIGINT', stop).once('SIGTERM', stop);
    const timer = setInterval(() => {
      const now = seedAt(order.progressFile);
      if (now !== at) {
        at = now;
        since = performance.now();
      } else if (performance.now() - since > SILENCE_MS) {
        hung = true;
        child.kill('SIGKILL');
      }
    }, 1000);
    child.stderr!.on('data', (data: Buffer) => {
      stderr = (stderr + data.toString()).slice(-4000);
    });
    child.on('message', (report: FuzzReport) => {
      if (report.kind === 'counts') {
        for (const name of Object.keys(report.counts) as (keyof FuzzCounts)[])
          tally.counts[name] += report.counts[name];
        tally.megabytes = Math.max(tally.megabytes, report.megabytes);
      } else if (report.kind === 'finding') {
        tally.findings.push(report.finding);
        show(report.finding);
      } else {
        ended = true;
        child.kill();
      }
    });
    child.on('exit', () => {
      clearInterval(timer);
      process.off('SIGINT', stop).off('SIGTERM', stop);
      if (ended) return resolve(undefined);
      const seed = seedAt(order.progressFile);
      if (seed < order.first) return reject(new Error(`the worker did not start: ${stderr}`));
      const cause = hung ? `no answer in ${SILENCE_MS / 1000} s` : `the process ended: ${stderr.slice(-400)}`;
      const finding: Finding = { seed, outcome: 'crash', cause, text: cause };
      tally.findings.push(finding);
      show(finding);
      return resolve(seed);
    });
    child.send(order);
  });
}

function seedAt(file: string): number {
  try {
    const bytes = readFileSync(file);
    return bytes.length < 8 ? -1 : bytes.readDoubleLE(0);
  } catch {
    return -1;
  }
}

async function main(): Promise<number> {
  const status = linuxStatus();
  if (!status.ok) {
    console.log(`skipped: ${status.reason}`);
    return 0;
  }
  const count = Number(positionals[0] ?? 20_000);
  const first = Number(values.seed);
  const folder = mkdtempSync(join(tmpdir(), 'skep-fuzz-verifier-'));
  const worker = await bundle(values.mutate ? 'fuzz-verifier-mutants.ts' : 'fuzz-verifier-worker.ts');
  const tally: Tally = {
    counts: { done: 0, accepted: 0, ran: 0, compared: 0, sameWords: 0 },
    megabytes: 0,
    findings: [],
  };
  const started = performance.now();
  const perSecond = (): number => tally.counts.done / ((performance.now() - started) / 1000);
  const progress = setInterval(() => {
    if (!process.stderr.isTTY) return;
    const left = (count - tally.counts.done) / Math.max(1, perSecond());
    process.stderr.write(
      `\r\x1b[K${tally.counts.done} of ${count} · ${perSecond().toFixed(0)}/s · ${left.toFixed(0)} s left · ` +
        `${tally.findings.length} findings`,
    );
  }, 500);
  let shown = 0;
  const show = (finding: Finding): void => {
    if (finding.text === '' || shown++ >= Number(values.show)) return;
    console.log(`\n${finding.outcome} · seed ${finding.seed} · ${finding.cause}\n${finding.text}`);
  };
  try {
    // Mutants are numbered from 0: a seed makes others of the same programs.
    const start = values.mutate ? 0 : first;
    for (let from = start; from < start + count; ) {
      const order: FuzzOrder = {
        seed: first,
        first: from,
        count,
        runShare: Number(values.run),
        wordsShare: Number(values.words),
        ...(values.only !== undefined && { only: values.only }),
        progressFile: join(folder, 'seed'),
        known: tally.findings.map((f) => `${f.outcome} ${f.cause}`),
      };
      const stuck = await once(worker.file, order, tally, show);
      if (stuck === undefined) break;
      from = stuck + 1;
    }
  } finally {
    clearInterval(progress);
    rmSync(folder, { recursive: true, force: true });
    worker.remove();
  }
  return report(tally, perSecond());
}

function report(tally: Tally, perSecond: number): number {
  const { done, accepted, ran, compared, sameWords } = tally.counts;
  const of = (outcome: Finding['outcome']): number =>
    tally.findings.filter((f) => f.outcome === outcome).length;
  for (const outcome of ['softer', 'harder', 'crash', 'run', 'words'] as const) {
    const causes = new Map<string, Finding[]>();
    for (const finding of tally.findings)
      if (finding.outcome === outcome)
        causes.set(finding.cause, [...(causes.get(finding.cause) ?? []), finding]);
    if (causes.size === 0) continue;
    console.log(`\n${outcome}: ${of(outcome)}`);
    for (const [cause, list] of [...causes].sort((a, b) => b[1].length - a[1].length))
      console.log(`  ${String(list.length).padStart(6)}  ${cause}  (seed ${list[0]!.seed})`);
  }
  const percent = (part: number, whole: number): string => ((100 * part) / Math.max(1, whole)).toFixed(2);
  const million = (n: number): string => ((n * 1e6) / Math.max(1, done)).toFixed(1);
  const prefix = values.mutate ? 'mutated' : 'fuzz';
  const figures: [string, string | number][] = [
    ['programs', done],
    ['accepted_percent', percent(accepted, done)],
    ['softer', of('softer')],
    ['harder_per_million', million(of('harder'))],
    ['failures', of('crash')],
    ['peak_mb', tally.megabytes.toFixed(0)],
    ['per_second', perSecond.toFixed(0)],
  ];
  if (values.mutate) figures.push(['same_words_percent', percent(sameWords, compared)]);
  else figures.push(['runs', ran], ['run_differences', of('run')]);
  for (const [name, value] of figures) console.log(`figure ${prefix}_${name} ${value}`);
  if (done === 0) {
    console.error('no program was judged');
    return 1;
  }
  return of('softer') + of('crash') + of('run') > 0 ? 1 : 0;
}

process.exitCode = await main();
