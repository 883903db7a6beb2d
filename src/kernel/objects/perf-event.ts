import { KernelObject } from './object.ts';

/** A record of a perf ring: raw bytes, or the news that some were lost. */
export type PerfRecord =
  | { readonly kind: 'sample'; readonly cpu: number; readonly data: Uint8Array }
  | { readonly kind: 'lost'; readonly cpu: number; readonly count: number };

const PAGE = 4096;
/** `struct perf_event_header` and the 32-bit size of the raw sample. */
const SAMPLE_HEADER = 8 + 4;
const LOST_SIZE = 24;

/**
 * A software event for `bpf_perf_event_output` on one CPU (`PERF_COUNT_SW_BPF_OUTPUT`) with its ring. Records take the
 * room that they take in Linux's ring, so that the same load loses the same records.
 */
export class PerfEvent extends KernelObject<'perf_event'> {
  readonly cpu: number;
  /** Bytes. */
  readonly capacity: number;
  readonly #records: { record: PerfRecord; size: number }[] = [];
  #used = 0;
  #lost = 0;
  /** Called after each record. */
  onRecord: (() => void) | undefined;

  constructor(cpu: number, pages: number) {
    super('perf_event');
    this.cpu = cpu;
    this.capacity = pages * PAGE;
  }

  /** @returns whether there was room */
  write(data: Uint8Array): boolean {
    const size = Math.ceil((SAMPLE_HEADER + data.length) / 8) * 8;
    const lostSize = this.#lost > 0 ? LOST_SIZE : 0;
    if (this.#used + size + lostSize > this.capacity) {
      this.#lost += 1;
      return false;
    }
    if (this.#lost > 0) this.#push({ kind: 'lost', cpu: this.cpu, count: this.#lost }, lostSize);
    this.#lost = 0;
    // Linux pads the sample with its own bytes to a whole number of words; a reader sees the padding.
    const padded = new Uint8Array(size - SAMPLE_HEADER);
    padded.set(data);
    this.#push({ kind: 'sample', cpu: this.cpu, data: padded }, size);
    this.onRecord?.();
    return true;
  }

  #push(record: PerfRecord, size: number): void {
    this.#records.push({ record, size });
    this.#used += size;
  }

  /** Takes all records there are, in order. */
  *read(): Iterable<PerfRecord> {
    for (;;) {
      const entry = this.#records.shift();
      if (!entry) break;
      this.#used -= entry.size;
      yield entry.record;
    }
    if (this.#lost > 0) {
      const count = this.#lost;
      this.#lost = 0;
      yield { kind: 'lost', cpu: this.cpu, count };
    }
  }

  override releaseUser(): void {}
  override destroy(): void {}
}
