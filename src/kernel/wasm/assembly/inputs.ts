/** What a kernel is given from outside, as programs see it: the time and random numbers. Each processor has its own. */
import { AREA_IS_GIVEN, AREA_RANDOM, AREA_READS, AREA_TIME } from './area-layout';
import { now, random } from './host';

/** Reads of the clock for one look at the host's, which takes as long as ten of these. */
const READS: u32 = 16;

/** Nanoseconds of the monotonic clock: as they are at a run's first read, later at most some reads old. */
export function clock_ns(area: u32): u64 {
  const reads = load<u32>(area, AREA_READS);
  if (reads !== 0) {
    store<u32>(area, reads - 1, AREA_READS);
    return load<u64>(area, AREA_TIME);
  }
  const time = <u64>now();
  store<u64>(area, time, AREA_TIME);
  store<u32>(area, READS - 1, AREA_READS);
  return time;
}

/** Nanoseconds of a tick: `CONFIG_HZ` is 250. */
const TICK: u64 = 4_000_000;
/** `INITIAL_JIFFIES`: the counter starts five minutes before it wraps 32 bits. */
const INITIAL_JIFFIES: u64 = (1 << 32) - 300 * 250;

/** The time of the last tick. */
export function clock_coarse_ns(area: u32): u64 {
  return (clock_ns(area) / TICK) * TICK;
}

export function clock_jiffies(area: u32): u64 {
  return INITIAL_JIFFIES + clock_ns(area) / TICK;
}

/** 32 random bits: sfc32, by Chris Doty-Humphrey, as the kernel's own generator makes them. */
export function prandom(area: u32): u32 {
  if (load<u32>(area, AREA_IS_GIVEN) !== 0) return random();
  const state = area + AREA_RANDOM;
  const b = load<u32>(state, 4);
  const c = load<u32>(state, 8);
  const counter = load<u32>(state, 12);
  const number = load<u32>(state) + b + counter;
  store<u32>(state, b ^ (b >>> 9));
  store<u32>(state, c + (c << 3), 4);
  store<u32>(state, rotl<u32>(c, 21) + number, 8);
  store<u32>(state, counter + 1, 12);
  return number;
}
