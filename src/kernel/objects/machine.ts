/**
 * What a kernel stands on: its memory, its processors, its clock and its randomness. All of them are inputs, so the
 * same inputs give the same run.
 */
import type { Addr, Memory } from '../memory/index.ts';
import type { FieldKind, SpecialField } from './field-record.ts';

/** Nanoseconds on Linux's clocks. A simulated clock need only count `monotonic`. */
export interface Clock {
  /** `CLOCK_MONOTONIC`: since boot, without the time suspended. */
  monotonic(): bigint;
  /** `CLOCK_BOOTTIME`; the monotonic time where absent. */
  boottime?(): bigint;
  /** `CLOCK_REALTIME`: since 1970, UTC; the monotonic time where absent. */
  realtime?(): bigint;
}

export interface Machine {
  readonly memory: Memory;
  /** CPUs that a per-CPU value has a slot for. */
  readonly cpus: number;
  /** The CPU that the current program or system call runs on. */
  cpu: number;
  readonly clock: Required<Clock>;
  /** 32 random bits. */
  random(): number;
  /** Where they come from, if programs may take them from its state themselves. */
  readonly source?: RandomSource;
  /** The clock is the host's, of which programs may see what it was a few reads ago. */
  readonly hostTime?: boolean;
  readonly grace: Grace;
  /** Takes a line of `bpf_trace_printk`, without its newline. */
  trace(line: string): void;
  /** How the special fields of a value let go of what they hold when the value ends; a kind without one is only cleared. */
  readonly fieldReleases?: () => FieldReleases;
}

/** By the kind of field: called with the field's address. */
export type FieldReleases = Partial<Record<FieldKind, (field: Addr, what: SpecialField) => void>>;

/**
 * The grace period of RCU on one processor: what a running program may still point to is freed only when no program
 * runs.
 */
export class Grace {
  #depth = 0;
  readonly #waiting: (() => void)[] = [];

  /** A program (or a callback, or a nested program) begins to run. */
  enter(): void {
    this.#depth += 1;
  }

  /** It ends. */
  leave(): void {
    this.#depth -= 1;
    while (this.#depth === 0) {
      const next = this.#waiting.shift();
      if (!next) return;
      next();
    }
  }

  /** Runs `then` when no program runs: at once, or at the end of the outermost. */
  after(then: () => void): void {
    if (this.#depth === 0) then();
    else this.#waiting.push(then);
  }
}

/** The host's clocks. */
export function hostClock(): Required<Clock> {
  const ns = (ms: number) => BigInt(Math.round(ms * 1e6));
  return {
    monotonic: () => ns(performance.now()),
    boottime: () => ns(performance.now()),
    realtime: () => BigInt(Date.now()) * 1_000_000n,
  };
}

/** A clock that moves only when it is read (by `step` nanoseconds) or set. */
export class SimulatedClock implements Required<Clock> {
  now: bigint;
  readonly step: bigint;
  /** Nanoseconds from 1970 to the simulated boot. */
  readonly epoch: bigint;

  constructor(now = 0n, step = 0n, epoch = 0n) {
    this.now = now;
    this.step = step;
    this.epoch = epoch;
  }

  monotonic(): bigint {
    this.now += this.step;
    return this.now;
  }
  boottime(): bigint {
    return this.monotonic();
  }
  realtime(): bigint {
    return this.epoch + this.monotonic();
  }
}

/** Where a random source's state is: {@link RANDOM_BYTES} in a kernel's memory. */
interface Place {
  readonly memory: Memory;
  readonly addr: number;
}

/** The generator's words, and whether numbers are given. */
const RANDOM_BYTES = 20;
const GIVEN = 16;

/** Random numbers of a generator, sfc32 by Chris Doty-Humphrey, or of a function. The state may be where programs see it. */
export class RandomSource {
  #give: (() => number) | undefined;
  #words = new DataView(new ArrayBuffer(RANDOM_BYTES));
  #place: Place | undefined;

  /** @param random a seed, or what gives 32-bit numbers */
  constructor(random: number | (() => number)) {
    this.set(random);
  }

  set(random: number | (() => number)): void {
    this.#give = typeof random === 'function' ? random : undefined;
    this.#put(GIVEN, this.#give ? 1 : 0);
    if (typeof random === 'function') return;
    for (const [i, word] of [0, random, 0x9e37_79b9, 1].entries()) this.#put(4 * i, word);
    for (let i = 0; i < 12; i++) this.next();
  }

  next(): number {
    if (this.#give) return this.#give();
    const a = this.#get(0);
    const b = this.#get(4);
    const c = this.#get(8);
    const counter = this.#get(12);
    const number = a + b + counter;
    this.#put(0, b ^ (b >>> 9));
    this.#put(4, c + (c << 3));
    this.#put(8, ((c << 21) | (c >>> 11)) + number);
    this.#put(12, counter + 1);
    return number >>> 0;
  }

  /** Keeps the state in a kernel's memory, or no longer. */
  keep(place: Place | undefined): void {
    const words = Array.from({ length: RANDOM_BYTES / 4 }, (_, i) => this.#get(4 * i));
    this.#place = place;
    for (const [i, word] of words.entries()) this.#put(4 * i, word);
  }

  #get(offset: number): number {
    const { memory, addr } = this.#place ?? {};
    return memory ? memory.readU32(addr! + offset) : this.#words.getUint32(offset);
  }

  #put(offset: number, word: number): void {
    const { memory, addr } = this.#place ?? {};
    if (memory) memory.writeU32(addr! + offset, word >>> 0);
    else this.#words.setUint32(offset, word >>> 0);
  }
}

/** A generator of 32-bit numbers from a seed. */
export function seededRandom(seed: number): () => number {
  const source = new RandomSource(seed);
  return () => source.next();
}
