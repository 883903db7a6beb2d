/** LRU hash maps: they make room by dropping an element that was not used lately. Programs' lookups count as use. */
import { EINVAL, ENOENT, ENOMEM } from './errno';
import {
  BPF_EXIST,
  bucketAt,
  existence,
  find,
  find4,
  find8,
  find16,
  hashOf,
  insert,
  letGo,
  narrow,
  removeKey,
  replace,
  search,
  storePercpu,
  storeValue,
  valueAt,
} from './hash';
import { HASH_CPUS, HASH_KEY_SIZE, HASH_VALUE_OFFSET, LRU_ELEM_SIZE } from './layout';
import { lockBit, publish } from './lock';
import { give, take, use } from './lru';

export function lru_lookup4(map: u32, key: u32): u32 {
  const element = find4(map, key, LRU_ELEM_SIZE);
  if (element === 0) return 0;
  use(element);
  return element + LRU_ELEM_SIZE + 8;
}

export function lru_lookup8(map: u32, key: u32): u32 {
  const element = find8(map, key, LRU_ELEM_SIZE);
  if (element === 0) return 0;
  use(element);
  return element + LRU_ELEM_SIZE + 8;
}

export function lru_lookup16(map: u32, key: u32): u32 {
  const element = find16(map, key, LRU_ELEM_SIZE);
  if (element === 0) return 0;
  use(element);
  return element + LRU_ELEM_SIZE + 16;
}

export function lru_lookup(map: u32, key: u32): u32 {
  const element = find(map, key, hashOf(map, key));
  if (element === 0) return 0;
  use(element);
  return element + load<u32>(map, HASH_VALUE_OFFSET);
}

export function lru_lookup_percpu(map: u32, key: u32, cpu: u32): u32 {
  if (cpu >= load<u32>(map, HASH_CPUS)) return 0;
  const element =
    load<u32>(map, HASH_KEY_SIZE) === 4 ? find4(map, key, LRU_ELEM_SIZE) : find(map, key, hashOf(map, key));
  if (element === 0) return 0;
  use(element);
  return valueAt(map, element, cpu);
}

/** As a program calls it. */
export function lru_update(map: u32, key: u32, value: u32, flags: u64, cpu: u32): i32 {
  return lru_put(map, key, value, narrow(flags), cpu);
}

/** The new value has an element of its own, which is taken before anything is looked up. */
export function lru_put(map: u32, key: u32, value: u32, flags: u32, cpu: u32): i32 {
  if (flags > BPF_EXIST) return EINVAL;
  const hash = hashOf(map, key);
  const element = take(map, cpu, hash);
  if (element === 0) return ENOMEM;
  storeValue(map, element + load<u32>(map, HASH_VALUE_OFFSET), value);
  const bucket = bucketAt(map, hash);
  const first = lockBit(bucket);
  const old = search(map, first, key, hash);
  const status = existence(old, flags);
  if (status !== 0) {
    publish(bucket, first);
    letGo(map, element);
    give(map, element);
    return status;
  }
  insert(map, element, key, hash, first);
  if (old === 0) {
    publish(bucket, element);
    return 0;
  }
  use(element);
  replace(bucket, element, old);
  letGo(map, old);
  give(map, old);
  return 0;
}

/** As a program calls it, for its own CPU's value. */
export function lru_update_percpu(map: u32, key: u32, value: u32, flags: u64, cpu: u32): i32 {
  return lru_put_percpu(map, key, value, narrow(flags), cpu, cpu);
}

/**
 * Values of CPUs are written where they are; an element is taken in case that there is none yet.
 * @param cpu whose value it is, or `ALL_CPUS`
 * @param here the CPU that does it
 */
export function lru_put_percpu(map: u32, key: u32, value: u32, flags: u32, cpu: u32, here: u32): i32 {
  if (flags > BPF_EXIST) return EINVAL;
  const hash = hashOf(map, key);
  const spare = flags === BPF_EXIST ? 0 : take(map, here, hash);
  if (spare === 0 && flags !== BPF_EXIST) return ENOMEM;
  const bucket = bucketAt(map, hash);
  const first = lockBit(bucket);
  const old = search(map, first, key, hash);
  const status = existence(old, flags);
  if (status === 0 && old === 0) {
    storePercpu(map, spare, value, cpu, true);
    insert(map, spare, key, hash, first);
    publish(bucket, spare);
    return 0;
  }
  if (status === 0) {
    use(old);
    storePercpu(map, old, value, cpu, false);
  }
  publish(bucket, first);
  if (spare !== 0) give(map, spare);
  return status;
}

export function lru_delete(map: u32, key: u32): i32 {
  const element = removeKey(map, key, hashOf(map, key));
  if (element === 0) return ENOENT;
  letGo(map, element);
  give(map, element);
  return 0;
}

/** Gives back an element that is in no bucket any more. */
export function lru_give(map: u32, element: u32): void {
  give(map, element);
}
