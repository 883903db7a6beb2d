/**
 * The producer's side of a user ring buffer: programs drain it with `bpf_user_ringbuf_drain`. User space writes the
 * producer's position and the records, whose headers have the same busy and discard bits as in the other direction.
 *
 * @see include/uapi/linux/bpf.h, BPF_MAP_TYPE_USER_RINGBUF; kernel/bpf/ringbuf.c
 */
import { InputError } from '../../base/error.ts';
import type { Fd, Kernel, Mapping } from '../../sys/index.ts';
import { fdOf, type MapRef, mapOfType } from './open.ts';

const PAGE = 4096;
const HEADER = 8;
const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;
const MOST = 0x3fff_ffff;

/** A record to fill. It is neither seen by programs nor passed over until it is submitted or discarded. */
export class Reservation {
  readonly #ring: UserRingWriter;
  readonly #place: number;
  /** Bytes. */
  readonly size: number;
  #open = true;

  /** @param place of the header, in the ring's data */
  constructor(ring: UserRingWriter, place: number, size: number) {
    this.#ring = ring;
    this.#place = place;
    this.size = size;
  }

  /** The record's memory, with whatever was there. */
  get data(): Uint8Array {
    return this.#ring.dataAt(this.#place + HEADER, this.size);
  }

  /** Gives the record to the program that drains next. */
  submit(): void {
    this.#commit(0);
  }

  /** Gives the record up: programs pass over it. */
  discard(): void {
    this.#commit(DISCARD);
  }

  #commit(mark: number): void {
    if (!this.#open) return;
    this.#open = false;
    this.#ring.setHeader(this.#place, this.size | mark);
  }
}

export interface ReserveOptions {
  readonly signal?: AbortSignal;
  /** Milliseconds; default without end. */
  readonly timeout?: number;
}

export class UserRingWriter implements Disposable {
  readonly #kernel: Kernel;
  readonly #fd: Fd;
  readonly #size: number;
  /** The consumer's position, read-only. */
  readonly #other: Mapping;
  /** The producer's position and the data. */
  readonly #own: Mapping;
  #closed = false;

  constructor(kernel: Kernel, map: MapRef) {
    this.#kernel = kernel;
    this.#fd = fdOf(map);
    this.#size = mapOfType(kernel, map, 'user_ringbuf', 'writing user ring buffer').max_entries;
    this.#other = kernel.os.mmap(this.#fd, { length: PAGE });
    try {
      const length = PAGE + 2 * this.#size;
      this.#own = kernel.os.mmap(this.#fd, { offset: PAGE, length, writable: true });
    } catch (error) {
      this.#other.close();
      throw error;
    }
  }

  /**
   * Takes room for a record.
   * @returns `undefined` where there is none now
   * @throws InputError `E2BIG` for more than the ring can ever hold
   */
  reserve(size: number): Reservation | undefined {
    const total = (size + HEADER + 7) & ~7;
    if (this.#closed) throw this.#failure(size, 'it is closed', 'EBADF');
    if (!(size >= 0) || size > MOST || total > this.#size) {
      throw this.#failure(
        size,
        `the whole ring has ${this.#size} bytes, ${HEADER} of them for its header`,
        'E2BIG',
      );
    }
    const consumed = Number(Atomics.load(position(this.#other), 0));
    const produced = position(this.#own);
    const at = Number(Atomics.load(produced, 0));
    if (at + total - consumed > this.#size) return undefined;
    const place = at % this.#size;
    this.setHeader(place, size | BUSY);
    Atomics.store(produced, 0, BigInt(at + total));
    return new Reservation(this, place, size);
  }

  /**
   * Takes room for a record, and waits for it where there is none: programs wake who waits when they have drained.
   * @returns `undefined` after the timeout
   * @throws the signal's reason
   */
  async reserveBlocking(size: number, options: ReserveOptions = {}): Promise<Reservation | undefined> {
    const { signal, timeout } = options;
    const end = timeout === undefined ? undefined : performance.now() + timeout;
    for (;;) {
      signal?.throwIfAborted();
      const reservation = this.reserve(size);
      if (reservation) return reservation;
      const left = end === undefined ? undefined : end - performance.now();
      if (left !== undefined && left <= 0) return undefined;
      await this.#kernel.os.poll([this.#fd], {
        write: true,
        ...(signal && { signal }),
        ...(left !== undefined && { timeout: Math.ceil(left) }),
      });
    }
  }

  /** Writes a record. @returns whether there was room */
  write(data: Uint8Array): boolean {
    const reservation = this.reserve(data.length);
    if (!reservation) return false;
    reservation.data.set(data);
    reservation.submit();
    return true;
  }

  /** For reservations: memory in the ring's data. */
  dataAt(place: number, size: number): Uint8Array {
    return this.#own.bytes.subarray(PAGE + place, PAGE + place + size);
  }

  /** For reservations: a header's first word, after all that was written before. */
  setHeader(place: number, word: number): void {
    const { bytes } = this.#own;
    if (bytes.length === 0) return;
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + PAGE + place, 2);
    words[1] = 0;
    Atomics.store(words, 0, word | 0);
  }

  #failure(size: number, why: string, errno: string): InputError {
    const doing = `reserving ${size} bytes in user ring buffer fd ${this.#fd}`;
    return new InputError('reader-user-ring', `${doing}: ${why} (${errno})`, { errno });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#other.close();
    this.#own.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Opens a user ring buffer for writing. It has one writer. */
export function openUserRing(kernel: Kernel, map: MapRef): UserRingWriter {
  return new UserRingWriter(kernel, map);
}

function position({ bytes }: Mapping): BigUint64Array {
  return new BigUint64Array(bytes.buffer, bytes.byteOffset, 1);
}
