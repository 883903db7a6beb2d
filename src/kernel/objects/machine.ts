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

/** A generator of 32-bit numbers from a seed: sfc32, by Chris Doty-Humphrey. */
export function seededRandom(seed: number): () => number {
  let a = 0;
  let b = seed | 0;
  let c = 0x9e37_79b9;
  let counter = 1;
  const next = () => {
    const t = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}
