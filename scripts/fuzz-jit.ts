/**
 * Generates programs that the verifier accepts and runs each compiled, interpreted and in Linux, over random packets and map
 * contents: the returned value, the packet, the maps and the ring buffer's records must come out the same.
 *
 *     npm run fuzz:jit [-- --programs N] [--seed S] [--workers N] [--runs N] [--show N]
 *
 * Program number i has the seed S + i, which is printed with a difference: `--seed THAT --programs 1` does it again. Each is
 * run on three packets, the maps filled anew before the first. Without bpf(2), Linux is left out, which is said. Programs
 * that Linux refuses and skep accepts, or the other way, are counted and shown as well: they are the verifier's.
 * Prints `figure jit_programs`, `figure jit_linux_programs` (those of them that ran in Linux too) and
 * `figure jit_differences`; exit code 1 when a program differs or none was accepted.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { InputError } from '../src/base/error.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import type { Fd } from '../src/sys/index.ts';
import { fuzzText, PACKET_BYTES } from './fuzz-jit-generate.ts';
import { assemble, randomContents, Side } from './fuzz-jit-sides.ts';
import { Random } from './fuzz-program.ts';

const { values } = parseArgs({
  options: {
    programs: { type: 'string', default: '200000' },
    seed: { type: 'string', default: '1' },
    workers: { type: 'string', default: '1' },
    runs: { type: 'string', default: '3' },
    show: { type: 'string', default: '10' },
    /** Of a worker: what it was bound to. */
    cpu: { type: 'string' },
  },
});
const wanted = Number(values.programs);
const first = Number(values.seed);

/** What a worker has done, a line of JSON each. */
interface Progress {
  readonly done: number;
  readonly accepted: number;
  readonly linux: number;
  /** One verifier accepts it, the other does not. */
  readonly disagreements: number;
  readonly differences: number;
  readonly text?: string;
}

/** Programs between two reports. */
const REPORT = 500;
/** Programs after which the maps are new: a Bloom filter is never emptied. */
const FRESH = 2000;

function work(cpu: number): void {
  const status = linuxStatus();
  const cpus = status.ok ? openLinux().possibleCpus : 2;
  const begin = (): readonly Side[] => [
    new Side('compiled', cpus, Math.min(cpu, cpus - 1)),
    new Side('interpreted', cpus, Math.min(cpu, cpus - 1)),
    ...(status.ok ? [new Side('Linux', cpus, cpu)] : []),
  ];
  let sides = begin();
  const again = () => {
    for (const side of sides) side.close();
    sides = begin();
  };
  let counts = { done: 0, accepted: 0, linux: 0, disagreements: 0, differences: 0 };
  const report = (text?: string) => {
    console.log(JSON.stringify({ ...counts, ...(text !== undefined && { text }) } satisfies Progress));
    counts = { done: 0, accepted: 0, linux: 0, disagreements: 0, differences: 0 };
  };
  for (let i = 0; i < wanted; i++) {
    if (i % FRESH === FRESH - 1) again();
    const seed = first + i;
    const found = one(seed, sides, cpus);
    counts.done++;
    if (found.accepted) counts.accepted++;
    if (found.accepted && status.ok) counts.linux++;
    if (found.problem !== undefined) {
      if (found.accepted) counts.differences++;
      else counts.disagreements++;
      report(`seed ${seed}: ${found.problem}`);
      // The maps of the sides are no longer alike in what can't be emptied.
      again();
    } else if (counts.done === REPORT) report();
  }
  report();
}

/** Judges and runs one program. */
function one(
  seed: number,
  sides: readonly Side[],
  cpus: number,
): { readonly accepted: boolean; readonly problem?: string } {
  const { type, text } = fuzzText(seed);
  const code = assemble(type, text);
  const fds: Fd[] = [];
  let refusal: string | undefined;
  for (const side of sides) {
    try {
      fds.push(side.load(code));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      refusal ??= `${side.name} refuses it: ${error.message.slice(-600)}`;
    }
  }
  const unload = () => {
    if (fds.length === sides.length) for (const [i, side] of sides.entries()) side.unload(fds[i]!);
  };
  if (refusal !== undefined) {
    return { accepted: false, ...(fds.length > 0 && { problem: `${refusal}\n${text}` }) };
  }
  const random = new Random(~seed);
  const contents = randomContents(random, cpus);
  for (const side of sides) side.fill(contents);
  for (let run = 0; run < Number(values.runs); run++) {
    const packet = Uint8Array.from({ length: PACKET_BYTES }, () =>
      random.pick([0, 1, 127, 128, 255, random.below(256)]),
    );
    // A classifier's packet is looked at before it runs.
    if (type === 'sched_cls') packet.set([8, 0, 0x45], 12);
    const results = sides.map((side, i) => side.run(fds[i]!, packet));
    const last = run === Number(values.runs) - 1;
    const seen = sides.map((side, i) => (last ? `${results[i]}\n${side.contents()}` : results[i]!));
    if (seen.every((result) => result === seen[0])) continue;
    unload();
    const shown = sides.map((side, i) => `--- ${side.name}\n${difference(seen, i)}`).join('\n');
    return { accepted: true, problem: `packet ${Buffer.from(packet).toString('hex')}\n${shown}\n${text}` };
  }
  unload();
  return { accepted: true };
}

/** The lines of a result that another lacks. */
function difference(seen: readonly string[], index: number): string {
  const others = seen.map((text) => text.split('\n'));
  return others[index]!.filter((line, i) => others.some((lines) => lines[i] !== line)).join('\n');
}

async function main(): Promise<void> {
  const status = linuxStatus();
  if (!status.ok) console.log(`left out: Linux: ${status.reason}`);
  const workers = Math.max(1, Number(values.workers));
  const share = Math.ceil(wanted / workers);
  const total = { done: 0, accepted: 0, linux: 0, disagreements: 0, differences: 0 };
  let shown = 0;
  const begin = performance.now();
  let said = 0;
  const read = (line: string) => {
    const progress = JSON.parse(line) as Progress;
    for (const key of ['done', 'accepted', 'linux', 'disagreements', 'differences'] as const) {
      total[key] += progress[key];
    }
    if (progress.text !== undefined && shown++ < Number(values.show)) console.log(`${progress.text}\n`);
    if (total.done - said < 10_000) return;
    said = total.done;
    const seconds = (performance.now() - begin) / 1000;
    console.error(`${total.done} programs, ${total.differences} differences, ${seconds.toFixed(0)} s`);
  };
  const cpus = status.ok ? allowedCpus() : [0];
  const codes = await Promise.all(
    Array.from({ length: workers }, (_, worker) => {
      const cpu = cpus[worker % cpus.length]!;
      const start = first + worker * share;
      const count = Math.min(share, first + wanted - start);
      const own = ['--cpu', String(cpu), '--seed', String(start), '--programs', String(count)];
      const args = [...process.execArgv, import.meta.filename, ...own, '--runs', values.runs];
      // A per-CPU value is compared slot by slot: the process must stay on one CPU.
      const bound = status.ok ? ['taskset', '-c', String(cpu)] : [];
      const [command = '', ...rest] = [...bound, process.execPath, ...args];
      const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
      createInterface(child.stdout).on('line', read);
      return new Promise<number>((resolve, reject) => {
        child.on('error', reject);
        child.on('close', (code) => resolve(code ?? 1));
      });
    }),
  );
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  console.log(
    `${total.done} programs in ${seconds} s: ${total.accepted} accepted and run, ` +
      `${total.disagreements} on which the verifiers disagree`,
  );
  console.log(`figure jit_programs ${total.accepted}`);
  console.log(`figure jit_linux_programs ${total.linux}`);
  console.log(`figure jit_differences ${total.differences}`);
  if (total.differences > 0 || total.accepted === 0 || codes.some((code) => code !== 0)) process.exitCode = 1;
}

/** The CPUs that this process may run on. */
function allowedCpus(): number[] {
  const list = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return list.split(',').flatMap((range) => {
    const [from, to = from] = range.split('-').map(Number);
    return Array.from({ length: to! - from! + 1 }, (_, i) => from! + i);
  });
}

if (values.cpu !== undefined) work(Number(values.cpu));
else await main();
