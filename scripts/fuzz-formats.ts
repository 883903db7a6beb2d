/**
 * Mutates the bytes of the examples' objects and captures and reads them: every case must give a result or an
 * `InputError`, within seconds and half a gigabyte, and never anything else.
 *
 *     npx tsx scripts/fuzz-formats.ts [CASES] [--seed N] [--only CASE]
 *
 * A case is made from the seed and its number alone; `--only` repeats one. The cases run in a worker that is watched:
 * one that takes too long or too much memory is a failure like a crash. Prints `figure fuzz_formats_cases`; exit
 * code 1 when a case failed or none was run.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { InputError } from '../src/base/error.ts';
import { dumpC, parseBtf, parseBtfExt } from '../src/btf/index.ts';
import { type ElfFile, findSection, readBpfElf, SECTION_FLAG } from '../src/elf/index.ts';
import { listing } from '../src/isa/index.ts';
import { createKernel } from '../src/kernel/index.ts';
import { linkProgram, loadObject, parseObject } from '../src/loader/index.ts';
import { readCapture, writeCapture } from '../src/pcap/index.ts';

/** Failures after which it ends. */
const MOST_FAILURES = 20;
/** Most time that one case may take. */
const LIMIT_MS = 10_000;
/** Most memory of the whole process, the runtime included. */
const LIMIT_BYTES = 512 * 1024 * 1024;
/** Heap of the worker, so that what is no longer used goes in time. */
const HEAP_MB = 160;
/** Memory of a kernel that a mutated object is loaded into. */
const KERNEL_BYTES = 64 * 1024 * 1024;

interface Job {
  readonly seed: number;
  readonly first: number;
  readonly end: number;
  /** Number of the current case, and how many cases gave a result. */
  readonly shared: SharedArrayBuffer;
}

interface Failure {
  readonly number: number;
  readonly what: string;
}

/** 32-bit numbers from a seed: xorshift, stirred first so that neighbouring seeds differ. */
function generator(seed: number): (below: number) => number {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0 || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
  for (let i = 0; i < 8; i++) next();
  return (below) => next() % below;
}

/** Values that lengths, counts, offsets and indices go wrong at. */
const EDGES = [
  0, 1, 2, 3, 4, 7, 8, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
];

function mutate(original: Uint8Array, random: (below: number) => number): Uint8Array {
  let bytes = original.slice();
  const changes = 1 + random(8);
  for (let i = 0; i < changes && bytes.length > 0; i++) {
    // Half of the changes go where the headers are.
    const end = random(2) === 0 ? bytes.length : Math.min(bytes.length, 128);
    const at = random(4) === 0 ? Math.max(bytes.length - 1 - random(1024), 0) : random(end);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    switch (random(8)) {
      case 0:
      case 1:
        bytes[at] = random(256);
        break;
      case 2:
        bytes[at] = bytes[at]! ^ (1 << random(8));
        break;
      case 3:
      case 4: {
        const aligned = at & ~3;
        if (aligned + 4 <= bytes.length)
          view.setUint32(aligned, EDGES[random(EDGES.length)]!, random(4) !== 0);
        break;
      }
      case 5: {
        const from = random(bytes.length);
        bytes.copyWithin(at, from, from + 1 + random(64));
        break;
      }
      case 6:
        if (random(8) === 0) bytes = bytes.slice(0, at);
        break;
      default: {
        const aligned = at & ~3;
        if (aligned + 4 <= bytes.length) {
          view.setUint32(aligned, view.getUint32(aligned, true) + random(33) - 16, true);
        }
      }
    }
  }
  return bytes;
}

/** Reads an object in every way that the formats offer; loads one of sixteen into an embedded kernel. */
function readObject(bytes: Uint8Array, name: string, number: number): void {
  attempt(() => {
    const elf = readBpfElf(bytes, name);
    for (const section of elf.sections) {
      if ((section.flags & SECTION_FLAG.execinstr) !== 0) {
        listing(section.data, { littleEndian: elf.littleEndian, section: section.name });
      }
    }
    attempt(() => dumpBtf(elf));
  });
  attempt(() => {
    const spec = parseObject(bytes, name);
    for (const program of spec.programs.values()) attempt(() => void linkProgram(spec, program));
    if (number % 16 !== 0) return;
    using kernel = createKernel({ memoryLimit: KERNEL_BYTES });
    loadObject(kernel, spec).close();
  });
}

function dumpBtf(elf: ElfFile): void {
  const types = findSection(elf, '.BTF');
  if (types === undefined) return;
  const btf = parseBtf(types.data, `${elf.name}: section .BTF`, undefined, types.offset);
  dumpC(btf);
  const ext = findSection(elf, '.BTF.ext');
  if (ext !== undefined) parseBtfExt(ext.data, `${elf.name}: section .BTF.ext`, btf, ext.offset);
}

/** Reads a capture, and writes what was read. */
function readPackets(bytes: Uint8Array, name: string): void {
  attempt(() => void writeCapture([...readCapture(bytes, name)], { format: 'pcapng' }));
}

function attempt(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    rejected++;
  }
}

let rejected = 0;

interface Original {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly read: (bytes: Uint8Array, name: string, number: number) => void;
}

function originals(): Original[] {
  const files = [...folder('examples'), ...folder(join('examples', 'captures'))];
  return files.flatMap((name): Original[] => {
    const bytes = () => new Uint8Array(readFileSync(name));
    if (name.endsWith('.o')) return [{ name, bytes: bytes(), read: readObject }];
    if (!/\.pcap(ng)?$/.test(name)) return [];
    const capture = bytes();
    const forms = [
      writeCapture(readCapture(capture, name), { format: 'pcapng', littleEndian: false }),
      writeCapture(readCapture(capture, name), { format: 'pcap', littleEndian: false, resolution: 'ns' }),
    ];
    return [capture, ...forms].map((form) => ({ name, bytes: form, read: readPackets }));
  });
}

function folder(path: string): string[] {
  return readdirSync(path)
    .toSorted()
    .map((name) => join(path, name));
}

/** What the worker does. */
function work({ seed, first, end, shared }: Job): void {
  const progress = new Int32Array(shared);
  const files = originals();
  const failures: Failure[] = [];
  for (let number = first; number < end; number++) {
    Atomics.store(progress, 0, number);
    const random = generator(seed * 1_000_003 + number);
    // Objects have more to go wrong: they get two cases of three.
    const objects = files.filter((file) => file.read === readObject);
    const others = files.filter((file) => file.read !== readObject);
    const pool = random(3) === 0 ? others : objects;
    const file = pool[random(pool.length)]!;
    const before = rejected;
    try {
      file.read(mutate(file.bytes, random), file.name, number);
      if (rejected === before) Atomics.add(progress, 1, 1);
    } catch (error) {
      failures.push({
        number,
        what: `${file.name}: ${error instanceof Error ? error.stack : String(error)}`,
      });
      if (failures.length >= MOST_FAILURES) break;
    }
  }
  parentPort!.postMessage(failures);
}

/** Runs the cases in workers, a new one after each that had to be ended. */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seed: { type: 'string', default: '1' }, only: { type: 'string' } },
  });
  const seed = Number(values.seed);
  const only = values.only === undefined ? undefined : Number(values.only);
  const cases = Number(positionals[0] ?? 100_000);
  const end = only === undefined ? cases : only + 1;
  const failures: Failure[] = [];
  let first = only ?? 0;
  let results = 0;
  let peak = 0;
  // Workers load no TypeScript on Node 20.
  const folder = mkdtempSync(join(tmpdir(), 'skep-fuzz-'));
  const script = join(folder, 'worker.mjs');
  const { buildSync } = await import('esbuild');
  buildSync({
    entryPoints: [fileURLToPath(import.meta.url)],
    outfile: script,
    bundle: true,
    format: 'esm',
    target: 'node20',
    platform: 'node',
    packages: 'external',
    external: ['esbuild'],
  });
  while (first < end) {
    const shared = new SharedArrayBuffer(8);
    const outcome = await watch(script, { seed, first, end, shared }, (rss) => {
      peak = Math.max(peak, rss);
    });
    results += new Int32Array(shared)[1]!;
    failures.push(...outcome.failures);
    if (failures.length >= MOST_FAILURES) break;
    // A worker that was ended leaves the cases after its last to the next one.
    first = outcome.ended ? end : outcome.failures[0]!.number + 1;
  }
  rmSync(folder, { recursive: true });
  for (const { number, what } of failures)
    console.log(`case ${number} (--seed ${seed} --only ${number}): ${what}`);
  const run = only === undefined ? Math.min(first, cases) : 1;
  console.log(
    `${run} cases: ${results} results, ${run - results - failures.length} errors, ${failures.length} failures; ` +
      `at most ${Math.round(peak / 1e6)} MB`,
  );
  console.log(`figure fuzz_formats_cases ${run}`);
  console.log(`figure fuzz_formats_failures ${failures.length}`);
  if (run === 0 || failures.length > 0) process.exitCode = 1;
}

interface Outcome {
  readonly failures: readonly Failure[];
  /** Whether the worker came to its end by itself. */
  readonly ended: boolean;
}

function watch(script: string, job: Job, measure: (rss: number) => void): Promise<Outcome> {
  const progress = new Int32Array(job.shared);
  const worker = new Worker(script, {
    workerData: job,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: 16 },
  });
  let resolve: (outcome: Outcome) => void = () => {};
  const outcome = new Promise<Outcome>((settle) => {
    resolve = settle;
  });
  let current = -1;
  let since = performance.now();
  const stop = (what: string) => {
    clearInterval(timer);
    const number = Atomics.load(progress, 0);
    // What it holds must be gone before the next worker is measured.
    void worker.terminate().then(() => resolve({ failures: [{ number, what }], ended: false }));
  };
  const timer = setInterval(() => {
    const rss = process.memoryUsage.rss();
    measure(rss);
    if (rss > LIMIT_BYTES) stop(`the process takes ${Math.round(rss / 1e6)} MB`);
    const number = Atomics.load(progress, 0);
    if (number !== current) {
      current = number;
      since = performance.now();
    } else if (performance.now() - since > LIMIT_MS) stop(`takes longer than ${LIMIT_MS / 1000} s`);
  }, 100);
  worker.once('message', (failures: readonly Failure[]) => {
    clearInterval(timer);
    resolve({ failures, ended: true });
  });
  worker.once('error', (error) => stop(`ended the worker: ${error.message}`));
  return outcome;
}

if (isMainThread) await main();
else work(workerData as Job);
