/**
 * The BPF ring buffer: many producers, one consumer, records in the order of their reservation.
 *
 * WebAssembly writes and reads it (`wasm/assembly/ringbuf.ts`). A record is contiguous for the program that fills it. Linux maps the data pages twice for that; here the data area
 * is twice as large and a record that reaches over the end goes on there.
 */
import { type Addr, at, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import {
  RECORD_HEADER,
  RING_CONSUMER,
  RING_DATA,
  RING_HEADER,
  RING_MASK,
  RING_PRODUCER,
  RING_WATCHED,
} from '../wasm/assembly/ring-layout.ts';
import type { KernelFunctions } from '../wasm/native.ts';
import { type Check, checkFlags, first, refuse } from './checks.ts';
import { BpfMap, errno, type MapShape, type Status, type SysValue } from './map.ts';
import { allocateRing, consumerPage, type RingPlace, readPosition, ringPages } from './ring-pages.ts';

const PAGE = 4096;

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
  readonly #functions: KernelFunctions;
  #onRecord: (() => void) | undefined;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape);
    const { memory } = machine;
    this.pages = allocateRing(memory, shape.maxEntries, this.label, 'rw');
    this.#functions = memory.native.functions;
    memory.writeU32(this.addr + RING_CONSUMER, this.pages.consumer);
    memory.writeU32(this.addr + RING_PRODUCER, this.pages.producer);
    memory.writeU32(this.addr + RING_DATA, this.pages.data);
    memory.writeU32(this.addr + RING_MASK, shape.maxEntries - 1);
    memory.native.hooks.set(this.addr, { wake: () => this.#onRecord?.() });
  }

  protected override get headerSize(): number {
    return RING_HEADER;
  }

  /**
   * Called when a record is committed whose producer asks for a wake-up; or leaves the choice, and the consumer has read all
   * records before it.
   */
  get onRecord(): (() => void) | undefined {
    return this.#onRecord;
  }
  set onRecord(notify: (() => void) | undefined) {
    this.#onRecord = notify;
    this.machine.memory.writeU32(this.addr + RING_WATCHED, notify ? 1 : 0);
  }

  /** Whether there is something to read, as poll(2) asks: a reserved record counts. */
  get readable(): boolean {
    const { memory } = this.machine;
    return readPosition(memory, this.pages.producer) !== readPosition(memory, this.pages.consumer);
  }

  /** A record of `size` bytes to fill, or `NULL` when there is no room or it can't be. */
  reserve(size: number, flags: number): Addr {
    return (this.#functions.ring_reserve(this.addr, BigInt(size), BigInt(flags)) >>> 0) as Addr;
  }

  /** Commits a reserved record. */
  submit(record: Addr, flags: number): void {
    this.#functions.ring_submit(record, BigInt(flags));
  }

  /** Gives a reserved record up: no consumer sees it. */
  discard(record: Addr, flags: number): void {
    this.#functions.ring_discard(record, BigInt(flags));
  }

  /** `bpf_ringbuf_output`. @returns 0, `EINVAL` for unknown flags, `EAGAIN` when there is no room */
  output(data: Addr, size: number, flags: number): Status {
    return this.#functions.ring_output(this.addr, data, size, BigInt(flags));
  }

  /** `bpf_ringbuf_query`: unread bytes, size, consumer's or producer's position; 0 for what it doesn't know. */
  query(what: number): bigint {
    return BigInt.asUintN(64, this.#functions.ring_query(this.addr, BigInt(what)));
  }

  /** Takes the records that are committed, in order, up to the first that is not. */
  *read(): Iterable<Uint8Array> {
    const { memory } = this.machine;
    for (;;) {
      const record = this.#functions.ring_next(this.addr) >>> 0;
      if (record === 0) return;
      const data = memory.read(at(record as Addr, RECORD_HEADER), memory.readU32(record));
      this.#functions.ring_consume(this.addr, record);
      yield data;
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
    const { memory } = this.machine;
    memory.native.hooks.delete(this.addr);
    memory.free(this.pages.base);
    super.destroy();
  }
}
