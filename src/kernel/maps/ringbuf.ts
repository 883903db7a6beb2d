/**
 * The BPF ring buffer: many producers, one consumer, records in the order of their reservation.
 *
 * A record is contiguous for the program that fills it. Linux maps the data pages twice for that; here the data area
 * is twice as large and a record that reaches over the end goes on there.
 */
import { type Addr, at, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import { type Check, checkFlags, first, refuse } from './checks.ts';
import { BpfMap, errno, type MapShape, type Status, type SysValue } from './map.ts';
import {
  allocateRing,
  consumerPage,
  type RingPlace,
  readPosition,
  ringPages,
  writePosition,
} from './ring-pages.ts';

const PAGE = 4096;
/** `struct bpf_ringbuf_hdr`: the record's length with two flag bits, and an offset that only Linux uses. */
const HEADER = 8;
const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;
const MAX_RECORD = 0x3fff_ffff;

/** Flags of `bpf_ringbuf_output`, `submit` and `discard`. */
const RINGBUF_WAKEUP = { BPF_RB_NO_WAKEUP: 1, BPF_RB_FORCE_WAKEUP: 2 } as const;

export const checkRingbuf: Check = (shape) => {
  const size = shape.maxEntries;
  return first(
    checkFlags(shape),
    shape.keySize !== 0 || shape.valueSize !== 0
      ? refuse('EINVAL', 'a ring buffer has neither keys nor values: key_size and value_size must be 0')
      : undefined,
    size < PAGE || 2 ** Math.floor(Math.log2(size)) !== size
      ? refuse(
          'EINVAL',
          `a ring buffer's max_entries is its size: a power of two from ${PAGE} on, not ${size}`,
        )
      : undefined,
  );
};

export class RingbufMap extends BpfMap {
  /** Where it lies, as user space maps it. */
  readonly pages: RingPlace;
  /** Start of the oldest record that is not submitted or discarded yet. */
  #pending = 0;
  /** Called when a record is committed and its producer asks for a wake-up (or leaves the choice). */
  onRecord: (() => void) | undefined;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape);
    this.pages = allocateRing(machine.memory, shape.maxEntries, this.label, 'rw');
  }

  /** Bytes since creation that were consumed; user space writes it where it maps the ring. */
  get #consumed(): number {
    return readPosition(this.machine.memory, this.pages.consumer);
  }
  set #consumed(position: number) {
    writePosition(this.machine.memory, this.pages.consumer, position);
  }

  /** Bytes since creation that were reserved. */
  get #produced(): number {
    return readPosition(this.machine.memory, this.pages.producer);
  }
  set #produced(position: number) {
    writePosition(this.machine.memory, this.pages.producer, position);
  }

  #place(position: number): Addr {
    return at(this.pages.data, position % this.shape.maxEntries);
  }

  /** Whether there is something to read, as poll(2) asks: a reserved record counts. */
  get readable(): boolean {
    return this.#produced !== this.#consumed;
  }

  #lengthAt(position: number): number {
    return this.machine.memory.readU32(this.#place(position));
  }

  /** A record of `size` bytes to fill, or `NULL` when there is no room or it can't be. */
  reserve(size: number, flags: number): Addr {
    const ring = this.shape.maxEntries;
    const length = Math.ceil((size + HEADER) / 8) * 8;
    if (flags !== 0 || size > MAX_RECORD || length > ring) return NULL;
    const produced = this.#produced;
    while (this.#pending < produced && !(this.#lengthAt(this.#pending) & BUSY)) {
      this.#pending += recordBytes(this.#lengthAt(this.#pending));
    }
    const end = produced + length;
    if (end - this.#consumed > ring - 1 || end - this.#pending > ring - 1) return NULL;
    const header = this.#place(produced);
    this.machine.memory.writeU32(header, (size | BUSY) >>> 0);
    this.machine.memory.writeU32(header + 4, 0);
    this.#produced = end;
    return at(header, HEADER);
  }

  /** Commits a reserved record. */
  submit(record: Addr, flags: number): void {
    this.#commit(record, flags, 0);
  }

  /** Gives a reserved record up: no consumer sees it. */
  discard(record: Addr, flags: number): void {
    this.#commit(record, flags, DISCARD);
  }

  #commit(record: Addr, flags: number, mark: number): void {
    const { memory } = this.machine;
    const header = record - HEADER;
    memory.writeU32(header, ((memory.readU32(header) & ~BUSY) | mark) >>> 0);
    if (flags & RINGBUF_WAKEUP.BPF_RB_FORCE_WAKEUP || !(flags & RINGBUF_WAKEUP.BPF_RB_NO_WAKEUP)) {
      this.onRecord?.();
    }
  }

  /** `bpf_ringbuf_output`. @returns 0, `EINVAL` for unknown flags, `EAGAIN` when there is no room */
  output(data: Addr, size: number, flags: number): Status {
    const { BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP } = RINGBUF_WAKEUP;
    if (flags > 3 || flags & ~(BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP)) return errno('EINVAL');
    const record = this.reserve(size, 0);
    if (record === NULL) return errno('EAGAIN');
    this.machine.memory.copy(record, data, size);
    this.submit(record, flags);
    return 0;
  }

  /** `bpf_ringbuf_query`: unread bytes, size, consumer's or producer's position; 0 for what it doesn't know. */
  query(what: number): bigint {
    const answers = [this.#produced - this.#consumed, this.shape.maxEntries, this.#consumed, this.#produced];
    return BigInt(answers[what] ?? 0);
  }

  /** Takes the records that are committed, in order, up to the first that is not. */
  *read(): Iterable<Uint8Array> {
    while (this.#consumed < this.#produced) {
      const length = this.#lengthAt(this.#consumed);
      if (length & BUSY) return;
      const data =
        length & DISCARD
          ? undefined
          : this.machine.memory.read(at(this.#place(this.#consumed), HEADER), length);
      this.#consumed += recordBytes(length);
      this.#pending = Math.max(this.#pending, this.#consumed);
      if (data) yield data;
    }
  }

  override userPages(offset: number, length: number, writable: boolean): Addr | Status {
    return ringPages(this.pages, { offset, length, writable }, consumerPage);
  }

  lookup(_key: Addr): Addr {
    return NULL;
  }
  update(_key: Addr, _value: Addr, _flags: number): Status {
    return errno('ENOTSUPP');
  }
  delete(_key: Addr): Status {
    return errno('ENOTSUPP');
  }
  override sysLookup(): SysValue {
    return errno('ENOTSUPP');
  }
  override sysUpdate(): Status {
    return errno('ENOTSUPP');
  }
  nextKey(): SysValue {
    return errno('ENOTSUPP');
  }

  override destroy(): void {
    this.machine.memory.free(this.pages.base);
    super.destroy();
  }
}

/** What a record takes in the ring, by its header's first word. */
function recordBytes(length: number): number {
  return Math.ceil(((length & MAX_RECORD) + HEADER) / 8) * 8;
}
