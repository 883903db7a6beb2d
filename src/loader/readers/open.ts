import { InputError } from '../../base/error.ts';
import {
  type Fd,
  type Kernel,
  type MapInfo,
  type MapType,
  PERF_PAGE,
  PERF_RECORD,
  PERF_SAMPLE,
  PERF_SOFTWARE,
  PERF_TYPES,
} from '../../sys/index.ts';
import { PerfSource } from './perf-source.ts';
import { RecordReader } from './reader.ts';
import { RingSource } from './ring-source.ts';

const PAGE = 4096;
const CLOCK_MONOTONIC = 1;

/** A map, by its file descriptor or as an object was loaded with it. */
export type MapRef = Fd | { readonly fd: Fd };

export function fdOf(map: MapRef): Fd {
  return typeof map === 'object' ? map.fd : map;
}

/** What the map is, if it is of the type. @throws InputError `EINVAL` */
export function mapOfType(kernel: Kernel, map: MapRef, type: MapType, doing: string): MapInfo {
  const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fdOf(map) });
  if (info.kind === 'map' && info.type === type) return info;
  const found = info.kind === 'map' ? `a ${info.type} map` : `no map but a ${info.kind}`;
  throw new InputError('reader-map', `${doing} fd ${fdOf(map)}: it is ${found}, not a ${type} map (EINVAL)`, {
    errno: 'EINVAL',
  });
}

/**
 * Opens ring buffers for reading, one or several at once.
 *
 * A producer wakes the reader when it has caught up; records that are submitted with `BPF_RB_NO_WAKEUP` are seen when
 * another wakes it, or by {@link RecordReader.drain}.
 */
export function openRingBuffer(kernel: Kernel, maps: MapRef | readonly MapRef[]): RecordReader {
  const list: readonly MapRef[] = Array.isArray(maps) ? maps : [maps as MapRef];
  const fds = list.map(fdOf);
  const sources: RingSource[] = [];
  try {
    for (const [i, fd] of fds.entries()) {
      const { max_entries } = mapOfType(kernel, fd, 'ringbuf', 'reading ring buffer');
      sources.push(new RingSource(kernel, fd, max_entries, i));
    }
  } catch (error) {
    for (const source of sources) source.close();
    throw error;
  }
  return new RecordReader({ kernel, sources, fds, close: () => {} });
}

export interface PerfBufferOptions {
  /** Pages of 4 KiB for each CPU: a power of two; default 64. */
  readonly pages?: number;
  /** The reader is woken after so many records of a CPU, or so many bytes; default each record. */
  readonly wakeup?: { readonly records: number } | { readonly bytes: number };
  /** Each record has the time when it was written, on the clock of `bpf_ktime_get_ns`; default false. */
  readonly times?: boolean;
  /** Default: every CPU that the map has a slot for and that is online. */
  readonly cpus?: readonly number[];
}

interface OpenEvent {
  readonly cpu: number;
  readonly fd: Fd;
}

/** Puts an event of each CPU into the map. */
function openEvents(kernel: Kernel, map: MapRef, options: PerfBufferOptions, backward: boolean): OpenEvent[] {
  const { max_entries } = mapOfType(kernel, map, 'perf_event_array', 'reading perf buffer');
  const { wakeup = { records: 1 }, times = false, pages = 64 } = options;
  if (!(pages > 0) || !Number.isInteger(Math.log2(pages))) {
    throw new InputError(
      'reader-pages',
      `opening perf buffer fd ${fdOf(map)}: pages is ${pages}, but must be a power of two (EINVAL)`,
      { errno: 'EINVAL' },
    );
  }
  const all = Math.min(kernel.possibleCpus, max_entries);
  const events: OpenEvent[] = [];
  try {
    for (const cpu of options.cpus ?? Array.from({ length: all }, (_, i) => i)) {
      const fd = openEvent(kernel, cpu, { wakeup, times, backward }, options.cpus !== undefined);
      if (fd !== undefined) events.push({ cpu, fd });
    }
    return events;
  } catch (error) {
    for (const { fd } of events) kernel.closeFd(fd);
    throw error;
  }
}

interface EventOptions {
  readonly wakeup: { readonly records: number } | { readonly bytes: number };
  readonly times: boolean;
  readonly backward: boolean;
}

function openEvent(
  kernel: Kernel,
  cpu: number,
  { wakeup, times, backward }: EventOptions,
  needed: boolean,
): Fd | undefined {
  const bytes = 'bytes' in wakeup;
  try {
    return kernel.os.perf_event_open({
      type: PERF_TYPES.PERF_TYPE_SOFTWARE,
      config: PERF_SOFTWARE.PERF_COUNT_SW_BPF_OUTPUT,
      sample_type: PERF_SAMPLE.PERF_SAMPLE_RAW | (times ? PERF_SAMPLE.PERF_SAMPLE_TIME : 0),
      sample_period: 1,
      wakeup: bytes ? wakeup.bytes : wakeup.records,
      watermark: bytes,
      write_backward: backward,
      use_clockid: times,
      clockid: times ? CLOCK_MONOTONIC : 0,
      cpu,
    });
  } catch (error) {
    // A CPU that is possible but offline.
    if (!needed && error instanceof InputError && (error.errno === 'ENODEV' || error.errno === 'ENXIO'))
      return undefined;
    throw error;
  }
}

/** Puts the events in, and returns what takes them out and closes them. */
function fillSlots(kernel: Kernel, map: MapRef, events: readonly OpenEvent[]): () => void {
  const map_fd = fdOf(map);
  const slot = (cpu: number) => new Uint8Array(new Uint32Array([cpu]).buffer);
  for (const { cpu, fd } of events) kernel.bpf.map_update_elem({ map_fd, key: slot(cpu), value: slot(fd) });
  return () => {
    for (const { cpu, fd } of events) {
      try {
        kernel.bpf.map_delete_elem({ map_fd, key: slot(cpu) });
      } catch (error) {
        // The map is closed already, or another reader's event took the place of this one.
        if (!(error instanceof InputError)) throw error;
      }
      kernel.closeFd(fd);
    }
  };
}

/** Opens a perf event array for reading: an event for each CPU, whose number is a record's `source`. */
export function openPerfBuffer(kernel: Kernel, map: MapRef, options: PerfBufferOptions = {}): RecordReader {
  const { pages = 64, times = false } = options;
  const events = openEvents(kernel, map, options, false);
  const sources: PerfSource[] = [];
  try {
    for (const { cpu, fd } of events) sources.push(new PerfSource(kernel, fd, pages * PAGE, cpu, times));
    const close = fillSlots(kernel, map, events);
    return new RecordReader({ kernel, sources, fds: events.map(({ fd }) => fd), close });
  } catch (error) {
    for (const source of sources) source.close();
    for (const { fd } of events) kernel.closeFd(fd);
    throw error;
  }
}

/** A record of an overwritable buffer, copied. */
export interface KeptRecord {
  readonly cpu: number;
  readonly data: Uint8Array;
  /** Nanoseconds on `CLOCK_MONOTONIC`; 0 without `times`. */
  readonly time: bigint;
}

/** The last records that programs wrote, over the older ones: a flight recorder. Nobody is woken. */
export interface PerfRecorder extends Disposable {
  /** What is there now, each CPU's oldest first; by time, where the buffer was opened with times. It stays there. */
  snapshot(): readonly KeptRecord[];
  close(): void;
}

/** Opens a perf event array whose buffers are written over instead of running full. */
export function openPerfRecorder(
  kernel: Kernel,
  map: MapRef,
  options: Omit<PerfBufferOptions, 'wakeup'> = {},
): PerfRecorder {
  const { pages = 64, times = false } = options;
  const events = openEvents(kernel, map, options, true);
  const mappings = events.map(({ fd }) => kernel.os.mmap(fd, { length: (1 + pages) * PAGE }));
  const closeEvents = fillSlots(kernel, map, events);
  const snapshot = (): readonly KeptRecord[] => {
    const records: KeptRecord[] = [];
    for (const [i, { cpu, fd }] of events.entries()) {
      kernel.os.perf_event_pause(fd, true);
      try {
        records.push(...newestFirst(mappings[i]!.bytes, pages * PAGE, cpu, times).reverse());
      } finally {
        kernel.os.perf_event_pause(fd, false);
      }
    }
    if (times) records.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
    return records;
  };
  const close = () => {
    for (const mapping of mappings.splice(0)) mapping.close();
    closeEvents();
  };
  let open = true;
  const end = () => {
    if (open) close();
    open = false;
  };
  return { snapshot, close: end, [Symbol.dispose]: end };
}

/** From the head on, up to where the oldest record is written over in part. */
function newestFirst(bytes: Uint8Array, size: number, cpu: number, times: boolean): KeptRecord[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const head = view.getBigInt64(PERF_PAGE.data_head, true);
  const written = Math.min(Number(-head), size);
  const start = Number(BigInt.asUintN(64, head) % BigInt(size));
  const whole = new Uint8Array(written);
  const first = Math.min(written, size - start);
  whole.set(bytes.subarray(PAGE + start, PAGE + start + first));
  whole.set(bytes.subarray(PAGE, PAGE + written - first), first);
  const records: KeptRecord[] = [];
  const all = new DataView(whole.buffer);
  for (let at = 0; at + 8 <= written; ) {
    const length = all.getUint16(at + 6, true);
    if (length === 0 || at + length > written) break;
    if (all.getUint32(at, true) === PERF_RECORD.PERF_RECORD_SAMPLE) {
      const raw = at + 8 + (times ? 8 : 0);
      records.push({
        cpu,
        time: times ? all.getBigUint64(at + 8, true) : 0n,
        data: whole.slice(raw + 4, raw + 4 + all.getUint32(raw, true)),
      });
    }
    at += length;
  }
  return records;
}
