/**
 * Software events: counters that programs read, and those that they write samples to (`PERF_COUNT_SW_BPF_OUTPUT`), with
 * their rings. A ring comes to be when it
 * is mapped, lies in the kernel's memory as Linux lays it out, and goes with the last mapping; before, samples are lost.
 *
 * @see include/uapi/linux/perf_event.h, struct perf_event_mmap_page; kernel/events/ring_buffer.c
 */
import type { Errno } from '../../sys/errno.ts';
import { PERF_PAGE, PERF_RECORD, PERF_SAMPLE } from '../../sys/perf.ts';
import { type Addr, at } from '../memory/index.ts';
import type { Machine } from './machine.ts';
import { KernelObject } from './object.ts';

/** A record of a perf ring: raw bytes, or the news that some were lost. */
export type PerfRecord =
  | { readonly kind: 'sample'; readonly cpu: number; readonly data: Uint8Array }
  | { readonly kind: 'lost'; readonly cpu: number; readonly count: number };

const PAGE = 4096;
/** `struct perf_event_header` */
const HEADER = 8;
const LOST_SIZE = 24;
/** What is written before a raw sample, in the order in which it is written. */
const { PERF_SAMPLE_TID, PERF_SAMPLE_TIME, PERF_SAMPLE_CPU, PERF_SAMPLE_RAW } = PERF_SAMPLE;
/** `size` of `struct perf_event_header` has 16 bits. */
const MOST = 0xffff;

/** What an event counts: nanoseconds, or what never happens here; `output` is there to be written to. */
export type PerfCounter = 'clock' | 'nothing' | 'output';

/** What of `struct perf_event_attr` matters here. */
export interface PerfEventSpec {
  /** -1: every CPU, of a process. */
  readonly cpu: number;
  /** Default output. */
  readonly counter?: PerfCounter;
  /** It counts nothing, not even the time. */
  readonly disabled?: boolean;
  /** Bits of `PERF_SAMPLE`; default raw. */
  readonly sampleType?: number;
  /** A reader is woken after so many samples, or bytes with `watermark`; 0: when the ring is half full. */
  readonly wakeup?: number;
  readonly watermark?: boolean;
  /** The newest record first, over the oldest. */
  readonly backward?: boolean;
}

interface Ring {
  readonly page: Addr;
  readonly data: Addr;
  /** Bytes of the data: a power of two, or 0. */
  readonly size: number;
  /** Mapped read-only: nobody says what was read, so old records are written over. */
  readonly overwrite: boolean;
  readonly watermark: number;
  mappings: number;
  head: number;
  /** Bytes up to which a reader was woken. */
  woken: number;
  /** Samples since a reader was woken. */
  samples: number;
}

export class PerfEvent extends KernelObject<'perf_event'> {
  readonly cpu: number;
  readonly counter: PerfCounter;
  readonly #opened: bigint;
  readonly #machine: Machine;
  readonly #spec: PerfEventSpec;
  readonly #sampleType: number;
  #ring: Ring | undefined;
  #paused = false;
  #lost = 0;
  /** Called when a reader is to be woken. */
  onRecord: (() => void) | undefined;

  constructor(machine: Machine, spec: PerfEventSpec) {
    super('perf_event');
    this.cpu = spec.cpu;
    this.counter = spec.counter ?? 'output';
    this.#opened = machine.clock.monotonic();
    this.#machine = machine;
    this.#spec = spec;
    this.#sampleType = spec.sampleType ?? PERF_SAMPLE_RAW;
  }

  /** Whether it is of that CPU. */
  isOn(cpu: number): boolean {
    return this.cpu === -1 || this.cpu === cpu;
  }

  /** Whether samples can be written to it on that CPU. */
  runsOn(cpu: number): boolean {
    return !this.#spec.disabled && this.isOn(cpu);
  }

  /** What was counted, and the nanoseconds for which it was enabled, which it was all that time. */
  count(): { readonly count: bigint; readonly enabled: bigint } {
    const enabled = this.#spec.disabled ? 0n : this.#machine.clock.monotonic() - this.#opened;
    return { count: this.counter === 'clock' ? enabled : 0n, enabled };
  }

  /** Whether there is something to read. */
  get readable(): boolean {
    const ring = this.#ring;
    return ring !== undefined && ring.head !== this.#tail(ring);
  }

  /**
   * Maps the ring, and makes it the first time. @param length a page, and a power of two of pages for the records
   * @throws InputError `ENOMEM`
   */
  map(length: number, writable: boolean): Addr | Errno {
    const pages = length / PAGE - 1;
    if (pages !== 0 && !(pages > 0 && Number.isInteger(Math.log2(pages)))) return 'EINVAL';
    const size = pages * PAGE;
    this.#ring ??= this.#createRing(size, writable);
    if (this.#ring.size !== size) return 'EINVAL';
    this.#ring.mappings += 1;
    return this.#ring.page;
  }

  #createRing(size: number, writable: boolean): Ring {
    const { memory } = this.#machine;
    const page = memory.allocate(PAGE + size, { kind: 'kernel', owner: 'perf ring', access: 'none' });
    memory.writeU32(page + PERF_PAGE.data_offset, PAGE);
    memory.writeU32(page + PERF_PAGE.data_size, size);
    const { watermark = false, wakeup = 0 } = this.#spec;
    const mark = watermark ? Math.min(wakeup, size) : 0;
    return {
      page,
      data: at(page, PAGE),
      size,
      overwrite: !writable,
      watermark: mark || size / 2,
      mappings: 0,
      head: 0,
      woken: 0,
      samples: 0,
    };
  }

  /** A mapping ends. */
  unmap(): void {
    const ring = this.#ring;
    if (!ring) return;
    ring.mappings -= 1;
    if (ring.mappings > 0) return;
    this.#machine.memory.free(ring.page);
    this.#ring = undefined;
  }

  /** @returns whether there is a ring to pause */
  pause(paused: boolean): boolean {
    if (!this.#ring?.size) return false;
    this.#paused = paused;
    return true;
  }

  /** What was lost and not told of in a record, which comes with the next sample. It is then told. */
  takeLost(): number {
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }

  #tail(ring: Ring): number {
    const { memory } = this.#machine;
    const place = ring.page + PERF_PAGE.data_tail;
    return memory.readU32(place) + memory.readU32(place + 4) * 2 ** 32;
  }

  /** Bytes between a record's header and its raw data, the size of the data included. */
  get #prefix(): number {
    const type = this.#sampleType;
    return 8 * [PERF_SAMPLE_TID, PERF_SAMPLE_TIME, PERF_SAMPLE_CPU].filter((bit) => type & bit).length + 4;
  }

  /** @returns whether there was room */
  write(data: Uint8Array): boolean {
    const ring = this.#ring;
    if (!ring?.size) return false;
    if (this.#paused) {
      this.#lost += 1;
      return false;
    }
    const raw = (this.#sampleType & PERF_SAMPLE_RAW) !== 0;
    // Linux pads the sample with its own bytes to a whole number of words; a reader sees the padding.
    const size = Math.ceil((HEADER + this.#prefix + (raw ? data.length : -4)) / 8) * 8;
    const lostSize = this.#lost > 0 ? LOST_SIZE : 0;
    const { backward = false } = this.#spec;
    if (size > MOST || (!ring.overwrite && !this.#hasRoom(ring, size + lostSize, backward))) {
      this.#lost += 1;
      return false;
    }
    const from = ring.head;
    ring.head += (backward ? -1 : 1) * (size + lostSize);
    let position = backward ? ring.head : from;
    if (lostSize > 0) {
      this.#put(ring, position, this.#lostRecord());
      position += lostSize;
    }
    this.#put(ring, position, this.#sampleHeader(size, raw));
    if (raw) this.#put(ring, position + HEADER + this.#prefix, data);
    const padding = raw ? size - HEADER - this.#prefix - data.length : 0;
    if (padding > 0) this.#put(ring, position + size - padding, ZEROS.subarray(0, padding));
    this.#publish(ring);
    return true;
  }

  #hasRoom(ring: Ring, size: number, backward: boolean): boolean {
    const tail = this.#tail(ring);
    const used = backward ? tail - ring.head : ring.head - tail;
    return ring.size - 1 - used >= size;
  }

  #lostRecord(): Uint8Array {
    const view = new DataView(new ArrayBuffer(LOST_SIZE));
    view.setUint32(0, PERF_RECORD.PERF_RECORD_LOST, true);
    view.setUint16(6, LOST_SIZE, true);
    view.setBigUint64(8, BigInt(this.id), true);
    view.setBigUint64(16, BigInt(this.takeLost()), true);
    return new Uint8Array(view.buffer);
  }

  #sampleHeader(size: number, raw: boolean): Uint8Array {
    const prefix = this.#prefix;
    const view = new DataView(new ArrayBuffer(HEADER + prefix));
    view.setUint32(0, PERF_RECORD.PERF_RECORD_SAMPLE, true);
    view.setUint16(6, size, true);
    const { clock, cpu } = this.#machine;
    let offset = HEADER;
    // The task that runs is not the ring's to know.
    if (this.#sampleType & PERF_SAMPLE_TID) offset += 8;
    if (this.#sampleType & PERF_SAMPLE_TIME) {
      view.setBigUint64(offset, clock.monotonic(), true);
      offset += 8;
    }
    if (this.#sampleType & PERF_SAMPLE_CPU) {
      view.setUint32(offset, cpu, true);
      offset += 8;
    }
    if (raw) view.setUint32(offset, size - HEADER - prefix, true);
    return new Uint8Array(view.buffer, 0, raw ? HEADER + prefix : offset);
  }

  #put(ring: Ring, position: number, bytes: Uint8Array): void {
    const { memory } = this.#machine;
    const start = (position % ring.size) + (position < 0 && position % ring.size !== 0 ? ring.size : 0);
    const first = Math.min(bytes.length, ring.size - start);
    if (first === bytes.length) {
      memory.write(at(ring.data, start), bytes);
    } else {
      memory.write(at(ring.data, start), bytes.subarray(0, first));
      memory.write(ring.data, bytes.subarray(first));
    }
  }

  /** Shows the records to the reader, and wakes it when it is time. */
  #publish(ring: Ring): void {
    const { memory } = this.#machine;
    const place = ring.page + PERF_PAGE.data_head;
    const { head } = ring;
    memory.writeU32(place, head >>> 0);
    memory.writeU32(place + 4, Math.floor(head / 2 ** 32) >>> 0);
    const { wakeup = 0, watermark = false } = this.#spec;
    let wake = false;
    if (Math.abs(head) - ring.woken > ring.watermark) {
      ring.woken += ring.watermark;
      wake = true;
    }
    if (!watermark && wakeup > 0 && ++ring.samples >= wakeup) {
      ring.samples -= wakeup;
      wake = true;
    }
    if (wake) this.onRecord?.();
  }

  /** Takes all records there are, in order. */
  *read(): Iterable<PerfRecord> {
    const { cpu } = this;
    const ring = this.#ring;
    if (!ring) return;
    for (let tail = this.#tail(ring); tail !== ring.head; tail = this.#tail(ring)) {
      const header = new DataView(this.#take(ring, tail, HEADER).buffer);
      const size = header.getUint16(6, true);
      const bytes = this.#take(ring, tail, size);
      const view = new DataView(bytes.buffer);
      const { memory } = this.#machine;
      memory.writeU64(ring.page + PERF_PAGE.data_tail, BigInt(tail + size));
      if (header.getUint32(0, true) === PERF_RECORD.PERF_RECORD_LOST) {
        yield { kind: 'lost', cpu, count: Number(view.getBigUint64(16, true)) };
      } else {
        yield { kind: 'sample', cpu, data: bytes.subarray(HEADER + this.#prefix) };
      }
    }
    const count = this.takeLost();
    if (count > 0) yield { kind: 'lost', cpu, count };
  }

  #take(ring: Ring, position: number, size: number): Uint8Array<ArrayBuffer> {
    const { memory } = this.#machine;
    const start = position % ring.size;
    const bytes = new Uint8Array(size);
    const first = Math.min(size, ring.size - start);
    bytes.set(memory.window(at(ring.data, start), first));
    if (first < size) bytes.set(memory.window(ring.data, size - first), first);
    return bytes;
  }

  override releaseUser(): void {}

  override destroy(): void {
    if (this.#ring) this.#machine.memory.free(this.#ring.page);
    this.#ring = undefined;
  }
}

const ZEROS = new Uint8Array(8);
