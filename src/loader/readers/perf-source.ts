/**
 * The reader's side of a perf event's ring: a page whose `data_head` the kernel writes and whose `data_tail` the reader
 * writes, then the records.
 *
 * @see include/uapi/linux/perf_event.h, struct perf_event_mmap_page, enum perf_event_type
 */
import { type Fd, type Kernel, type Mapping, PERF_PAGE, PERF_RECORD } from '../../sys/index.ts';
import { BufferRecord, type RecordSource } from './record.ts';

const PAGE = 4096;
/** `struct perf_event_header` */
const HEADER = 8;

export class PerfSource implements RecordSource {
  readonly record: BufferRecord;
  lost = 0;
  readonly #mapping: Mapping;
  readonly #size: number;
  readonly #lag: number;
  /** Bytes between a record's header and its raw data. */
  readonly #prefix: number;
  #position = 0;
  #released = 0;
  #head = 0;
  #bytes: Uint8Array;
  #view!: DataView;
  #page!: BigUint64Array;
  /** Room for records that reach over the end of the ring. */
  #joined = new Uint8Array(0);

  /**
   * @param size of the records' room, in bytes
   * @param times each sample begins with its time
   */
  constructor(kernel: Kernel, event: Fd, size: number, cpu: number, times: boolean) {
    this.record = new BufferRecord(cpu);
    this.#size = size;
    this.#lag = size >> 4;
    this.#prefix = times ? 12 : 4;
    this.#mapping = kernel.os.mmap(event, { length: PAGE + size, writable: true });
    this.#bytes = this.#mapping.bytes;
    this.#look();
  }

  #look(): void {
    this.#bytes = this.#mapping.bytes;
    const { buffer, byteOffset, length } = this.#bytes;
    this.#view = new DataView(buffer, byteOffset, length);
    this.#page = new BigUint64Array(buffer, byteOffset, PAGE / 8);
  }

  next(record: BufferRecord, keep = false): boolean {
    if (this.#mapping.bytes !== this.#bytes) this.#look();
    if (!keep && this.#position - this.#released > this.#lag) this.release();
    for (;;) {
      if (this.#position === this.#head && !this.#more(keep)) return false;
      const place = this.#position % this.#size;
      const header = PAGE + place;
      const type = this.#view.getUint32(header, true);
      const size = this.#view.getUint16(header + 6, true);
      this.#position += size;
      const wraps = place + size > this.#size;
      const bytes = wraps ? this.#join(place, size, keep) : this.#bytes;
      const start = (wraps ? 0 : header) + HEADER;
      if (type === PERF_RECORD.PERF_RECORD_SAMPLE) {
        this.#sample(record, bytes, wraps ? viewOf(bytes) : this.#view, start);
        return true;
      }
      if (type === PERF_RECORD.PERF_RECORD_LOST) {
        this.lost += Number((wraps ? viewOf(bytes) : this.#view).getBigUint64(start + 8, true));
      }
    }
  }

  #sample(record: BufferRecord, bytes: Uint8Array, view: DataView, start: number): void {
    record.bytes = bytes;
    record.offset = start + this.#prefix;
    record.size = view.getUint32(record.offset - 4, true);
    if (this.#prefix === 12) record.time = view.getBigUint64(start, true);
  }

  /** A record in one piece. */
  #join(place: number, size: number, keep: boolean): Uint8Array {
    if (keep || this.#joined.length < size) this.#joined = new Uint8Array(size);
    const first = this.#size - place;
    this.#joined.set(this.#bytes.subarray(PAGE + place));
    this.#joined.set(this.#bytes.subarray(PAGE, PAGE + size - first), first);
    return this.#joined;
  }

  #more(keep: boolean): boolean {
    if (!keep) this.release();
    this.#head = Number(Atomics.load(this.#page, PERF_PAGE.data_head / 8));
    return this.#position !== this.#head;
  }

  release(): void {
    if (this.#released === this.#position) return;
    if (this.#mapping.bytes !== this.#bytes) this.#look();
    Atomics.store(this.#page, PERF_PAGE.data_tail / 8, BigInt(this.#position));
    this.#released = this.#position;
  }

  close(): void {
    this.#mapping.close();
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
