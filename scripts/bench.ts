/**
 * How fast compiled programs run: next to Linux's JIT and to native C, in one interleaved run.
 *
 *     npm run bench [-- --rounds N] [--row NAME]... [--object NAME]... [--json]
 *
 * Rows are the programs of `bench/`. The Linux column (PROG_TEST_RUN with repeat) needs bpf(2), the native one clang;
 * what is left out is said. What a run costs beside its program is measured with an empty program on both kernels and
 * subtracted; the rows of maps, one operation on 10,000 entries each, are net of the loop around it, which has a row of its
 * own. Times are of the processor, not of the clock on the wall, so that other work on the machine counts less; numbers
 * are medians over the rounds. Prints `figure` lines:
 *
 *   compute_ratio        geometric mean of ours over Linux's, of the rows marked with *
 *   compute_ratio_worst  the worst of these rows and of the calls of subprograms
 *   native_ratio         the same mean of native C over Linux's
 *   parse_ns             one packet parsed, the loop over packets included
 *   tailcall_ns, helper_ns    one tail call; get_smp_processor_id
 *   prandom_ns, ktime_ns, host_call_ns    get_prandom_u32; ktime_get_ns; get_current_pid_tgid, which is JavaScript
 *   array_ns, hash4_ns, …  one operation on a map
 *   compile500_ms, compile45k_ms    translating and instantiating a program of so many instructions
 *   first_packet_ms, node_ms, first_packet_ratio    a whole `skep run` of a small object, `node -e 0` beside it
 */
import { parseArgs } from 'node:util';
import { createKernel } from '../src/kernel/index.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import { compileTime, processTimes } from './bench-compile.ts';
import { ROWS, TOO_SHORT } from './bench-rows.ts';
import { median, Native, Side } from './bench-sides.ts';

const CPUS = 2;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    row: { type: 'string', multiple: true },
    object: { type: 'string', multiple: true },
    json: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const leftOut: string[] = [];

const asked = new Set(values.row);
const everything = asked.size === 0 && values.object === undefined;
for (const { name, object } of ROWS) if (everything || values.object?.includes(object)) asked.add(name);
for (const row of ROWS) if (row.loop !== undefined && asked.has(row.name)) asked.add(row.loop);
const rows = ROWS.filter(({ name }) => asked.delete(name));
if (asked.size > 0 || rows.length === 0) {
  console.error(
    `there is no row ${[...asked].join(', ')}; there are: ${ROWS.map(({ name }) => name).join(', ')}`,
  );
  process.exit(2);
}

const embedded = createKernel({ cpus: CPUS });
const ours = new Side(embedded, rows);
const status = linuxStatus();
const linux = status.ok ? openLinux() : undefined;
const theirs = linux && new Side(linux, rows);
if (!status.ok) leftOut.push(`Linux: ${status.reason}`);
using native = new Native();
if (native.problem !== undefined) leftOut.push(`native: ${native.problem}`);

for (const side of [ours, theirs]) for (const runner of side?.all() ?? []) runner.warm();
for (let round = 0; round < rounds; round++) {
  ours.empty.measure();
  theirs?.empty.measure();
  for (const row of rows) {
    const runner = ours.runners.get(row.name)!;
    runner.measure();
    theirs?.runners.get(row.name)?.measure();
    if (native.problem !== undefined || !row.native) continue;
    const result = native.measure(row, runner.times.at(-1)!);
    if (result !== runner.retval) throw new Error(`${row.name}: native ${result}, compiled ${runner.retval}`);
  }
}
for (const { name } of rows) {
  const mine = ours.runners.get(name)?.retval;
  const his = theirs?.runners.get(name)?.retval;
  if (his !== undefined && mine !== his) throw new Error(`${name}: Linux ${his}, compiled ${mine}`);
}

const table = rows.map((row) => {
  const each = row.per ?? 1;
  const nativeTimes = native.times.get(row.name);
  const mine = ours.net(row) / each;
  const his = theirs && theirs.net(row) / each;
  return {
    ...row,
    ours: mine,
    linux: his,
    native: nativeTimes && median(nativeTimes) / each,
    ratio: his === undefined || TOO_SHORT.has(row.name) ? undefined : mine / his,
  };
});

const figures = new Map<string, number>();
const geometric = (numbers: readonly number[]): number =>
  Math.exp(numbers.reduce((sum, number) => sum + Math.log(number), 0) / numbers.length);
const computed = table.filter((row) => row.compute && row.ratio !== undefined);
if (computed.length > 0) figures.set('compute_ratio', geometric(computed.map(({ ratio }) => ratio!)));
const worst = table.filter((row) => row.object === 'compute' && row.ratio !== undefined);
if (worst.length > 0) figures.set('compute_ratio_worst', Math.max(...worst.map(({ ratio }) => ratio!)));
const natives = computed.filter((row) => row.native !== undefined);
if (natives.length > 0)
  figures.set('native_ratio', geometric(natives.map((row) => row.native! / row.linux!)));
// With the loop over the packets, as a batch has it.
const parse = ours.runners.get('parse');
if (parse) figures.set('parse_ns', median(parse.times));
for (const row of table) if (row.figure !== undefined) figures.set(row.figure, row.ours);
if (everything) {
  figures.set('compile500_ms', compileTime(500, 200));
  figures.set('compile45k_ms', compileTime(45_000, 9));
  const times = processTimes(15);
  if (typeof times === 'string') leftOut.push(`skep run: ${times}`);
  else {
    figures.set('first_packet_ms', times.run);
    figures.set('node_ms', times.node);
    figures.set('first_packet_ratio', times.run / times.node);
  }
}

if (values.json) {
  console.log(
    JSON.stringify({
      node: process.version,
      rounds,
      rows: table,
      figures: Object.fromEntries(figures),
      leftOut,
    }),
  );
} else {
  const cell = (value: number | undefined, digits = 2) => (value?.toFixed(digits) ?? '-').padStart(10);
  const head = ['ours', 'Linux', 'native', 'ratio'].map((text) => text.padStart(10)).join('');
  console.log(`Node ${process.version}, medians of ${rounds} rounds, nanoseconds`);
  console.log(`${''.padEnd(22)}${head}`);
  for (const row of table) {
    const name = `${row.name}${row.compute ? ' *' : ''}`.padEnd(22);
    console.log(`${name}${cell(row.ours)}${cell(row.linux)}${cell(row.native)}${cell(row.ratio)}`);
  }
  const empty = theirs && median(theirs.empty.times);
  console.log(`${'empty run'.padEnd(22)}${cell(median(ours.empty.times))}${cell(empty)}`);
  for (const line of leftOut) console.log(`left out: ${line}`);
  for (const [name, value] of figures) {
    console.log(`figure ${name} ${value.toFixed(name.includes('ratio') ? 3 : 2)}`);
  }
}
embedded.close();
linux?.close();
