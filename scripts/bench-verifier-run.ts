/**
 * The time that verification takes, skep's against Linux's own, in one run: big programs of Linux's selftests, and the
 * largest of Debian's libbpf-tools where they were fetched.
 *
 *     npm run bench:verifier [-- --rounds N] [--filter REGEX] [--corpora FOLDER]
 *
 * Linux says its time in the log (level 4); both figures are the best of the rounds. Of either the time of the processor
 * counts where it is less: on a machine that does something else too, the clock says too much. Instructions processed
 * and states kept at the peak are compared too: the same pruning gives the same numbers.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { InputError } from '../src/base/error.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import { loadObject, type ObjectSpec, parseObject } from '../src/loader/index.ts';
import { type Judgement, TwoKernels } from './agree-kernels.ts';
import { counts } from './agree-log.ts';
import { DEFAULT_CORPORA, prepareCorpora } from './corpora.ts';

/** Objects whose verification takes long; each program of them counts. */
const SELFTESTS = [
  'test_verif_scale2',
  'test_verif_scale3',
  'pyperf180',
  'pyperf600_nounroll',
  'loop1',
  'core_kern',
  'strobemeta',
];
/** How many of the largest programs of the tools. */
const TOOLS = 8;
/** A program is measured for at least so many milliseconds. */
const WARM_MS = 1500;
/** In each round after the first one, skep judges for about so long: what is translated while it runs takes long to be warm. */
const ROUND_MS = 25;
const MOST_TIMES = 20;
/** Shorter than this, Linux's own time says nothing. */
const LEAST_USEC = 50;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    filter: { type: 'string' },
    corpora: { type: 'string', default: DEFAULT_CORPORA },
  },
});

interface Candidate {
  readonly name: string;
  readonly spec: ObjectSpec;
  readonly program: string;
}

interface Measured {
  readonly name: string;
  readonly linuxUsec: number;
  readonly skepUsec: number;
  readonly firstUsec: number;
  readonly insns: readonly [linux: number, skep: number];
  readonly peak: readonly [linux: number, skep: number];
  readonly verdict: string;
}

function read(file: string, stem: string): Candidate[] {
  const spec = parseObject(new Uint8Array(readFileSync(file)), `${stem}.o`);
  return [...spec.programs.values()].map(({ name }) => ({ name: `${stem}:${name}`, spec, program: name }));
}

/** The largest programs among the tools', one of each object. */
function tools(folder: string): Candidate[] {
  if (!existsSync(folder)) return [];
  const sized: { readonly candidate: Candidate; readonly size: number }[] = [];
  for (const file of readdirSync(folder).filter((name) => name.startsWith('libbpf-tools'))) {
    const all = read(join(folder, file), file.replace(/^libbpf-tools\.|\.o$/g, ''));
    const best = all
      .map((candidate) => {
        const { func } = candidate.spec.programs.get(candidate.program)!;
        return { candidate, size: candidate.spec.functions[func]!.insns.length };
      })
      .sort((a, b) => b.size - a.size)[0];
    if (best) sized.push(best);
  }
  return sized
    .sort((a, b) => b.size - a.size)
    .map((s) => s.candidate)
    .slice(0, 3 * TOOLS);
}

/** Loads on both. @returns what both said, or `undefined` when the program did not reach Linux's verifier */
function judge(kernels: TwoKernels, { spec, program }: Candidate): Judgement | undefined {
  const free = [...spec.maps.values()].filter((map) => map.maxEntries === 0);
  try {
    loadObject(kernels, spec, {
      programs: [program],
      maps: 'used',
      logLevel: 4,
      maxEntries: Object.fromEntries(
        free.filter((map) => /hash|array$/.test(map.type)).map((map) => [map.name, 1024]),
      ),
    }).close();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
  }
  return kernels.judged.splice(0).at(-1);
}

const usecOf = (log: string): number => Number(/^verification time (\d+) usec/m.exec(log)?.[1] ?? Number.NaN);

function measure(kernels: TwoKernels, candidate: Candidate, rounds: number): Measured | undefined {
  let linuxUsec = Number.POSITIVE_INFINITY;
  let skepUsec = Number.POSITIVE_INFINITY;
  let firstUsec = 0;
  let last: Judgement | undefined;
  // Both are fastest when they are warm: what takes little is done often.
  const start = performance.now();
  for (let round = 0; round < rounds || performance.now() - start < WARM_MS; round++) {
    const times = round === 0 ? 1 : Math.min(Math.ceil((ROUND_MS * 1000) / skepUsec), MOST_TIMES);
    kernels.manner = { logLevel: 4, skepRounds: times };
    last = judge(kernels, candidate);
    const usec = last && usecOf(last.linux.log);
    if (!last || usec === undefined || Number.isNaN(usec)) return undefined;
    linuxUsec = Math.min(linuxUsec, usec, (last.linux.cpuMs ?? Number.POSITIVE_INFINITY) * 1000);
    skepUsec = Math.min(skepUsec, ...last.skepMs.map((ms) => ms * 1000));
    if (round === 0) firstUsec = skepUsec;
  }
  const [linux, skep] = [counts(last!.linux.log), counts(last!.skep.log)];
  const verdict = (accepted: boolean): string => (accepted ? 'accepted' : 'refused');
  return {
    name: candidate.name,
    linuxUsec,
    skepUsec,
    firstUsec,
    insns: [linux?.insns ?? 0, skep?.insns ?? 0],
    peak: [linux?.peakStates ?? 0, skep?.peakStates ?? 0],
    verdict:
      last!.linux.accepted === last!.skep.accepted
        ? verdict(last!.linux.accepted)
        : `Linux ${verdict(last!.linux.accepted)}, skep ${verdict(last!.skep.accepted)}`,
  };
}

const mean = (ratios: readonly number[]): number =>
  Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);

async function main(): Promise<number> {
  const status = linuxStatus();
  if (!status.ok) {
    console.log(`skipped: ${status.reason}`);
    return 0;
  }
  const corpora = await prepareCorpora(values.corpora);
  for (const reason of corpora.missing) console.log(`skipped: ${reason}`);
  const filter = new RegExp(values.filter ?? '');
  const selftests = SELFTESTS.flatMap((stem) => {
    const file = join(corpora.objects, `${stem}.bpf.o`);
    return existsSync(file) ? read(file, stem) : [];
  });
  const large = tools(process.env.SKEP_DEBIAN_OBJECTS ?? join(values.corpora, 'debian'));
  using kernels = new TwoKernels(openLinux());
  const measured: Measured[] = [];
  let toolsDone = 0;
  console.log(
    'program                                      Linux µs    skep µs  ratio  (first)      insns       peak',
  );
  for (const candidate of [...selftests, ...large]) {
    if (!filter.test(candidate.name)) continue;
    const isTool = large.includes(candidate);
    if (isTool && toolsDone >= TOOLS) break;
    const row = measure(kernels, candidate, Number(values.rounds));
    if (!row || row.linuxUsec < LEAST_USEC) continue;
    if (isTool) toolsDone++;
    measured.push(row);
    const pair = ([linux, skep]: readonly [number, number]): string =>
      (linux === skep ? `${linux}` : `${linux}→${skep}`).padStart(11);
    console.log(
      `${row.name.slice(0, 42).padEnd(42)} ${String(row.linuxUsec).padStart(10)} ` +
        `${row.skepUsec.toFixed(0).padStart(10)} ${(row.skepUsec / row.linuxUsec).toFixed(2).padStart(6)} ` +
        `${(row.firstUsec / row.linuxUsec).toFixed(1).padStart(8)} ${pair(row.insns)} ${pair(row.peak)}  ${row.verdict}`,
    );
  }
  if (measured.length === 0) {
    console.error('nothing was measured');
    return corpora.missing.length > 0 ? 0 : 1;
  }
  const far = ([linux, skep]: readonly [number, number]): number =>
    Math.abs(skep / Math.max(linux, 1) - 1) * 100;
  const both = measured.filter((m) => !m.verdict.includes(','));
  console.log(`figure verify_programs ${measured.length}`);
  console.log(`figure verify_same_verdict ${both.length}`);
  console.log(`figure verify_time_ratio ${mean(both.map((m) => m.skepUsec / m.linuxUsec)).toFixed(2)}`);
  console.log(
    `figure verify_first_time_ratio ${mean(both.map((m) => m.firstUsec / m.linuxUsec)).toFixed(2)}`,
  );
  console.log(
    `figure verify_insns_worst_percent ${Math.max(...measured.map((m) => far(m.insns))).toFixed(1)}`,
  );
  console.log(`figure verify_peak_worst_percent ${Math.max(...measured.map((m) => far(m.peak))).toFixed(1)}`);
  console.log(`figure verify_heap_mb ${(process.memoryUsage().rss / 2 ** 20).toFixed(0)}`);
  return 0;
}

process.exitCode = await main();
