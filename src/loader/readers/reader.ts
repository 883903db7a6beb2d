/** Reads records of ring and perf buffers as they come, on either kernel: one API, several buffers at once. */
import type { Fd, Kernel } from '../../sys/index.ts';
import { BufferRecord, type RecordSource } from './record.ts';

export interface ReadOptions {
  /** Ends the reading: what waits is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface BatchOptions extends ReadOptions {
  /** Most records at once; default 1024. */
  readonly max?: number;
}

/** What a reader is made of. */
export interface ReaderParts {
  readonly kernel: Kernel;
  readonly sources: readonly RecordSource[];
  /** What to wait for. */
  readonly fds: readonly Fd[];
  /** Closes what was opened for the reader alone, after the sources. */
  readonly close: () => void;
}

/** Milliseconds after which other work of the event loop gets its turn, however many records wait. */
const TURN = 10;
/** Records between two looks at the clock. */
const LOOK = 256;

/**
 * Reads records. While someone waits here the process stays alive; nothing is polled. A buffer has one reader: two would
 * take each other's records.
 *
 * A record is good until the next step, however it is taken: copy what is to be kept.
 */
export class RecordReader implements AsyncIterable<BufferRecord>, Disposable, AsyncDisposable {
  /** Records and bytes that were read. */
  records = 0;
  bytes = 0;
  readonly #parts: ReaderParts;
  readonly #sources: readonly RecordSource[];
  /** The source whose turn it is, and how many records it gave in a row. */
  #turn = 0;
  #row = 0;
  /** Those who wait here. */
  readonly #waits = new Set<AbortController>();
  #closed = false;

  constructor(parts: ReaderParts) {
    this.#parts = parts;
    this.#sources = parts.sources;
  }

  /**
   * Records that the kernel had no room for and that a perf buffer told of: with the next sample that found room. Ring
   * buffers do not count them: there the program is told.
   */
  get lost(): number {
    return this.#sources.reduce((sum, { lost }) => sum + lost, 0);
  }

  /** Lost records by buffer: the CPU of a perf buffer. */
  lostBySource(): ReadonlyMap<number, number> {
    return new Map(this.#sources.map(({ record: { source }, lost }) => [source, lost]));
  }

  /** The next record, or `undefined` where none waits now. */
  read(): BufferRecord | undefined {
    for (let i = 0; i < this.#sources.length && !this.#closed; i++) {
      const source = this.#sources[this.#turn]!;
      const { record } = source;
      if (source.next(record)) {
        this.records += 1;
        this.bytes += record.size;
        if (++this.#row === LOOK) this.#nextSource();
        return record;
      }
      this.#nextSource();
    }
    return undefined;
  }

  #nextSource(): void {
    this.#row = 0;
    this.#turn = this.#turn + 1 === this.#sources.length ? 0 : this.#turn + 1;
  }

  /**
   * Calls back for the records that wait now, without waiting. The fastest way.
   * @param max most records to take; the others stay
   * @returns how many there were
   */
  drain(each: (record: BufferRecord) => void, max = Number.POSITIVE_INFINITY): number {
    let count = 0;
    for (let i = 0; i < this.#sources.length && count < max; i++) {
      const source = this.#sources[this.#turn]!;
      const { record } = source;
      while (count < max && !this.#closed && source.next(record)) {
        count += 1;
        this.records += 1;
        this.bytes += record.size;
        each(record);
      }
      if (this.#closed) break;
      source.release();
      this.#nextSource();
    }
    return count;
  }

  /** Calls back for each record as it comes, until the reader is closed. @throws the signal's reason */
  async forEach(each: (record: BufferRecord) => void, options: ReadOptions = {}): Promise<void> {
    const { signal } = options;
    while (!this.#closed) {
      signal?.throwIfAborted();
      const end = performance.now() + TURN;
      let found = 0;
      do found = this.drain(each, LOOK);
      while (found === LOOK && performance.now() < end);
      if (found === LOOK) await nextTurn();
      else if (!this.#closed) await this.#wait(signal);
    }
  }

  /** The records as they come, one at a time. */
  [Symbol.asyncIterator](): AsyncIterableIterator<BufferRecord> {
    return this.each();
  }

  /** The records as they come, one at a time; ends when the reader is closed. */
  each(options: ReadOptions = {}): AsyncIterableIterator<BufferRecord> {
    const { signal } = options;
    let left = LOOK;
    let end = performance.now() + TURN;
    const next = async (): Promise<IteratorResult<BufferRecord, undefined>> => {
      while (!this.#closed) {
        signal?.throwIfAborted();
        if (left-- <= 0) {
          left = LOOK;
          if (performance.now() >= end) {
            await nextTurn();
            end = performance.now() + TURN;
          }
        }
        const record = this.read();
        if (record) return { value: record, done: false };
        await this.#wait(signal);
        end = performance.now() + TURN;
      }
      return { value: undefined, done: true };
    };
    return {
      next,
      return: () => Promise.resolve({ value: undefined, done: true }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** The records in batches: those that wait, at most `max`. All of a batch are good until the next one. */
  async *batches(options: BatchOptions = {}): AsyncGenerator<readonly BufferRecord[], void, void> {
    const { signal, max = 1024 } = options;
    let end = performance.now() + TURN;
    while (!this.#closed) {
      signal?.throwIfAborted();
      const batch = this.#batch(max);
      if (batch.length > 0) yield batch;
      else if (!this.#closed) await this.#wait(signal);
      if (performance.now() >= end) {
        await nextTurn();
        end = performance.now() + TURN;
      }
    }
  }

  #batch(max: number): BufferRecord[] {
    const batch: BufferRecord[] = [];
    for (let i = 0; i < this.#sources.length && batch.length < max; i++) {
      const source = this.#sources[this.#turn]!;
      // Its first step ends the batch before.
      let keep = false;
      while (batch.length < max) {
        const record = new BufferRecord(source.record.source);
        if (!source.next(record, keep)) break;
        keep = true;
        this.records += 1;
        this.bytes += record.size;
        batch.push(record);
      }
      this.#nextSource();
    }
    return batch;
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    if (this.#closed) return;
    const { kernel, fds } = this.#parts;
    const stop = new AbortController();
    const abort = () => stop.abort(signal?.reason);
    signal?.addEventListener('abort', abort);
    this.#waits.add(stop);
    try {
      await kernel.os.poll(fds, stop);
    } catch (error) {
      if (!this.#closed) throw error;
    } finally {
      this.#waits.delete(stop);
      signal?.removeEventListener('abort', abort);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of this.#waits) stop.abort();
    for (const source of this.#sources) source.release();
    for (const source of this.#sources) source.close();
    this.#parts.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}

/** Lets the event loop do what else there is to do. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') setImmediate(resolve);
    else setTimeout(resolve, 0);
  });
}
