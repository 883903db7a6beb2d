/** A record of a ring or perf buffer where it lies. It is good until the reader takes its next step. */
export class BufferRecord {
  /** Which buffer it came from: the CPU of a perf buffer, the place in the list of ring buffers. */
  readonly source: number;
  /** The memory that it lies in; that of the whole buffer as a rule. */
  bytes: Uint8Array;
  /** Where it begins in {@link bytes}. */
  offset = 0;
  /** Bytes. */
  size = 0;
  /** Nanoseconds on `CLOCK_MONOTONIC`, where the buffer was opened with times; else 0. */
  time = 0n;

  constructor(source: number) {
    this.source = source;
    this.bytes = NOTHING;
  }

  /** The record itself, not copied: a window into the kernel's memory. */
  get data(): Uint8Array {
    return this.bytes.subarray(this.offset, this.offset + this.size);
  }

  /** The record as numbers, not copied. */
  get view(): DataView {
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + this.offset, this.size);
  }

  /** The bytes of the record, to keep. */
  copy(): Uint8Array<ArrayBuffer> {
    const copy = new Uint8Array(this.size);
    copy.set(this.data);
    return copy;
  }
}

const NOTHING = new Uint8Array(0);

/** A buffer that is read by one. */
export interface RecordSource {
  /** A record that is used again for each step. */
  readonly record: BufferRecord;
  /** Records that the kernel says it had no room for, so far. */
  readonly lost: number;
  /**
   * Steps to the next record, and lets the room of those before it go.
   * @param keep those before it are still looked at: their room stays theirs
   * @returns whether there was one; `record` is then filled
   */
  next(record: BufferRecord, keep?: boolean): boolean;
  /** Gives the room of the records so far back to the kernel now. */
  release(): void;
  close(): void;
}
