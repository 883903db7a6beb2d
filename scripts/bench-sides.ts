/** Where the rows of `npm run bench` run: a kernel, or native processes. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { InputError } from '../src/base/error.ts';
import { LinuxRing } from '../src/cli/run/linux.ts';
import { assembleLlvm } from '../src/isa/index.ts';
import { EmbeddedKernel } from '../src/kernel/index.ts';
import { type LoadedObject, loadObject, parseObject } from '../src/loader/index.ts';
import type { Fd, Kernel } from '../src/sys/index.ts';
import { type BenchObject, fillMaps, packetOf, type Row } from './bench-rows.ts';

/** Milliseconds that one measurement takes, about. */
const SLICE = 12;
/** Milliseconds that a program runs before it is measured. */
const WARM = 200;

/** Milliseconds of processor time that this process has used, in the kernel too. */
export function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const CLOCK_THREAD_CPUTIME_ID = 3;

/** The same of this thread alone, where the system tells: what the engine compiles meanwhile does not count. */
const threadTime: () => number = (() => {
  if (process.platform !== 'linux') return cpuTime;
  const clock = koffi.load('libc.so.6').func('int clock_gettime(int id, _Out_ int64_t *time)');
  const time = new BigInt64Array(2);
  return () => {
    clock(CLOCK_THREAD_CPUTIME_ID, time);
    return Number(time[0]!) * 1e3 + Number(time[1]!) / 1e6;
  };
})();

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A program that fills something as it runs. */
interface Filling {
  /** Runs until it is full. */
  readonly runs: number;
  readonly empty: () => void;
}

/** A program on a kernel, and how long it takes there. */
export class Runner {
  readonly #kernel: Kernel;
  readonly #fd: Fd;
  readonly #packet: Uint8Array;
  readonly #filling: Filling | undefined;
  #repeat = 100;
  readonly times: number[] = [];
  retval = 0;

  constructor(kernel: Kernel, fd: Fd, packet: Uint8Array, filling?: Filling) {
    this.#kernel = kernel;
    this.#fd = fd;
    this.#packet = packet;
    this.#filling = filling;
  }

  /** Processor nanoseconds of one run. */
  #run(times: number): number {
    if (!this.#filling) return (this.#once(times) * 1e6) / times;
    const { runs, empty } = this.#filling;
    const calls = Math.ceil(times / runs);
    let spent = 0;
    for (let i = 0; i < calls; i++) {
      spent += this.#once(runs);
      empty();
    }
    return (spent * 1e6) / (calls * runs);
  }

  /** Milliseconds of so many runs. A signal ends a long run on Linux; it is then done again. */
  #once(repeat: number): number {
    for (;;) {
      const begin = threadTime();
      try {
        const { retval } = this.#kernel.bpf.prog_test_run({
          prog_fd: this.#fd,
          data_in: this.#packet,
          data_size_out: 0,
          repeat,
        });
        this.retval = retval;
        return threadTime() - begin;
      } catch (error) {
        if (!(error instanceof InputError) || error.errno !== 'EINTR') throw error;
      }
    }
  }

  /**
   * Runs until the compiler is done, and finds how often the program runs in a slice of time.
   * @param most milliseconds
   */
  warm(most = WARM): void {
    let each = this.#run(this.#repeat);
    for (let spent = 0; spent < most; spent += (each * this.#repeat) / 1e6) {
      this.#repeat = Math.min(Math.max(Math.round((SLICE * 1e6) / Math.max(each, 1)), 100), 5_000_000);
      each = this.#run(this.#repeat);
    }
  }

  measure(): void {
    this.times.push(this.#run(this.#repeat));
  }
}

/** The objects, loaded into a kernel, with an empty program beside them. */
export class Side {
  readonly runners = new Map<string, Runner>();
  readonly empty: Runner;
  readonly #kernel: Kernel;
  readonly #objects = new Map<BenchObject, LoadedObject>();

  constructor(kernel: Kernel, rows: readonly Row[]) {
    this.#kernel = kernel;
    for (const row of rows) {
      const object = this.#object(row.object);
      const filling = row.fills === undefined ? undefined : { runs: row.fills, empty: this.#drain(object) };
      this.runners.set(row.name, new Runner(kernel, object.program(row.name).fd, packetOf(row), filling));
    }
    const { fd } = kernel.bpf.prog_load({
      prog_type: 'xdp',
      insns: assembleLlvm('r0 = 2\nexit').bytes,
      license: 'GPL',
    });
    this.empty = new Runner(kernel, fd, new Uint8Array(64));
  }

  #object(name: BenchObject): LoadedObject {
    const loaded = this.#objects.get(name);
    if (loaded) return loaded;
    const path = `bench/${name}.o`;
    const object = loadObject(this.#kernel, parseObject(new Uint8Array(readFileSync(path)), path));
    if (name === 'maps') fillMaps(this.#kernel, object);
    this.#objects.set(name, object);
    return object;
  }

  /** What takes all records out of the ring. */
  #drain(object: LoadedObject): () => void {
    const { fd, maxEntries } = object.map('ring');
    const kernel = this.#kernel;
    const linux = kernel instanceof EmbeddedKernel ? undefined : new LinuxRing('ring', fd, maxEntries);
    return () => {
      if (linux) linux.drain();
      else for (const _ of (kernel as EmbeddedKernel).ringRecords(fd));
    };
  }

  all(): readonly Runner[] {
    return [this.empty, ...this.runners.values()];
  }

  /** Nanoseconds of a run, without what an empty program takes, or the row's loop. */
  net({ name, loop }: Row): number {
    const beside = (loop !== undefined && this.runners.get(loop)) || this.empty;
    return Math.max(median(this.runners.get(name)!.times) - median(beside.times), 0.01);
  }
}

/** The native programs, as a process for each measurement. */
export class Native {
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

  measure(row: Row, nanoseconds: number): number {
    const times = Math.round((SLICE * 1e6) / Math.max(nanoseconds, 1));
    const { stdout } = spawnSync(this.#program, [row.name, String(times)], {
      input: packetOf(row),
      encoding: 'utf8',
    });
    const [each, result] = stdout.trim().split(' ').map(Number);
    this.times.set(row.name, [...(this.times.get(row.name) ?? []), each!]);
    return result!;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}
