/**
 * How fast compiled programs run: next to Linux's JIT and to native C, in one interleaved run.
 *
 *     npx tsx scripts/bench.ts [--rounds N] [--row NAME] [--json]
 *
 * Rows are the programs of `bench/`. The Linux column (PROG_TEST_RUN with repeat) needs bpf(2), the native one clang;
 * what is left out is said. What a run costs beside its program is measured with an empty program on both kernels and
 * subtracted. Times are of the processor, not of the clock on the wall, so that other work on the machine counts less;
 * numbers are medians over the rounds. Prints `figure` lines:
 *
 *   compute_ratio        geometric mean of ours over Linux's, of the rows marked with *
 *   compute_ratio_worst  the worst of these rows and of the calls of subprograms
 *   parse_ns             one packet parsed, the loop over packets included
 *   tailcall_ns, helper_ns, array_ns, host_call_ns    one tail call; get_smp_processor_id; array lookup and
 *                        increment; a helper that the host runs (get_prandom_u32)
 *   compile500_ms, compile45k_ms    translating and instantiating a program of so many instructions
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { InputError } from '../src/base/error.ts';
import { assembleLlvm } from '../src/isa/index.ts';
import { createKernel } from '../src/kernel/index.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import { type LoadedObject, loadObject, parseObject } from '../src/loader/index.ts';
import type { Fd, Kernel } from '../src/sys/index.ts';

interface Row {
  readonly name: string;
  readonly object: 'compute' | 'tail' | 'helper';
  /** Counts for the geometric mean. */
  readonly compute: boolean;
  /** Operations of one run, where the figure is of one of them. */
  readonly per?: number;
  /** There is a native form. */
  readonly native: boolean;
}

const compute = (name: string): Row => ({ name, object: 'compute', compute: true, native: true });
const ROWS: readonly Row[] = [
  { name: 'parse', object: 'compute', compute: false, native: true },
  ...['checksum', 'muldiv', 'alu', 'sieve', 'fnv', 'jhash', 'siphash', 'copycmp', 'machine'].map(compute),
  { name: 'calls', object: 'compute', compute: false, native: true },
  { name: 'tailcalls', object: 'tail', compute: false, per: 33, native: false },
  { name: 'helpers', object: 'helper', compute: false, per: 256, native: false },
  { name: 'hostcalls', object: 'helper', compute: false, per: 256, native: false },
  { name: 'array', object: 'helper', compute: false, per: 256, native: false },
  { name: 'percpu', object: 'helper', compute: false, per: 256, native: false },
];
/** A row of a few nanoseconds says little about a ratio: what is subtracted is larger. */
const TOO_SHORT: ReadonlySet<string> = new Set(['parse']);

/** Milliseconds that one measurement takes, about. */
const SLICE = 12;
/** Milliseconds that a program runs before it is measured. */
const WARM = 200;
const CPUS = 2;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    row: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const leftOut: string[] = [];

/** A TCP segment of 64 bytes for the parser, and bytes of a generator for the others. */
function packetOf(row: Row): Uint8Array {
  const packet = new Uint8Array(row.name === 'parse' ? 64 : 1024);
  let state = 12345;
  for (let i = 0; i < packet.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    packet[i] = state >>> 16;
  }
  if (row.name === 'parse') {
    packet.set([0x08, 0x00, 0x45], 12);
    packet[23] = 6;
    packet[47] = 0x10;
  }
  return packet;
}

/** Milliseconds of processor time that this process has used, in the kernel too. */
function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** A program on a kernel, and how long it takes there. */
class Runner {
  readonly #kernel: Kernel;
  readonly #fd: Fd;
  readonly #packet: Uint8Array;
  #repeat = 100;
  readonly times: number[] = [];
  retval = 0;

  constructor(kernel: Kernel, fd: Fd, packet: Uint8Array) {
    this.#kernel = kernel;
    this.#fd = fd;
    this.#packet = packet;
  }

  /** Processor nanoseconds of one run. A signal ends a long run on Linux; it is then done again. */
  #run(repeat: number): number {
    for (;;) {
      const begin = cpuTime();
      try {
        const { retval } = this.#kernel.bpf.prog_test_run({
          prog_fd: this.#fd,
          data_in: this.#packet,
          data_size_out: 0,
          repeat,
        });
        this.retval = retval;
        return ((cpuTime() - begin) * 1e6) / repeat;
      } catch (error) {
        if (!(error instanceof InputError) || error.errno !== 'EINTR') throw error;
      }
    }
  }

  /** Runs until the compiler is done, and finds how often the program runs in a slice of time. */
  warm(): void {
    let each = this.#run(this.#repeat);
    for (let spent = 0; spent < WARM; spent += (each * this.#repeat) / 1e6) {
      this.#repeat = Math.min(Math.max(Math.round((SLICE * 1e6) / Math.max(each, 1)), 100), 5_000_000);
      each = this.#run(this.#repeat);
    }
  }

  measure(): void {
    this.times.push(this.#run(this.#repeat));
  }
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The objects, loaded into a kernel, with an empty program beside them. */
class Side {
  readonly runners = new Map<string, Runner>();
  readonly empty: Runner;
  readonly #objects = new Map<string, LoadedObject>();

  constructor(kernel: Kernel, rows: readonly Row[]) {
    for (const row of rows) {
      let object = this.#objects.get(row.object);
      if (!object) {
        const path = `bench/${row.object}.o`;
        object = loadObject(kernel, parseObject(new Uint8Array(readFileSync(path)), path));
        this.#objects.set(row.object, object);
      }
      this.runners.set(row.name, new Runner(kernel, object.program(row.name).fd, packetOf(row)));
    }
    const { fd } = kernel.bpf.prog_load({
      prog_type: 'xdp',
      insns: assembleLlvm('r0 = 2\nexit').bytes,
      license: 'GPL',
    });
    this.empty = new Runner(kernel, fd, new Uint8Array(64));
  }

  all(): readonly Runner[] {
    return [this.empty, ...this.runners.values()];
  }

  /** Nanoseconds of a run, without what an empty program takes. */
  net(name: string): number {
    return Math.max(median(this.runners.get(name)!.times) - median(this.empty.times), 0.01);
  }
}

/** The native programs, as a process for each measurement. */
class Native {
  readonly #folder = mkdtempSync(join(tmpdir(), 'skep-bench-'));
  readonly #program = join(this.#folder, 'native');
  readonly times = new Map<string, number[]>();
  readonly problem: string | undefined;

  constructor() {
    for (const compiler of ['clang-19', 'clang']) {
      const { status } = spawnSync(compiler, ['-O2', '-w', '-o', this.#program, 'bench/native.c']);
      if (status === 0) return;
    }
    this.problem = 'clang is missing or fails';
  }

  measure({ name }: Row, packet: Uint8Array, nanoseconds: number): number {
    const times = Math.round((SLICE * 1e6) / Math.max(nanoseconds, 1));
    const { stdout } = spawnSync(this.#program, [name, String(times)], { input: packet, encoding: 'utf8' });
    const [each, result] = stdout.trim().split(' ').map(Number);
    this.times.set(name, [...(this.times.get(name) ?? []), each!]);
    return result!;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

/** A program of about so many instructions, in the shape of an unrolled loop: loads, arithmetic, jumps to far exits. */
function largeProgram(count: number, salt: number): Uint8Array {
  let last = 'out0';
  const lines = [
    'r6 = *(u32 *)(r1 + 0)',
    'r7 = *(u32 *)(r1 + 4)',
    'w0 = 1',
    'r2 = r6',
    'r2 += 64',
    'if r2 > r7 goto out0',
    `r8 = ${salt}`,
    'r9 = 0',
  ];
  // Jumps reach 32,767 instructions, so there is an exit every thousand rounds.
  const ROUNDS = 1000;
  for (let i = 0; lines.length + 14 < count; i++) {
    if (i > 0 && i % ROUNDS === 0) lines.push(`goto part${i}`, `out${i / ROUNDS - 1}:`, 'exit', `part${i}:`);
    const out = `out${Math.floor(i / ROUNDS)}`;
    last = out;
    lines.push(
      `r1 = *(u32 *)(r6 + ${(i * 4) % 60})`,
      `r2 = *(u8 *)(r6 + ${(i * 7) % 64})`,
      `w0 = ${i & 0xffff}`,
      `if w1 == ${i * 77} goto ${out}`,
      'r8 ^= r1',
      'r8 <<= 3',
      `if w2 > ${i % 200} goto next${i}`,
      'w9 += w2',
      '*(u64 *)(r10 - 8) = r8',
      `next${i}:`,
      'r3 = r8',
      'r3 >>= 13',
      'r9 += r3',
    );
  }
  lines.push('r0 = r9', `${last}:`, 'exit');
  return assembleLlvm(lines.join('\n')).bytes;
}

/** Median milliseconds from a verified program to one that can run. */
function compileTime(count: number, times: number): { readonly ms: number; readonly insns: number } {
  const spent: number[] = [];
  let insns = 0;
  for (let i = 0; i < times; i++) {
    const kernel = createKernel();
    const jit = kernel.runtime.jit!;
    const compile = jit.compile.bind(jit);
    jit.compile = (program) => {
      const begin = cpuTime();
      try {
        return compile(program);
      } finally {
        spent.push(cpuTime() - begin);
      }
    };
    const bytes = largeProgram(count, i + 1000 * count);
    insns = bytes.length / 8;
    const { fd } = kernel.bpf.prog_load({ prog_type: 'xdp', insns: bytes, license: 'GPL' });
    kernel.bpf.prog_test_run({ prog_fd: fd, data_in: new Uint8Array(64) });
    kernel.close();
  }
  return { ms: median(spent), insns };
}

const rows = ROWS.filter(({ name }) => values.row === undefined || name === values.row);
if (rows.length === 0) {
  console.error(`there is no row ${values.row}; there are: ${ROWS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const embedded = createKernel({ cpus: CPUS });
const ours = new Side(embedded, rows);
const status = linuxStatus();
const kernel = status.ok ? openLinux() : undefined;
const theirs = kernel && new Side(kernel, rows);
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
    const result = native.measure(row, packetOf(row), runner.times.at(-1)!);
    if (result !== runner.retval) {
      throw new Error(`${row.name}: native ${result}, compiled ${runner.retval}`);
    }
  }
}
for (const { name } of rows) {
  const mine = ours.runners.get(name)?.retval;
  const linux = theirs?.runners.get(name)?.retval;
  if (linux !== undefined && mine !== linux) throw new Error(`${name}: Linux ${linux}, compiled ${mine}`);
}

const table = rows.map((row) => {
  const each = row.per ?? 1;
  const nativeTimes = native.times.get(row.name);
  const mine = ours.net(row.name) / each;
  const linux = theirs && theirs.net(row.name) / each;
  return {
    ...row,
    ours: mine,
    linux,
    native: nativeTimes && median(nativeTimes) / each,
    ratio: linux === undefined || TOO_SHORT.has(row.name) ? undefined : mine / linux,
  };
});

const figures = new Map<string, number>();
const ratios = table.filter(({ ratio }) => ratio !== undefined);
const geometric = (numbers: readonly number[]) =>
  Math.exp(numbers.reduce((sum, number) => sum + Math.log(number), 0) / numbers.length);
const computed = ratios.filter((row) => row.compute).map(({ ratio }) => ratio!);
if (computed.length > 0) figures.set('compute_ratio', geometric(computed));
const worst = ratios.filter((row) => row.object === 'compute').map(({ ratio }) => ratio!);
if (worst.length > 0) figures.set('compute_ratio_worst', Math.max(...worst));
const figureOf = {
  parse: 'parse_ns',
  tailcalls: 'tailcall_ns',
  helpers: 'helper_ns',
  array: 'array_ns',
} as const;
for (const row of table) {
  const name = (figureOf as Record<string, string>)[row.name];
  if (name !== undefined) figures.set(name, row.ours);
  if (row.name === 'hostcalls') figures.set('host_call_ns', row.ours);
  // With the loop over the packets, as a batch has it.
  if (row.name === 'parse') figures.set('parse_ns', median(ours.runners.get('parse')!.times));
}
const sizes =
  values.row === undefined
    ? ([
        ['compile500_ms', 500, 200],
        ['compile45k_ms', 45_000, 9],
      ] as const)
    : [];
for (const [name, count, times] of sizes) figures.set(name, compileTime(count, times).ms);

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
  console.log(`Node ${process.version}, medians of ${rounds} rounds, nanoseconds`);
  console.log(
    `${''.padEnd(12)}${'ours'.padStart(10)}${'Linux'.padStart(10)}${'native'.padStart(10)}${'ratio'.padStart(10)}`,
  );
  for (const row of table) {
    const name = `${row.name}${row.compute ? ' *' : ''}`.padEnd(12);
    console.log(`${name}${cell(row.ours)}${cell(row.linux)}${cell(row.native)}${cell(row.ratio)}`);
  }
  console.log(`empty run   ${cell(median(ours.empty.times))}${cell(theirs && median(theirs.empty.times))}`);
  const nativeRatios = table.filter(
    (row) => row.compute && row.native !== undefined && row.linux !== undefined,
  );
  if (nativeRatios.length > 0) {
    const mean = geometric(nativeRatios.map((row) => row.native! / row.linux!));
    console.log(`native C against Linux's JIT, geometric mean of the same rows: ${mean.toFixed(3)}`);
  }
  for (const line of leftOut) console.log(`left out: ${line}`);
}
for (const [name, value] of figures) {
  if (!values.json) console.log(`figure ${name} ${value.toFixed(name.includes('ratio') ? 3 : 2)}`);
}
embedded.close();
kernel?.close();
