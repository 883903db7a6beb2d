import { type Addr, at, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import { BpfMap, errno, type MapShape, type Status, type SysValue } from './map.ts';
import {
  allocateRing,
  producerPages,
  type RingPlace,
  readPosition,
  ringPages,
  writePosition,
} from './ring-pages.ts';

const HEADER = 8;
const MOST = 0x3fff_ffff;
const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;
/** `DYNPTR_MAX_SIZE` */
const MOST_DYNPTR = 0xff_ffff;

/**
 * The ring buffer the other way: user space produces, programs drain. Linux has no calls on it, only its mapped pages;
 * here the producer calls {@link UserRingbufMap.write}.
 */
export class UserRingbufMap extends BpfMap {
  /** Where it lies, as user space maps it. */
  readonly pages: RingPlace;
  /** Called when programs have drained it. */
  onDrain: (() => void) | undefined;
  /** A program drains it. */
  busy = false;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape);
    this.pages = allocateRing(machine.memory, shape.maxEntries, this.label, 'r');
  }

  /** Bytes since creation that were drained. */
  get #consumed(): number {
    return readPosition(this.machine.memory, this.pages.consumer);
  }
  set #consumed(position: number) {
    writePosition(this.machine.memory, this.pages.consumer, position);
  }

  /** Bytes since creation; user space writes it where it maps the ring. */
  get #produced(): number {
    return readPosition(this.machine.memory, this.pages.producer);
  }
  set #produced(position: number) {
    writePosition(this.machine.memory, this.pages.producer, position);
  }

  #place(position: number): Addr {
    return at(this.pages.data, position % this.shape.maxEntries);
  }

  /** Puts a record in. @returns whether there was room */
  write(data: Uint8Array): boolean {
    const end = this.#produced + recordBytes(data.length);
    if (data.length > MOST || end - this.#consumed > this.shape.maxEntries) return false;
    const { memory } = this.machine;
    const header = this.#place(this.#produced);
    memory.writeU32(header, data.length);
    memory.writeU32(header + 4, 0);
    memory.write(at(header, HEADER), data);
    this.#produced = end;
    return true;
  }

  /**
   * The oldest record: its address and size in bytes. One that was given up is passed over (`discarded`).
   * @returns `undefined` for none that is submitted; a negative errno where what user space wrote can't be: `EINVAL` for a
   *   position that is no multiple of 8 or a record beyond it, `E2BIG` for one that is larger than the ring
   */
  peekRecord(): { readonly addr: Addr; readonly size: number } | 'discarded' | Status | undefined {
    const produced = this.#produced;
    if (produced % 8 !== 0) return errno('EINVAL');
    const consumed = this.#consumed;
    if (consumed >= produced) return undefined;
    const header = this.#place(consumed);
    const word = this.machine.memory.readU32(header);
    const size = word & MOST;
    const total = recordBytes(size);
    if (total > produced - consumed) return errno('EINVAL');
    if (total > this.shape.maxEntries || size > MOST_DYNPTR) return errno('E2BIG');
    if (word & DISCARD) {
      this.#consumed = consumed + total;
      return 'discarded';
    }
    return word & BUSY ? undefined : { addr: at(header, HEADER), size };
  }

  /** Gives a record's room back to the producer. @param size of the oldest record, in bytes */
  consume(size: number): void {
    this.#consumed += recordBytes(size);
  }

  /** Programs are done with draining: who waits for room may look again. */
  drained(): void {
    this.onDrain?.();
  }

  /** Whether there is room for a record, as poll(2) asks. */
  get writable(): boolean {
    return this.#produced - this.#consumed < this.shape.maxEntries;
  }

  override userPages(offset: number, length: number, writable: boolean): Addr | Status {
    return ringPages(this.pages, { offset, length, writable }, producerPages);
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
  nextKey(): SysValue {
    return errno('ENOTSUPP');
  }

  override destroy(): void {
    this.machine.memory.free(this.pages.base);
    super.destroy();
  }
}

function recordBytes(size: number): number {
  return Math.ceil((size + HEADER) / 8) * 8;
}
