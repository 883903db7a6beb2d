/**
 * Where the two kinds of ring buffer lie, as Linux shows them to mmap(2): a page with the consumer's position, a page
 * with the producer's, then the data. Positions count bytes since creation, as 64-bit numbers.
 *
 * @see kernel/bpf/ringbuf.c, struct bpf_ringbuf
 */
import { type Addr, at, type Memory } from '../memory/index.ts';
import { errno, type Status } from './map.ts';

const PAGE = 4096;

export interface RingPlace {
  readonly base: Addr;
  readonly consumer: Addr;
  readonly producer: Addr;
  /** Twice the ring's size: a record that reaches over the end goes on behind it, where Linux maps the data again. */
  readonly data: Addr;
  /** Bytes, the positions' pages included. */
  readonly length: number;
}

/** @param size of the data, in bytes */
export function allocateRing(memory: Memory, size: number, owner: string, access: 'r' | 'rw'): RingPlace {
  const length = 2 * PAGE + 2 * size;
  const base = memory.allocate(length, { kind: 'ringbuf', owner, access });
  return { base, consumer: base, producer: at(base, PAGE), data: at(base, 2 * PAGE), length };
}

export function readPosition(memory: Memory, place: Addr): number {
  return memory.readU32(place) + memory.readU32(place + 4) * 2 ** 32;
}

export function writePosition(memory: Memory, place: Addr, position: number): void {
  memory.writeU32(place, position % 2 ** 32);
  memory.writeU32(place + 4, Math.floor(position / 2 ** 32));
}

/** What mmap(2) shows of a ring. @param writable which stretch user space may map to write to @returns a negative errno for others */
export function ringPages(
  ring: RingPlace,
  asked: { readonly offset: number; readonly length: number; readonly writable: boolean },
  writable: (offset: number, length: number) => boolean,
): Addr | Status {
  const { offset, length } = asked;
  if (asked.writable && !writable(offset, length)) return errno('EPERM');
  if (offset + length > ring.length) return errno('EINVAL');
  return at(ring.base, offset);
}

/** The program's ring: user space writes what it consumed. */
export const consumerPage = (offset: number, length: number): boolean => offset === 0 && length === PAGE;

/** User space's ring: it writes all but what programs consumed. */
export const producerPages = (offset: number): boolean => offset !== 0;
