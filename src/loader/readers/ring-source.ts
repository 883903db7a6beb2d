/**
 * The consumer's side of a ring buffer: a page with the consumer's position, one with the producer's, then the data,
 * twice in a row so that a record never wraps. Positions are bytes since creation.
 *
 * @see Documentation/bpf/ringbuf.rst
 */
import type { Fd, Kernel, Mapping } from '../../sys/index.ts';
import { BufferRecord, type RecordSource } from './record.ts';

const PAGE = 4096;
const HEADER = 8;
/** The flags in a header's first word; the sign is the busy bit. */
const DISCARD = 0x4000_0000;
const LENGTH = 0x3fff_ffff;

export class RingSource implements RecordSource {
  readonly record: BufferRecord;
  readonly lost = 0;
  readonly #own: Mapping;
  readonly #shared: Mapping;
  readonly #mask: number;
  /** Room that is given back at once, in bytes: telling the kernel costs more than reading a short record. */
  readonly #lag: number;
  #position = 0;
  #released = 0;
  #produced = 0;
  /** {@link #position} in the data. */
  #place = 0;
  #ownBytes: Uint8Array;
  #bytes: Uint8Array;
  #consumer!: BigUint64Array;
  #producer!: BigUint64Array;
  #words!: Int32Array;

  /** @param size of the data, in bytes: the map's `max_entries` */
  constructor(kernel: Kernel, fd: Fd, size: number, source: number) {
    this.record = new BufferRecord(source);
    this.#mask = size - 1;
    this.#lag = size >> 4;
    this.#own = kernel.os.mmap(fd, { length: PAGE, writable: true });
    try {
      this.#shared = kernel.os.mmap(fd, { offset: PAGE, length: PAGE + 2 * size });
    } catch (error) {
      this.#own.close();
      throw error;
    }
    this.#ownBytes = this.#own.bytes;
    this.#bytes = this.#shared.bytes;
    this.#look();
    this.#position = Number(Atomics.load(this.#consumer, 0));
    this.#released = this.#position;
    this.#produced = this.#position;
    this.#place = this.#position % size;
  }

  /** Finds the memory again, which an embedded kernel moves when it grows. */
  #look(): void {
    this.#ownBytes = this.#own.bytes;
    this.#bytes = this.#shared.bytes;
    const { buffer, byteOffset, length } = this.#bytes;
    this.#consumer = new BigUint64Array(this.#ownBytes.buffer, this.#ownBytes.byteOffset, 1);
    this.#producer = new BigUint64Array(buffer, byteOffset, 1);
    this.#words = new Int32Array(buffer, byteOffset, length >> 2);
  }

  next(record: BufferRecord, keep = false): boolean {
    if (this.#shared.bytes !== this.#bytes) this.#look();
    if (!keep && this.#position - this.#released > this.#lag) this.release();
    for (;;) {
      if (this.#position === this.#produced && !this.#more(keep)) return false;
      const place = this.#place;
      const word = (PAGE + place) >> 2;
      let header = Atomics.load(this.#words, word);
      if (header < 0) {
        if (keep) return false;
        // The producer wakes who has read up to the record that it finishes: it must see the position first.
        this.release();
        header = Atomics.load(this.#words, word);
        if (header < 0) return false;
      }
      const length = header & LENGTH;
      const step = (length + HEADER + 7) & ~7;
      this.#position += step;
      this.#place = (place + step) & this.#mask;
      if ((header & DISCARD) !== 0) continue;
      record.bytes = this.#bytes;
      record.offset = PAGE + place + HEADER;
      record.size = length;
      return true;
    }
  }

  #more(keep: boolean): boolean {
    if (!keep) this.release();
    this.#produced = Number(Atomics.load(this.#producer, 0));
    return this.#position !== this.#produced;
  }

  release(): void {
    if (this.#released === this.#position) return;
    if (this.#own.bytes !== this.#ownBytes) this.#look();
    Atomics.store(this.#consumer, 0, BigInt(this.#position));
    this.#released = this.#position;
  }

  close(): void {
    this.#shared.close();
    this.#own.close();
  }
}
