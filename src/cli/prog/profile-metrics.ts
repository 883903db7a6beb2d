/** What `prog profile` counts by the processor's counters. */
import { PERF_TYPES } from '../../sys/index.ts';

/** A number of one counter set beside that of another. */
interface Ratio {
  readonly to: string;
  readonly scale: number;
  readonly text: string;
}

export interface Metric {
  readonly name: string;
  readonly type: number;
  readonly config: number;
  readonly ratio?: Ratio;
}

/** `PERF_COUNT_HW_CACHE_…`: which cache, and what of it in the bytes above. */
const CACHE = { l1d: 0, ll: 2, dtlb: 3, itlb: 4 } as const;
const READ = 0 << 8;
const ACCESS = 0 << 16;
const MISS = 1 << 16;

function cache(name: string, which: keyof typeof CACHE, what: number, per?: string): Metric {
  const metric = { name, type: PERF_TYPES.PERF_TYPE_HW_CACHE, config: CACHE[which] | READ | what };
  return per === undefined ? metric : { ...metric, ratio: { to: 'instructions', scale: 1e6, text: per } };
}

/** In the order in which they are printed. */
export const METRICS: readonly Metric[] = [
  { name: 'cycles', type: PERF_TYPES.PERF_TYPE_HARDWARE, config: 0 },
  {
    name: 'instructions',
    type: PERF_TYPES.PERF_TYPE_HARDWARE,
    config: 1,
    ratio: { to: 'cycles', scale: 1, text: 'insns per cycle' },
  },
  cache('l1d_loads', 'l1d', ACCESS),
  cache('llc_misses', 'll', MISS, 'LLC misses per million insns'),
  cache('itlb_misses', 'itlb', MISS, 'itlb misses per million insns'),
  cache('dtlb_misses', 'dtlb', MISS, 'dtlb misses per million insns'),
];

/** Counters that are read around one run at most: each costs time between the reading and the run. */
export const MAX_METRICS = 4;

/** What was counted, over all processors. */
export interface Reading {
  readonly counter: bigint;
  /** Nanoseconds for which it was asked for, and for which the processor had a counter for it. */
  readonly enabled: bigint;
  readonly running: bigint;
}

/** A line of text for what was counted. @param others the readings by name */
export function metricLine(metric: Metric, others: ReadonlyMap<string, Reading>): string {
  const { counter, enabled, running } = others.get(metric.name)!;
  const { ratio } = metric;
  const base = ratio && others.get(ratio.to)?.counter;
  let text = countedLine(counter, metric.name);
  text +=
    ratio && base
      ? `# ${((Number(counter) * ratio.scale) / Number(base)).toFixed(2).padStart(8)} ${ratio.text.padEnd(30)}`
      : ' '.repeat(41);
  if (enabled > running) text += `(${((Number(running) * 100) / Number(enabled)).toFixed(2)}%)`;
  return `${text}\n`;
}

/** A number and what it is of, without a line break. */
export function countedLine(count: bigint, name: string): string {
  return `${String(count).padStart(18)} ${name.padEnd(20)}`;
}
