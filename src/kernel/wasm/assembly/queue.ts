/** Values without keys: first in, first out for a queue; last in, first out for a stack. */
import { copy } from './bytes';
import { E2BIG, EINVAL, ENOENT } from './errno';
import { BPF_EXIST, narrow } from './hash';
import { lock, unlock } from './lock';
import {
  QUEUE_COUNT,
  QUEUE_FIRST,
  QUEUE_IS_STACK,
  QUEUE_LOCK,
  QUEUE_MAX_ENTRIES,
  QUEUE_VALUE_SIZE,
  QUEUE_VALUES,
} from './queue-layout';

/** The `n`th oldest value. */
function place(map: u32, n: u32): u32 {
  const entries = load<u32>(map, QUEUE_MAX_ENTRIES);
  let slot = <u64>load<u32>(map, QUEUE_FIRST) + n;
  if (slot >= entries) slot -= entries;
  return load<u32>(map, QUEUE_VALUES) + <u32>slot * load<u32>(map, QUEUE_VALUE_SIZE);
}

/** The oldest value is no longer in it. */
function dropFirst(map: u32): void {
  const first = load<u32>(map, QUEUE_FIRST) + 1;
  store<u32>(map, first === load<u32>(map, QUEUE_MAX_ENTRIES) ? 0 : first, QUEUE_FIRST);
  store<u32>(map, load<u32>(map, QUEUE_COUNT) - 1, QUEUE_COUNT);
}

/** As a program calls it. @returns 0 or a negative errno */
export function queue_push(map: u32, value: u32, flags: u64): i32 {
  return queue_put(map, value, narrow(flags));
}

export function queue_put(map: u32, value: u32, flags: u32): i32 {
  if (flags !== 0 && flags !== BPF_EXIST) return EINVAL;
  lock(map + QUEUE_LOCK);
  let count = load<u32>(map, QUEUE_COUNT);
  if (count === load<u32>(map, QUEUE_MAX_ENTRIES)) {
    if (flags !== BPF_EXIST) {
      unlock(map + QUEUE_LOCK);
      return E2BIG;
    }
    // The oldest makes room.
    dropFirst(map);
    count -= 1;
  }
  copy(place(map, count), value, load<u32>(map, QUEUE_VALUE_SIZE));
  store<u32>(map, count + 1, QUEUE_COUNT);
  unlock(map + QUEUE_LOCK);
  return 0;
}

function read(map: u32, value: u32, remove: bool): i32 {
  const size = load<u32>(map, QUEUE_VALUE_SIZE);
  lock(map + QUEUE_LOCK);
  const count = load<u32>(map, QUEUE_COUNT);
  if (count === 0) {
    unlock(map + QUEUE_LOCK);
    memory.fill(value, 0, size);
    return ENOENT;
  }
  const last = load<u32>(map, QUEUE_IS_STACK) !== 0;
  copy(value, place(map, last ? count - 1 : 0), size);
  if (remove) {
    if (last) store<u32>(map, count - 1, QUEUE_COUNT);
    else dropFirst(map);
  }
  unlock(map + QUEUE_LOCK);
  return 0;
}

/** Writes the value that is next to be taken; zeros when there is none. @returns 0 or `ENOENT` */
export function queue_peek(map: u32, value: u32): i32 {
  return read(map, value, false);
}

/** The same, and takes it. */
export function queue_pop(map: u32, value: u32): i32 {
  return read(map, value, true);
}
