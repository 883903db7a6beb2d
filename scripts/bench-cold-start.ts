/**
 * How long a whole `skep disasm` of a small object takes, start-up included, beside `node -e 0` and `bpftool version`
 * in the same run, interleaved so that a busy machine weighs on all alike.
 *
 *     npm run build && npx tsx scripts/bench-cold-start.ts [ROUNDS]
 *
 * Prints medians, `figure cold_start_ms` and `figure cold_start_ratio` (to `node -e 0`).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';

const OBJECT = 'examples/syn_counter.o';
const CLI = 'dist/cli.js';
const WARM_UP = 3;

interface Contestant {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

function time({ name, command, args }: Contestant): number {
  const start = process.hrtime.bigint();
  const { status, error, stderr } = spawnSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const end = process.hrtime.bigint();
  if (error !== undefined || status !== 0)
    throw new Error(`${name} failed: ${error?.message ?? stderr.toString()}`);
  return Number(end - start) / 1e6;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

if (!existsSync(CLI)) {
  console.error(`${CLI} is missing: npm run build makes it`);
  process.exit(1);
}
const rounds = Number(process.argv[2] ?? 40);
const bpftool = spawnSync('bpftool', ['version']).status === 0;
const contestants: Contestant[] = [
  { name: 'node -e 0', command: process.execPath, args: ['-e', '0'] },
  { name: `skep disasm ${OBJECT}`, command: process.execPath, args: [CLI, 'disasm', OBJECT] },
  { name: 'skep --version', command: process.execPath, args: [CLI, '--version'] },
  ...(bpftool ? [{ name: 'bpftool version', command: 'bpftool', args: ['version'] }] : []),
];
const times = contestants.map((): number[] => []);
for (let round = -WARM_UP; round < rounds; round++) {
  for (const [i, contestant] of contestants.entries()) {
    const ms = time(contestant);
    if (round >= 0) times[i]!.push(ms);
  }
}
const medians = times.map(median);
console.log(
  `${OBJECT}: ${statSync(OBJECT).size} bytes; Node ${process.version}; medians of ${rounds} interleaved runs`,
);
for (const [i, { name }] of contestants.entries()) {
  console.log(`  ${medians[i]!.toFixed(1).padStart(7)} ms  ${name}`);
}
if (!bpftool) console.log('  bpftool is not installed and was left out');
console.log(`figure cold_start_ms ${medians[1]!.toFixed(1)}`);
console.log(`figure cold_start_ratio ${(medians[1]! / medians[0]!).toFixed(2)}`);
