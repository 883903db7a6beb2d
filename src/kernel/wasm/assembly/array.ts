/** Arrays. Lookups of arrays that a program names are written into the program itself. */
import { E2BIG, EEXIST, EINVAL } from './errno';
import { narrow, storeValue } from './hash';
import { release } from './host';
import {
  ARRAY_CPU_STRIDE,
  ARRAY_STRIDE,
  ARRAY_VALUES,
  HASH_CPUS,
  HASH_FLAGS,
  HASH_IS_LOCKED,
  HASH_IS_RELEASED,
  HASH_LOCK_OFFSET,
  HASH_MAX_ENTRIES,
} from './layout';
import { lock, unlock } from './lock';

const BPF_NOEXIST: u32 = 1;
const BPF_EXIST: u32 = 2;
const BPF_F_LOCK: u32 = 4;

/** The address of a value, or 0. @param cpu 0 where all CPUs share the values */
export function array_lookup(map: u32, key: u32, cpu: u32): u32 {
  const index = load<u32>(key);
  if (index >= load<u32>(map, HASH_MAX_ENTRIES) || cpu >= load<u32>(map, HASH_CPUS)) return 0;
  return placeOf(map, index, cpu);
}

function placeOf(map: u32, index: u32, cpu: u32): u32 {
  return (
    load<u32>(map, ARRAY_VALUES) +
    index * load<u32>(map, ARRAY_STRIDE) +
    cpu * load<u32>(map, ARRAY_CPU_STRIDE)
  );
}

/** Of an array of maps: the address of the inner map, or 0. */
export function array_lookup_inner(map: u32, key: u32): u32 {
  const index = load<u32>(key);
  if (index >= load<u32>(map, HASH_MAX_ENTRIES)) return 0;
  return load<u32>(load<u32>(map, ARRAY_VALUES) + index * 4);
}

/** As a program calls it. */
export function array_update(map: u32, key: u32, value: u32, flags: u64, cpu: u32): i32 {
  return array_put(map, key, value, narrow(flags), cpu);
}

/** 0 or a negative errno. */
export function array_put(map: u32, key: u32, value: u32, flags: u32, cpu: u32): i32 {
  if ((flags & ~BPF_F_LOCK) > BPF_EXIST) return EINVAL;
  const index = load<u32>(key);
  if (index >= load<u32>(map, HASH_MAX_ENTRIES)) return E2BIG;
  if (flags & BPF_NOEXIST) return EEXIST;
  const is = load<u32>(map, HASH_FLAGS);
  const locked = (flags & BPF_F_LOCK) !== 0;
  if (locked && (is & HASH_IS_LOCKED) === 0) return EINVAL;
  const place = placeOf(map, index, cpu);
  if (locked) {
    const held = place + load<u32>(map, HASH_LOCK_OFFSET);
    lock(held);
    storeValue(map, place, value);
    unlock(held);
  } else storeValue(map, place, value);
  if (is & HASH_IS_RELEASED) release(map, place);
  return 0;
}
