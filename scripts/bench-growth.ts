/**
 * How throughput changes as maps and programs grow, next to Linux: lookups at random places in maps of 100 to 10 million
 * entries, and programs of 100 to 100,000 instructions. Draws `docs/growth-maps` and `docs/growth-programs` as SVG and PNG
 * and prints the numbers as tables for the documentation. Without bpf(2), Linux's curves are left out, which is said.
 *
 *     npm run bench:growth [-- --rounds N] [--most ENTRIES] [--out DIR]
 *
 * A lookup's time is net of the loop around it; of a program, it is that of one instruction that is run. A PNG has text only
 * where the system has a font (Debian's `fonts-liberation`).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { assembleLlvm } from '../src/isa/index.ts';
import { createKernel } from '../src/kernel/index.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import { type Fd, type Kernel, MAP_CREATE_FLAGS, type MapCreateAttr } from '../src/sys/index.ts';
import { compileTime } from './bench-compile.ts';
import { median, Runner } from './bench-sides.ts';
import { type Curve, drawCurves } from './plot.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    most: { type: 'string', default: '10000000' },
    out: { type: 'string', default: 'docs' },
  },
});
const rounds = Number(values.rounds);
const most = Number(values.most);

interface Kind {
  readonly name: string;
  readonly attr: Pick<MapCreateAttr, 'map_type' | 'key_size' | 'map_flags'>;
  /** Makes the key of r1, a number below the count of entries, in r1 or behind it on the stack. */
  readonly key: readonly string[];
  /** Where the key begins, below the frame pointer. */
  readonly at: number;
  readonly largest: number;
}

const KEY = ['*(u32 *)(r10 - 4) = r1'];
const KINDS: readonly Kind[] = [
  { name: 'array', attr: { map_type: 'array', key_size: 4 }, key: KEY, at: 4, largest: 1e7 },
  { name: 'hash', attr: { map_type: 'hash', key_size: 4 }, key: KEY, at: 4, largest: 1e7 },
  { name: 'LRU hash', attr: { map_type: 'lru_hash', key_size: 4 }, key: KEY, at: 4, largest: 1e7 },
  {
    name: 'LPM trie',
    attr: { map_type: 'lpm_trie', key_size: 8, map_flags: MAP_CREATE_FLAGS.BPF_F_NO_PREALLOC },
    // Whole addresses, anywhere: the number times an odd one.
    key: ['*(u32 *)(r10 - 8) = 32', 'w1 *= 0x9e3779b1', 'r1 = be32 r1', '*(u32 *)(r10 - 4) = r1'],
    at: 8,
    largest: 1e6,
  },
];
const SIZES = [1e2, 1e3, 1e4, 1e5, 1e6, 1e7].filter((size) => size <= most);
const PROGRAM_SIZES = [100, 300, 1000, 3000, 10_000, 30_000, 100_000];

/** Milliseconds that a lookup runs before it is measured. */
const WARM_LOOKUP = 80;
/** Rounds of the loop in a program. */
const ROUNDS = 256;

/** A loop over numbers that `next` makes of r7, whose state the packet carries. @param body works with r1 */
function loopProgram(next: readonly string[], body: readonly string[]): Uint8Array {
  const lines = [
    'r6 = *(u32 *)(r1 + 0)',
    'r2 = *(u32 *)(r1 + 4)',
    'r3 = r6',
    'r3 += 8',
    'r0 = 0',
    'if r3 > r2 goto out',
    'r7 = *(u32 *)(r6 + 0)',
    'r8 = 0',
    'r9 = 0',
    'again:',
    ...next,
    ...body,
    'r8 += 1',
    `if r8 != ${ROUNDS} goto again`,
    '*(u32 *)(r6 + 0) = r7',
    'r0 = 2',
    'out:',
    'exit',
  ];
  return assembleLlvm(lines.join('\n')).bytes;
}

/** r1 = a number below the count, anywhere. */
const anywhere = (count: number) => [
  'w7 *= 1664525',
  'w7 += 1013904223',
  'r1 = r7',
  `r1 *= ${count}`,
  'r1 >>= 32',
];
const one = (fd: Fd, { at }: Kind) => ['r2 = r10', `r2 += -${at}`, `r1 = map[fd:${fd}] ll`];

/** Nanoseconds of a lookup in a map of so many entries, and of the loop without it. */
class Lookups {
  readonly #kernel: Kernel;
  readonly #fds: Fd[] = [];
  readonly #lookup: Runner;
  readonly #loop: Runner;

  constructor(kernel: Kernel, kind: Kind, count: number) {
    this.#kernel = kernel;
    const map = kernel.bpf.map_create({ ...kind.attr, value_size: 8, max_entries: count });
    this.#fds.push(map);
    this.#fill(kind, map, count);
    const read = ['call 1', 'if r0 == 0 goto miss', 'r1 = *(u64 *)(r0 + 0)', 'r9 += r1', 'miss:'];
    const key = [...anywhere(count)];
    this.#lookup = this.#runner(loopProgram(key, [...kind.key, ...one(map, kind), ...read]));
    this.#loop = this.#runner(loopProgram(key, [...kind.key, 'r9 += r1']));
    for (const runner of [this.#lookup, this.#loop]) runner.warm(WARM_LOOKUP);
  }

  #runner(insns: Uint8Array, state = 1): Runner {
    const { fd } = this.#kernel.bpf.prog_load({ prog_type: 'xdp', insns, license: 'GPL' });
    this.#fds.push(fd);
    const packet = new Uint8Array(64);
    new DataView(packet.buffer).setUint32(0, state, true);
    return new Runner(this.#kernel, fd, packet);
  }

  /** By a program, too: ten million calls from outside would take long. */
  #fill(kind: Kind, map: Fd, count: number): void {
    if (kind.attr.map_type === 'array') return;
    const next = ['w7 += 1', 'r1 = r7', 'r1 += -1', `r1 %= ${count}`];
    const put = [
      ...kind.key,
      '*(u64 *)(r10 - 16) = r7',
      ...one(map, kind),
      'r3 = r10',
      'r3 += -16',
      'r4 = 0',
      'call 2',
    ];
    const { bpf } = this.#kernel;
    const { fd } = bpf.prog_load({ prog_type: 'xdp', insns: loopProgram(next, put), license: 'GPL' });
    const packet = new Uint8Array(64);
    const view = new DataView(packet.buffer);
    // A run on Linux that takes long is ended by signals.
    const REPEAT = 400;
    for (let at = 0; at < count; at += ROUNDS * REPEAT) {
      const left = Math.ceil((count - at) / ROUNDS);
      view.setUint32(0, at, true);
      bpf.prog_test_run({ prog_fd: fd, data_in: packet, data_size_out: 0, repeat: Math.min(left, REPEAT) });
    }
    this.#kernel.closeFd(fd);
  }

  measure(): void {
    this.#lookup.measure();
    this.#loop.measure();
  }

  get nanoseconds(): number {
    return Math.max((median(this.#lookup.times) - median(this.#loop.times)) / ROUNDS, 0.05);
  }

  close(): void {
    for (const fd of this.#fds) this.#kernel.closeFd(fd);
  }
}

/** A program of about so many instructions without a loop, of which nearly all are run: one in thirteen is a branch. */
function straightProgram(size: number): Uint8Array {
  const lines = [
    'r6 = *(u32 *)(r1 + 0)',
    'r2 = *(u32 *)(r1 + 4)',
    'r3 = r6',
    'r3 += 64',
    'r0 = 0',
    'if r3 <= r2 goto inside',
    'exit',
    'inside:',
    'r8 = 1',
    'r9 = 2',
  ];
  for (let i = 0; lines.length + 15 < size; i++) {
    lines.push(
      `r1 = *(u32 *)(r6 + ${(i * 4) % 60})`,
      `r2 = *(u8 *)(r6 + ${(i * 7) % 64})`,
      'r8 ^= r1',
      'r8 <<= 3',
      `if w2 > ${i % 250} goto next${i}`,
      'w9 += w2',
      `next${i}:`,
      '*(u64 *)(r10 - 8) = r8',
      'r3 = r8',
      'r3 >>= 13',
      'r9 += r3',
      `r4 = *(u16 *)(r6 + ${(i * 11) % 62})`,
      'r9 ^= r4',
      'r8 += r9',
    );
  }
  return assembleLlvm([...lines, 'r0 = r9', 'exit'].join('\n')).bytes;
}

/** Milliseconds until large programs are compiled by the engine's second compiler, too. */
const WARM_PROGRAM = 1500;

/** Nanoseconds of an instruction of a program of so many. */
function instruction(kernel: Kernel, size: number): number {
  const insns = straightProgram(size);
  const { fd } = kernel.bpf.prog_load({ prog_type: 'xdp', insns, license: 'GPL' });
  const packet = Uint8Array.from({ length: 64 }, (_, i) => (i * 73 + 5) & 255);
  const runner = new Runner(kernel, fd, packet);
  runner.warm(WARM_PROGRAM);
  for (let i = 0; i < rounds; i++) runner.measure();
  kernel.closeFd(fd);
  return median(runner.times) / (insns.length / 8);
}

/** A row of a table for the documentation. */
const row = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
const short = (value: number) => (value >= 100 ? value.toFixed(0) : value.toPrecision(2));
const power = (size: number) => size.toLocaleString('en');

const status = linuxStatus();
const linux = status.ok ? openLinux() : undefined;
if (!status.ok) console.log(`left out: Linux: ${status.reason}`);

const lookups: Curve[] = [];
console.log(row(['entries', ...KINDS.flatMap(({ name }) => [name, 'Linux'])]));
console.log(row(['--', ...KINDS.flatMap(() => ['--', '--'])]));
const times = new Map<string, [size: number, ns: number][]>();
for (const size of SIZES) {
  const cells: string[] = [];
  for (const kind of KINDS) {
    if (size > kind.largest) {
      cells.push('-', '-');
      continue;
    }
    const embedded = createKernel();
    const ours = new Lookups(embedded, kind, size);
    const theirs = linux && new Lookups(linux, kind, size);
    for (let i = 0; i < rounds; i++) {
      ours.measure();
      theirs?.measure();
    }
    const note = (name: string, ns: number | undefined) => {
      cells.push(ns === undefined ? '-' : short(ns));
      if (ns !== undefined) times.set(name, [...(times.get(name) ?? []), [size, ns]]);
    };
    note(kind.name, ours.nanoseconds);
    note(`${kind.name}, Linux`, theirs?.nanoseconds);
    ours.close();
    theirs?.close();
    embedded.close();
  }
  console.log(row([power(size), ...cells]));
}
for (const [name, points] of times) {
  lookups.push({
    name,
    dashed: name.endsWith('Linux'),
    points: points.map(([size, ns]) => [size, 1000 / ns]),
  });
}

const programs: Curve[] = [
  { name: 'run', dashed: false, points: [] },
  { name: 'run, Linux', dashed: true, points: [] },
  { name: 'compiled', dashed: false, points: [] },
];
console.log(
  `\n${row(['instructions', 'ns each', 'Linux', 'compiled in ms'])}\n${row(['--', '--', '--', '--'])}`,
);
for (const size of PROGRAM_SIZES) {
  const embedded = createKernel();
  const ours = instruction(embedded, size);
  embedded.close();
  const theirs = linux && instruction(linux, size);
  const compiled = compileTime(size, size > 10_000 ? 5 : 25);
  programs[0]!.points.push([size, 1000 / ours]);
  if (theirs !== undefined) programs[1]!.points.push([size, 1000 / theirs]);
  programs[2]!.points.push([size, size / (compiled * 1000)]);
  console.log(row([power(size), short(ours), theirs === undefined ? '-' : short(theirs), short(compiled)]));
}
linux?.close();

mkdirSync(values.out, { recursive: true });
const draw = (file: string, title: string, axis: string, unit: string, curves: readonly Curve[]) => {
  const { svg, png } = drawCurves({
    title,
    axis,
    unit,
    curves: curves.filter(({ points }) => points.length),
  });
  writeFileSync(join(values.out, `${file}.svg`), svg);
  writeFileSync(join(values.out, `${file}.png`), png);
};
draw('growth-maps', 'Lookups at random places', 'entries', 'million a second', lookups);
draw('growth-programs', 'Programs by their size', 'instructions', 'million instructions a second', programs);
