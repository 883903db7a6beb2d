/**
 * The BPF ring buffer: producers of all threads, one consumer. A record is reserved under the lock, filled without it, and
 * read once it is no longer marked as busy; records are read in the order of their reservation.
 *
 * @see Documentation/bpf/ringbuf.rst
 */
import { copy } from './bytes';
import { EAGAIN, EINVAL } from './errno';
import { wake } from './host';
import { lock, SHARED, unlock } from './lock';
import {
  RECORD_BUSY,
  RECORD_DISCARDED,
  RECORD_HEADER,
  RECORD_LENGTH,
  RECORD_MAP,
  RECORD_MOST,
  RING_CONSUMER,
  RING_DATA,
  RING_FORCE_WAKEUP,
  RING_LOCK,
  RING_MASK,
  RING_NO_WAKEUP,
  RING_PENDING,
  RING_PRODUCER,
  RING_WATCHED,
} from './ring-layout';

const BUSY: u32 = <u32>RECORD_BUSY;
const DISCARDED: u32 = RECORD_DISCARDED;
const MOST: u32 = RECORD_MOST;

/** A position that the other side, or another thread, may be writing. */
function position(at: u32): u64 {
  return SHARED ? atomic.load<u64>(at) : load<u64>(at);
}

function setPosition(at: u32, value: u64): void {
  if (SHARED) atomic.store<u64>(at, value);
  else store<u64>(at, value);
}

function lengthAt(record: u32): u32 {
  return SHARED ? atomic.load<u32>(record) : load<u32>(record);
}

/** Bytes that a record takes, by its header's first word. */
function bytesOf(length: u32): u32 {
  return ((length & MOST) + RECORD_HEADER + 7) & ~7;
}

function placeOf(map: u32, at: u64): u32 {
  return load<u32>(map, RING_DATA) + (<u32>at & load<u32>(map, RING_MASK));
}

/** A record of `size` bytes to fill, or 0 when there is no room or it can't be. */
export function ring_reserve(map: u32, bytes: u64, flags: u64): u32 {
  const mask = load<u32>(map, RING_MASK);
  if (flags !== 0 || bytes > MOST) return 0;
  const size = <u32>bytes;
  const length = bytesOf(size);
  if (length > mask + 1) return 0;
  const producer = load<u32>(map, RING_PRODUCER);
  const consumed = position(load<u32>(map, RING_CONSUMER));
  lock(map + RING_LOCK);
  let pending = load<u64>(map, RING_PENDING);
  const produced = position(producer);
  while (pending < produced) {
    const oldest = lengthAt(placeOf(map, pending));
    if (oldest & BUSY) break;
    pending += bytesOf(oldest);
  }
  store<u64>(map, pending, RING_PENDING);
  const end = produced + length;
  if (end - consumed > mask || end - pending > mask) {
    unlock(map + RING_LOCK);
    return 0;
  }
  const record = placeOf(map, produced);
  store<u32>(record, size | BUSY, RECORD_LENGTH);
  store<u32>(record, map, RECORD_MAP);
  // Who sees the position sees the header.
  setPosition(producer, end);
  unlock(map + RING_LOCK);
  return record + RECORD_HEADER;
}

function commit(data: u32, flags: u64, mark: u32): void {
  const record = data - RECORD_HEADER;
  const map = load<u32>(record, RECORD_MAP);
  const length = (load<u32>(record, RECORD_LENGTH) & ~BUSY) | mark;
  // What the program wrote is seen with it.
  if (SHARED) atomic.xchg<u32>(record, length, RECORD_LENGTH);
  else store<u32>(record, length, RECORD_LENGTH);
  if (load<u32>(map, RING_WATCHED) !== 0) tell(map, record, <u32>flags);
}

/** Wakes the consumer when it is asked for, or when this is the record that the consumer waits for. */
function tell(map: u32, record: u32, flags: u32): void {
  if (flags & RING_FORCE_WAKEUP) wake(map);
  else if ((flags & RING_NO_WAKEUP) === 0) {
    if (placeOf(map, position(load<u32>(map, RING_CONSUMER))) === record) wake(map);
  }
}

/** Commits a reserved record. */
export function ring_submit(data: u32, flags: u64): void {
  commit(data, flags, 0);
}

/** Gives a reserved record up: no consumer sees it. */
export function ring_discard(data: u32, flags: u64): void {
  commit(data, flags, DISCARDED);
}

/** @returns 0, `EINVAL` for unknown flags, `EAGAIN` when there is no room */
export function ring_output(map: u32, data: u32, size: u32, flags: u64): i32 {
  if ((flags & ~(<u64>(RING_NO_WAKEUP | RING_FORCE_WAKEUP))) !== 0) return EINVAL;
  const record = ring_reserve(map, size, 0);
  if (record === 0) return EAGAIN;
  copy(record, data, size);
  commit(record, flags, 0);
  return 0;
}

/** Unread bytes, the ring's size, the consumer's or the producer's position; 0 for what it doesn't know. */
export function ring_query(map: u32, what: u64): u64 {
  const consumed = position(load<u32>(map, RING_CONSUMER));
  const produced = position(load<u32>(map, RING_PRODUCER));
  if (what === 0) return produced - consumed;
  if (what === 1) return <u64>load<u32>(map, RING_MASK) + 1;
  if (what === 2) return consumed;
  return what === 3 ? produced : 0;
}

/**
 * The record that is read next; those that were given up are passed over.
 * @returns where its header is; 0 when there is none, or the oldest is not submitted yet
 */
export function ring_next(map: u32): u32 {
  const consumer = load<u32>(map, RING_CONSUMER);
  let consumed = position(consumer);
  const produced = position(load<u32>(map, RING_PRODUCER));
  while (consumed < produced) {
    const record = placeOf(map, consumed);
    const length = lengthAt(record);
    if (length & BUSY) return 0;
    if ((length & DISCARDED) === 0) return record;
    consumed += bytesOf(length);
    setPosition(consumer, consumed);
  }
  return 0;
}

/** Gives the room of a record back that `ring_next` answered. */
export function ring_consume(map: u32, record: u32): void {
  const consumer = load<u32>(map, RING_CONSUMER);
  setPosition(consumer, position(consumer) + bytesOf(lengthAt(record)));
}
