/**
 * How long whole commands take, start-up included: `skep disasm` of a small object, and `skep map show` with the kernel process
 * warm, beside `node -e 0`, `bpftool version` and `bpftool map show` in the same run, interleaved so that a busy machine weighs
 * on all alike. Also the size of the package and how many packages it needs.
 *
 *     npm run build && npx tsx scripts/bench-cold-start.ts [ROUNDS]
 *
 * Prints medians, `figure cold_start_ms` and `figure cold_start_ratio` (to `node -e 0`), `figure warm_map_show_ms`,
 * `figure warm_map_show_ratio`, `figure package_kib`, `figure dependencies`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';

const OBJECT = 'examples/syn_counter.o';
const CLI = process.env.SKEP_CLI ?? 'dist/cli.js';
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
// A kernel of this run's own, with a map to show.
const instance = `bench${process.pid}`;
const warm = (args: readonly string[]) => [CLI, '--instance', instance, ...args];
const map = 'map create /sys/fs/bpf/m type hash key 4 value 4 entries 16 name m'.split(' ');
time({ name: 'skep map create', command: process.execPath, args: warm(map) });
const contestants: Contestant[] = [
  { name: 'node -e 0', command: process.execPath, args: ['-e', '0'] },
  { name: `skep disasm ${OBJECT}`, command: process.execPath, args: [CLI, 'disasm', OBJECT] },
  { name: 'skep --version', command: process.execPath, args: [CLI, '--version'] },
  { name: 'skep map show, warm', command: process.execPath, args: warm(['map', 'show']) },
  ...(bpftool
    ? [
        { name: 'bpftool version', command: 'bpftool', args: ['version'] },
        { name: 'bpftool map show', command: 'bpftool', args: ['map', 'show'] },
      ]
    : []),
];
const times = contestants.map((): number[] => []);
for (let round = -WARM_UP; round < rounds; round++) {
  for (const [i, contestant] of contestants.entries()) {
    const ms = time(contestant);
    if (round >= 0) times[i]!.push(ms);
  }
}
spawnSync(process.execPath, [CLI, 'kernel', 'stop', '--instance', instance]);
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
console.log(`figure warm_map_show_ms ${medians[3]!.toFixed(1)}`);
console.log(`figure warm_map_show_ratio ${(medians[3]! / medians[0]!).toFixed(2)}`);
const packed = spawnSync('npm', ['pack', '--dry-run', '--json'], { encoding: 'utf8' });
if (packed.status === 0) {
  const [{ unpackedSize }] = JSON.parse(packed.stdout) as [{ unpackedSize: number }];
  const { dependencies = {} } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    dependencies?: Record<string, string>;
  };
  console.log(`figure package_kib ${Math.round(unpackedSize / 1024)}`);
  console.log(`figure dependencies ${Object.keys(dependencies).length}`);
}
