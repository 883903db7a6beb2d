/**
 * Runs random sequences of map operations on the embedded kernel and on Linux and compares every answer. LRU maps are
 * run on CPU 0 alone, because what Linux drops from them depends on the CPU that asks.
 *
 * Usage: tsx scripts/fuzz-maps.ts [SEQUENCES-PER-TYPE] [FIRST-SEED] [TYPE...]
 *   JOBS=N   as many processes for the types whose operations wait for Linux (maps of maps); default 1
 */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createKernel } from '../src/kernel/index.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import type { MapType } from '../src/sys/index.ts';
import { compareSequence, LRU_TYPES, SEQUENCE_TYPES } from '../test/contract/sequences.ts';

const sequences = Number(process.argv[2] ?? 10_000);
const firstSeed = Number(process.argv[3] ?? 1);
const wanted = process.argv.slice(4);
const jobs = Number(process.env.JOBS ?? 1);
/** Most operations of a sequence. */
const length = (type: MapType) => (LRU_TYPES.some((lru) => lru === type) ? 400 : 24);
/** Linux waits for the end of running programs after each change of them. */
const waits = (type: MapType) => type.endsWith('_of_maps');

const status = linuxStatus();
if (!status.ok) {
  console.log(`skipped: ${status.reason}`);
  process.exit(0);
}
const types = SEQUENCE_TYPES.filter((type) => wanted.length === 0 || wanted.includes(type));
if (types.length === 0) throw new Error(`none of the types is known: ${wanted.join(' ')}`);
const onOneCpu = /^Cpus_allowed_list:\t0$/m.test(readFileSync('/proc/self/status', 'utf8'));
if (!onOneCpu && types.some((type) => LRU_TYPES.includes(type))) {
  const command = ['-c', '0', process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const { status: code, error } = spawnSync('taskset', command, { stdio: 'inherit' });
  if (error) throw error;
  process.exit(code ?? 1);
}
// Most answers are errnos: where they come from is no question.
Error.stackTraceLimit = 0;
using linux = openLinux();
using embedded = createKernel({ cpus: linux.possibleCpus });
let compared = 0;
let differences = 0;
let ran = 0;

/** The same for one type, in as many processes. @returns what they counted */
async function apart(type: MapType): Promise<void> {
  const share = Math.ceil(sequences / jobs);
  const parts = Array.from({ length: jobs }, (_, i) => Math.min(share, sequences - i * share));
  const outputs = parts.map((count, i) => {
    const args = [...process.execArgv, process.argv[1]!, String(count), String(firstSeed + i * share), type];
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, JOBS: '1' },
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    return new Promise<string>((resolve) => child.on('close', () => resolve(output)));
  });
  for (const output of await Promise.all(outputs)) {
    const figure = (name: string) => Number(new RegExp(`^figure ${name} (\\d+)$`, 'm').exec(output)?.[1]);
    const found = figure('mapfuzz_differences');
    if (Number.isNaN(found)) throw new Error(`a process of ${type} ended early: ${output}`);
    if (found > 0) console.log(output);
    compared += figure('mapfuzz_operations');
    ran += figure('mapfuzz_sequences');
    differences += found;
  }
}

function here(type: MapType): void {
  for (let i = 0; i < sequences; i++) {
    const result = compareSequence([embedded, linux], type, firstSeed + i, length(type));
    compared += result.compared;
    ran += 1;
    if (!result.difference) continue;
    differences += 1;
    if (differences <= 5) console.log(JSON.stringify(result.difference, null, 2));
  }
}

for (const type of types) {
  const before = compared;
  const start = performance.now();
  if (jobs > 1 && waits(type)) await apart(type);
  else here(type);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${type}: ${sequences} sequences, ${compared - before} operations, ${seconds} s`);
}
console.log(`figure mapfuzz_types ${types.length}`);
console.log(`figure mapfuzz_sequences ${ran}`);
console.log(`figure mapfuzz_operations ${compared}`);
console.log(`figure mapfuzz_differences ${differences}`);
process.exitCode = differences > 0 ? 1 : 0;
