/**
 * Runs random sequences of map operations on the embedded kernel and on Linux and compares every answer. Runs on CPU 0
 * alone, because what an LRU map of Linux drops depends on the CPU that asks.
 *
 * Usage: tsx scripts/fuzz-maps.ts [SEQUENCES-PER-TYPE] [FIRST-SEED] [TYPE...]
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createKernel } from '../src/kernel/index.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import { compareSequence, LRU_TYPES, SEQUENCE_TYPES } from '../test/contract/sequences.ts';

const sequences = Number(process.argv[2] ?? 10_000);
const firstSeed = Number(process.argv[3] ?? 1);
const wanted = process.argv.slice(4);
/** Operations of a sequence; an LRU map must fill up before anything happens. */
const length = (type: string) => (LRU_TYPES.some((lru) => lru === type) ? 400 : 40);

const status = linuxStatus();
if (!status.ok) {
  console.log(`skipped: ${status.reason}`);
  process.exit(0);
}
if (!/^Cpus_allowed_list:\t0$/m.test(readFileSync('/proc/self/status', 'utf8'))) {
  const command = ['-c', '0', process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const { status: code, error } = spawnSync('taskset', command, { stdio: 'inherit' });
  if (error) throw error;
  process.exit(code ?? 1);
}
const types = SEQUENCE_TYPES.filter((type) => wanted.length === 0 || wanted.includes(type));
if (types.length === 0) throw new Error(`none of the types is known: ${wanted.join(' ')}`);
using linux = openLinux();
using embedded = createKernel({ cpus: linux.possibleCpus });
let compared = 0;
let differences = 0;
for (const type of types) {
  const before = compared;
  const start = performance.now();
  for (let i = 0; i < sequences; i++) {
    const result = compareSequence([embedded, linux], type, firstSeed + i, length(type));
    compared += result.compared;
    if (!result.difference) continue;
    differences += 1;
    if (differences <= 5) console.log(JSON.stringify(result.difference, null, 2));
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${type}: ${sequences} sequences, ${compared - before} operations, ${seconds} s`);
}
console.log(`figure mapfuzz_operations ${compared}`);
console.log(`figure mapfuzz_differences ${differences}`);
process.exitCode = differences > 0 ? 1 : 0;
