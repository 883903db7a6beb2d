/**
 * Runs random sequences of map operations on the embedded kernel and on Linux and compares every answer.
 *
 * Usage: tsx scripts/fuzz-maps.ts [SEQUENCES-PER-TYPE] [FIRST-SEED]
 */
import { createKernel } from '../src/kernel/index.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import { compareSequence, SEQUENCE_TYPES } from '../test/contract/sequences.ts';

const sequences = Number(process.argv[2] ?? 10_000);
const firstSeed = Number(process.argv[3] ?? 1);
const LENGTH = 40;

const status = linuxStatus();
if (!status.ok) {
  console.log(`skipped: ${status.reason}`);
  process.exit(0);
}
using linux = openLinux();
using embedded = createKernel({ cpus: linux.possibleCpus });
let compared = 0;
let differences = 0;
for (const type of SEQUENCE_TYPES) {
  const before = compared;
  const start = performance.now();
  for (let i = 0; i < sequences; i++) {
    const result = compareSequence([embedded, linux], type, firstSeed + i, LENGTH);
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
