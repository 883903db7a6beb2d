/** The programs that read counters before and after each run of another, and what they leave in their maps. */
import { type Assembly, assembleLlvm } from '../../isa/index.ts';
import { type Fd, helperId, isHelper, type Kernel } from '../../sys/index.ts';
import type { Reading } from './profile-metrics.ts';

/** `struct bpf_perf_event_value`: counter, enabled, running. */
const READING = 24;
const FIELDS = [0, 8, 16];
/** Where on the stack: the key of a lookup, the places that readings go to, the readings after the run. */
const KEY = -4;
const PLACES = -16;
const AFTER = -48;

/** The maps that both programs use. */
export interface ProfileMaps {
  /** The counters: those of the first metric on each processor, then those of the second. */
  readonly events: Fd;
  /** By metric, on each processor: the reading before the run; the sum over all runs. */
  readonly before: Fd;
  readonly sums: Fd;
  /** How many runs were counted, on each processor. */
  readonly runs: Fd;
}

export function makeProfileMaps(kernel: Kernel, metrics: number): ProfileMaps {
  const perCpu = (value_size: number, max_entries: number) =>
    kernel.bpf.map_create({ map_type: 'percpu_array', key_size: 4, value_size, max_entries });
  return {
    events: kernel.bpf.map_create({
      map_type: 'perf_event_array',
      key_size: 4,
      value_size: 4,
      max_entries: metrics * kernel.possibleCpus,
    }),
    before: perCpu(READING, metrics),
    sums: perCpu(READING, metrics),
    runs: perCpu(8, 1),
  };
}

/** Which of the two: before a run, or after it. */
export type ProfileEnd = 'entry' | 'exit';

/** @param cpus possible processors: the counters of a metric are so many entries apart */
export function profileProgram(
  end: ProfileEnd,
  maps: ProfileMaps,
  metrics: number,
  cpus: number,
): Uint8Array {
  const text = end === 'entry' ? entryText(maps, metrics, cpus) : exitText(maps, metrics, cpus);
  return assemble(text).bytes;
}

function assemble(text: string): Assembly {
  return assembleLlvm(text, {
    what: 'the profiler',
    helper: (name) => {
      const short = name.replace(/^bpf_/, '');
      return isHelper(short) ? helperId(short) : undefined;
    },
  });
}

function all(metrics: number, text: (metric: number) => string): string {
  return Array.from({ length: metrics }, (_, metric) => text(metric)).join('');
}

/** The element of a map at a constant key; 0 in r0 where there is none. */
function lookup(map: Fd, key: number): string {
  return `
    *(u32 *)(r10 - ${-KEY}) = ${key}
    r1 = map[id:${map}]
    r2 = r10
    r2 += ${KEY}
    call bpf_map_lookup_elem`;
}

/** Reads a metric's counter of this processor, which is in r6, to where r3 points; leaves the program when it can't. */
function read(events: Fd, metric: number, cpus: number): string {
  return `
    r1 = map[id:${events}]
    r2 = r6
    r2 += ${metric * cpus}
    r4 = ${READING}
    call bpf_perf_event_read_value
    if r0 != 0 goto Lout`;
}

/** The places are looked up before the first counter is read, so that little happens between a reading and the run. */
function entryText({ events, before }: ProfileMaps, metrics: number, cpus: number): string {
  return `
    call bpf_get_smp_processor_id
    r6 = r0
    ${all(
      metrics,
      (metric) => `${lookup(before, metric)}
    if r0 == 0 goto Lout
    *(u64 *)(r10 - ${8 * metric - PLACES}) = r0`,
    )}
    ${all(
      metrics,
      (metric) => `
    r3 = *(u64 *)(r10 - ${8 * metric - PLACES})${read(events, metric, cpus)}`,
    )}
  Lout:
    r0 = 0
    exit`;
}

function exitText({ events, before, sums, runs }: ProfileMaps, metrics: number, cpus: number): string {
  const after = (metric: number) => AFTER + -READING * (metric + 1);
  return `
    call bpf_get_smp_processor_id
    r6 = r0
    ${all(
      metrics,
      (metric) => `
    r3 = r10
    r3 += ${after(metric)}${read(events, metric, cpus)}`,
    )}
    ${lookup(runs, 0)}
    if r0 == 0 goto Lout
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
    ${all(
      metrics,
      (metric) => `${lookup(before, metric)}
    if r0 == 0 goto Lnext${metric}
    r7 = r0
    r1 = *(u64 *)(r7 + 0)
    if r1 == 0 goto Lnext${metric}${lookup(sums, metric)}
    if r0 == 0 goto Lnext${metric}
    ${FIELDS.map((field) => addDifference(after(metric), field)).join('')}
  Lnext${metric}:`,
    )}
  Lout:
    r0 = 0
    exit`;
}

/** Adds how much a member of the reading has grown, since that in r7, to the sum in r0. */
function addDifference(after: number, field: number): string {
  return `
    r1 = *(u64 *)(r10 - ${-after - field})
    r2 = *(u64 *)(r7 + ${field})
    r1 -= r2
    r2 = *(u64 *)(r0 + ${field})
    r2 += r1
    *(u64 *)(r0 + ${field}) = r2`;
}

/** What was counted so far, over all processors. */
export function readProfile(
  kernel: Kernel,
  { sums, runs }: ProfileMaps,
  metrics: number,
): { readonly runs: bigint; readonly readings: readonly Reading[] } {
  const readings = Array.from({ length: metrics }, (_, metric) => {
    const view = lookupPerCpu(kernel, sums, metric);
    const [counter = 0n, enabled = 0n, running = 0n] = FIELDS.map((field) => total(view, READING, field));
    return { counter, enabled, running };
  });
  return { runs: total(lookupPerCpu(kernel, runs, 0), 8, 0), readings };
}

function lookupPerCpu(kernel: Kernel, map_fd: Fd, index: number): DataView {
  const key = new Uint8Array(Uint32Array.of(index).buffer);
  const value = kernel.bpf.map_lookup_elem({ map_fd, key });
  return value
    ? new DataView(value.buffer, value.byteOffset, value.length)
    : new DataView(new ArrayBuffer(0));
}

/** The sum of a member over the values of all processors. */
function total(view: DataView, stride: number, field: number): bigint {
  let sum = 0n;
  for (let at = field; at < view.byteLength; at += stride) sum += view.getBigUint64(at, true);
  return BigInt.asUintN(64, sum);
}
