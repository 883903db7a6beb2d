/**
 * Hash maps: buckets of chained elements. Lookups take no lock; writers take their bucket's. An element that was removed may
 * be in use again at once, as in Linux: who holds its value sees what is there then.
 */
import { copy, same } from './bytes';
import { E2BIG, EEXIST, EINVAL, ENOENT, ENOMEM } from './errno';
import { giveFree, takeFree } from './free-list';
import { grow, release } from './host';
import { jhash, jhash4 } from './jhash';
import {
  ELEM_HASH,
  ELEM_NEXT,
  ELEM_SIZE,
  HASH_BUCKETS,
  HASH_COUNT,
  HASH_CPUS,
  HASH_FIELD_COUNT,
  HASH_FIELDS,
  HASH_FLAGS,
  HASH_IS_LOCKED,
  HASH_IS_PREALLOCATED,
  HASH_IS_RELEASED,
  HASH_KEY_SIZE,
  HASH_LOCK_OFFSET,
  HASH_MASK,
  HASH_MAX_ENTRIES,
  HASH_SEED,
  HASH_SLOTS,
  HASH_SPARES,
  HASH_VALUE_OFFSET,
  HASH_VALUE_SIZE,
  HASH_VALUE_STRIDE,
  KIND_LRU_HASH,
  KIND_LRU_PERCPU_HASH,
  LRU_ELEM_SIZE,
  MAP_KIND,
} from './layout';
import { lock, lockBit, peek, publish, SHARED, unlock } from './lock';

const BPF_NOEXIST: u32 = 1;
export const BPF_EXIST: u32 = 2;
const BPF_F_LOCK: u32 = 4;

/** In place of a CPU's number: all of them. */
export const ALL_CPUS: u32 = 0xffffffff;

// Keys.

function keyOffset(map: u32): u32 {
  const kind = load<i32>(map, MAP_KIND);
  return kind === KIND_LRU_HASH || kind === KIND_LRU_PERCPU_HASH ? LRU_ELEM_SIZE : ELEM_SIZE;
}

export function hashOf(map: u32, key: u32): u32 {
  const size = load<u32>(map, HASH_KEY_SIZE);
  const seed = load<u32>(map, HASH_SEED);
  return size === 4 ? jhash4(load<u32>(key), seed) : jhash(key, size, seed);
}

export function bucketAt(map: u32, hash: u32): u32 {
  return load<u32>(map, HASH_BUCKETS) + ((hash & load<u32>(map, HASH_MASK)) << 2);
}

function isEnd(link: u32): bool {
  return (link & 1) !== 0;
}

/** The chain's end, by the number of its bucket. */
function endOf(map: u32, hash: u32): u32 {
  return ((hash & load<u32>(map, HASH_MASK)) << 1) | 1;
}

/** The element of a key in a chain whose lock is held, from its first on; or 0. */
export function search(map: u32, first: u32, key: u32, hash: u32): u32 {
  if (first === 0) return 0;
  const size = load<u32>(map, HASH_KEY_SIZE);
  const offset = keyOffset(map);
  let element = first;
  do {
    if (load<u32>(element, ELEM_HASH) === hash && same(element + offset, key, size)) return element;
    element = load<u32>(element, ELEM_NEXT);
  } while (!isEnd(element));
  return 0;
}

/** The element of a key, or 0. Takes no lock: when writers led it astray to another chain, it begins again. */
export function find(map: u32, key: u32, hash: u32): u32 {
  const size = load<u32>(map, HASH_KEY_SIZE);
  const offset = keyOffset(map);
  const bucket = bucketAt(map, hash);
  let element: u32;
  do {
    element = peek(bucket) & ~1;
    if (element === 0) return 0;
    do {
      if (load<u32>(element, ELEM_HASH) === hash && same(element + offset, key, size)) return element;
      element = peek(element + ELEM_NEXT);
    } while (!isEnd(element));
  } while (SHARED && element !== endOf(map, hash));
  return 0;
}

/** Elements of a map with keys of 4 bytes, that begin `offset` bytes behind the elements. */
export function find4(map: u32, key: u32, offset: u32): u32 {
  const word = load<u32>(key);
  const hash = jhash4(word, load<u32>(map, HASH_SEED));
  const mask = load<u32>(map, HASH_MASK);
  const bucket = load<u32>(map, HASH_BUCKETS) + ((hash & mask) << 2);
  let element: u32;
  do {
    element = peek(bucket) & ~1;
    if (element === 0) return 0;
    do {
      if (load<u32>(element + offset) === word) return element;
      element = peek(element + ELEM_NEXT);
    } while (!isEnd(element));
  } while (SHARED && element !== (((hash & mask) << 1) | 1));
  return 0;
}

/** The same of 8 bytes. */
export function find8(map: u32, key: u32, offset: u32): u32 {
  const word = load<u64>(key);
  const hash = jhash(key, 8, load<u32>(map, HASH_SEED));
  const mask = load<u32>(map, HASH_MASK);
  const bucket = load<u32>(map, HASH_BUCKETS) + ((hash & mask) << 2);
  let element: u32;
  do {
    element = peek(bucket) & ~1;
    if (element === 0) return 0;
    do {
      if (load<u64>(element + offset) === word) return element;
      element = peek(element + ELEM_NEXT);
    } while (!isEnd(element));
  } while (SHARED && element !== (((hash & mask) << 1) | 1));
  return 0;
}

/** The same of 16 bytes. */
export function find16(map: u32, key: u32, offset: u32): u32 {
  const low = load<u64>(key);
  const high = load<u64>(key, 8);
  const hash = jhash(key, 16, load<u32>(map, HASH_SEED));
  const mask = load<u32>(map, HASH_MASK);
  const bucket = load<u32>(map, HASH_BUCKETS) + ((hash & mask) << 2);
  let element: u32;
  do {
    element = peek(bucket) & ~1;
    if (element === 0) return 0;
    do {
      if (load<u64>(element + offset) === low && load<u64>(element + offset, 8) === high) return element;
      element = peek(element + ELEM_NEXT);
    } while (!isEnd(element));
  } while (SHARED && element !== (((hash & mask) << 1) | 1));
  return 0;
}

/** The element of a key of any size, or 0. */
export function hash_find(map: u32, key: u32): u32 {
  return find(map, key, hashOf(map, key));
}

// Lookups: the address of the value, or 0.

export function hash_lookup4(map: u32, key: u32): u32 {
  const element = find4(map, key, ELEM_SIZE);
  return element === 0 ? 0 : element + ELEM_SIZE + 8;
}

export function hash_lookup8(map: u32, key: u32): u32 {
  const element = find8(map, key, ELEM_SIZE);
  return element === 0 ? 0 : element + ELEM_SIZE + 8;
}

export function hash_lookup16(map: u32, key: u32): u32 {
  const element = find16(map, key, ELEM_SIZE);
  return element === 0 ? 0 : element + ELEM_SIZE + 16;
}

export function hash_lookup(map: u32, key: u32): u32 {
  const element = hash_find(map, key);
  return element === 0 ? 0 : element + load<u32>(map, HASH_VALUE_OFFSET);
}

/** Of a map with a value for each CPU. */
export function hash_lookup_percpu(map: u32, key: u32, cpu: u32): u32 {
  if (cpu >= load<u32>(map, HASH_CPUS)) return 0;
  const element =
    load<u32>(map, HASH_KEY_SIZE) === 4 ? find4(map, key, ELEM_SIZE) : find(map, key, hashOf(map, key));
  return element === 0 ? 0 : valueAt(map, element, cpu);
}

/** Of a map of maps: the address of the inner map. */
export function hash_lookup_inner(map: u32, key: u32): u32 {
  const value = hash_lookup(map, key);
  return value === 0 ? 0 : load<u32>(value);
}

export function valueAt(map: u32, element: u32, cpu: u32): u32 {
  return element + load<u32>(map, HASH_VALUE_OFFSET) + cpu * load<u32>(map, HASH_VALUE_STRIDE);
}

// Values.

/** Stores `size` bytes of a value in its place; the special fields there stay as they are. */
function storeAround(map: u32, to: u32, from: u32, size: u32): void {
  const fields = load<u32>(map, HASH_FIELD_COUNT);
  let begin: u32 = 0;
  if (fields > 0) {
    let field = load<u32>(map, HASH_FIELDS);
    const last = field + fields * 8;
    for (; field < last; field += 8) {
      const offset = load<u32>(field);
      copy(to + begin, from + begin, offset - begin);
      begin = offset + load<u32>(field, 4);
    }
  }
  copy(to + begin, from + begin, size - begin);
}

export function storeValue(map: u32, to: u32, from: u32): void {
  storeAround(map, to, from, load<u32>(map, HASH_VALUE_SIZE));
}

/** The same where no value was: its lock is free. */
function beginValue(map: u32, element: u32, from: u32): void {
  const place = element + load<u32>(map, HASH_VALUE_OFFSET);
  storeValue(map, place, from);
  if (load<u32>(map, HASH_FLAGS) & HASH_IS_LOCKED) store<u32>(place + load<u32>(map, HASH_LOCK_OFFSET), 0);
}

/**
 * Stores a CPU's value, or those of all CPUs, one behind the other with what is between them.
 * @param fresh the other CPUs' values of a new element become zero
 */
export function storePercpu(map: u32, element: u32, from: u32, cpu: u32, fresh: bool): void {
  const stride = load<u32>(map, HASH_VALUE_STRIDE);
  const slots = load<u32>(map, HASH_SLOTS);
  const values = element + load<u32>(map, HASH_VALUE_OFFSET);
  if (cpu === ALL_CPUS) {
    for (let i: u32 = 0; i < slots; i++) storeAround(map, values + i * stride, from + i * stride, stride);
    return;
  }
  if (fresh) memory.fill(values, 0, slots * stride);
  storeValue(map, values + cpu * stride, from);
}

// Chains. The bucket's lock is held.

/** Makes an element ready to be the first of its bucket. @param first what is first so far */
export function insert(map: u32, element: u32, key: u32, hash: u32, first: u32): void {
  copy(element + keyOffset(map), key, load<u32>(map, HASH_KEY_SIZE));
  store<u32>(element, hash, ELEM_HASH);
  store<u32>(element, first === 0 ? endOf(map, hash) : first, ELEM_NEXT);
}

/** Takes an element out of its chain. @returns what is first in it now, or `ALL_CPUS` when the element is not in it */
export function unlink(element: u32, first: u32): u32 {
  const next = load<u32>(element, ELEM_NEXT);
  if (first === element) return isEnd(next) ? 0 : next;
  let before = first;
  while (before !== 0 && !isEnd(before)) {
    const after = load<u32>(before, ELEM_NEXT);
    if (after === element) {
      store<u32>(before, next, ELEM_NEXT);
      return first;
    }
    before = after;
  }
  return ALL_CPUS;
}

/** Ends what the special fields of an element's values hold. No lock is held. */
export function letGo(map: u32, element: u32): void {
  if (load<u32>(map, HASH_FLAGS) & HASH_IS_RELEASED) release(map, element);
}

export function existence(element: u32, flags: u32): i32 {
  if (element !== 0 && (flags & ~BPF_F_LOCK) === BPF_NOEXIST) return EEXIST;
  if (element === 0 && (flags & ~BPF_F_LOCK) === BPF_EXIST) return ENOENT;
  return 0;
}

/** Flags of a program as 32 bits: what does not fit is too large for any map. */
export function narrow(flags: u64): u32 {
  return flags > 0x7fffffff ? 0x7fffffff : <u32>flags;
}

// Elements.

function count(map: u32, by: i32): void {
  if (SHARED) atomic.add<i32>(map, by, HASH_COUNT);
  else store<i32>(map, load<i32>(map, HASH_COUNT) + by, HASH_COUNT);
}

/** How often the free lists are looked through again. */
const RESCANS: u32 = 100;

/** An element that the host makes when there is none, or 0. No lock is held: making one may need other threads. */
function takeOrGrow(map: u32, cpu: u32): u32 {
  let element = takeFree(map, cpu);
  let rounds: u32 = 0;
  // Other threads may move one from a list that is not looked at yet to one that was.
  while (element === 0 && (grow(map) !== 0 || (SHARED && ++rounds < RESCANS))) element = takeFree(map, cpu);
  return element;
}

/** The element that a CPU's next replacement goes into. Another thread may be using the CPU's at the moment. */
function takeSpare(map: u32, cpu: u32): u32 {
  const spare = load<u32>(map, HASH_SPARES) + 4 * cpu;
  if (!SHARED) return load<u32>(spare);
  let element = atomic.xchg<u32>(spare, 0);
  while (element === 0) element = atomic.xchg<u32>(spare, 0);
  return element;
}

function giveSpare(map: u32, cpu: u32, element: u32): void {
  publish(load<u32>(map, HASH_SPARES) + 4 * cpu, element);
}

// Updates: 0 or a negative errno.

/** As a program calls it. */
export function hash_update(map: u32, key: u32, value: u32, flags: u64, cpu: u32): i32 {
  return hash_put(map, key, value, narrow(flags), cpu);
}

/** Each new value has an element of its own: who has looked the old one up still sees it. */
export function hash_put(map: u32, key: u32, value: u32, flags: u32, cpu: u32): i32 {
  const kind = load<u32>(map, HASH_FLAGS);
  if ((flags & ~BPF_F_LOCK) > BPF_EXIST) return EINVAL;
  const hash = hashOf(map, key);
  if (flags & BPF_F_LOCK) {
    if ((kind & HASH_IS_LOCKED) === 0) return EINVAL;
    const old = find(map, key, hash);
    const status = existence(old, flags);
    if (status !== 0) return status;
    if (old !== 0) return storeLocked(map, old, value);
  }
  return kind & HASH_IS_PREALLOCATED
    ? putPreallocated(map, key, value, flags, cpu, hash)
    : putAllocated(map, key, value, flags, cpu, hash);
}

function storeLocked(map: u32, element: u32, value: u32): i32 {
  const place = element + load<u32>(map, HASH_VALUE_OFFSET);
  const held = place + load<u32>(map, HASH_LOCK_OFFSET);
  lock(held);
  storeValue(map, place, value);
  unlock(held);
  return 0;
}

function putPreallocated(map: u32, key: u32, value: u32, flags: u32, cpu: u32, hash: u32): i32 {
  const bucket = bucketAt(map, hash);
  const first = lockBit(bucket);
  const old = search(map, first, key, hash);
  const status = existence(old, flags);
  if (status !== 0) {
    publish(bucket, first);
    return status;
  }
  if (old !== 0 && flags & BPF_F_LOCK) {
    storeLocked(map, old, value);
    publish(bucket, first);
    return 0;
  }
  const element = old === 0 ? takeFree(map, cpu) : takeSpare(map, cpu);
  if (element === 0) {
    publish(bucket, first);
    return E2BIG;
  }
  beginValue(map, element, value);
  insert(map, element, key, hash, first);
  if (old === 0) {
    publish(bucket, element);
    return 0;
  }
  replace(bucket, element, old);
  letGo(map, old);
  giveSpare(map, cpu, old);
  return 0;
}

/** Puts an element in front of the chain that has an older one of the same key, and takes that out. */
export function replace(bucket: u32, element: u32, old: u32): void {
  if (SHARED) publish(bucket, element | 1);
  unlink(old, element);
  publish(bucket, element);
}

function putAllocated(map: u32, key: u32, value: u32, flags: u32, cpu: u32, hash: u32): i32 {
  const element = takeOrGrow(map, cpu);
  const bucket = bucketAt(map, hash);
  const first = lockBit(bucket);
  const old = search(map, first, key, hash);
  let status = existence(old, flags);
  const locked = status === 0 && old !== 0 && (flags & BPF_F_LOCK) !== 0;
  if (status === 0 && old === 0 && peek(map + HASH_COUNT) >= load<u32>(map, HASH_MAX_ENTRIES)) status = E2BIG;
  if (status === 0 && !locked && element === 0) status = ENOMEM;
  if (locked) storeLocked(map, old, value);
  if (locked || status !== 0) {
    publish(bucket, first);
    if (element !== 0) giveFree(map, element, cpu);
    return status;
  }
  beginValue(map, element, value);
  insert(map, element, key, hash, first);
  if (old === 0) {
    count(map, 1);
    publish(bucket, element);
    return 0;
  }
  replace(bucket, element, old);
  letGo(map, old);
  giveFree(map, old, cpu);
  return 0;
}

/** As a program calls it, for its own CPU's value. */
export function hash_update_percpu(map: u32, key: u32, value: u32, flags: u64, cpu: u32): i32 {
  return hash_put_percpu(map, key, value, narrow(flags), cpu, cpu);
}

/**
 * Values of CPUs are written where they are.
 * @param cpu whose value it is, or `ALL_CPUS`
 * @param here the CPU that does it
 */
export function hash_put_percpu(map: u32, key: u32, value: u32, flags: u32, cpu: u32, here: u32): i32 {
  if (flags > BPF_EXIST) return EINVAL;
  const hash = hashOf(map, key);
  const bucket = bucketAt(map, hash);
  const preallocated = (load<u32>(map, HASH_FLAGS) & HASH_IS_PREALLOCATED) !== 0;
  let element: u32 = 0;
  const expected = preallocated || find(map, key, hash) !== 0;
  if (!expected) element = takeOrGrow(map, here);
  const first = lockBit(bucket);
  const old = search(map, first, key, hash);
  let status = existence(old, flags);
  if (status === 0 && old !== 0) storePercpu(map, old, value, cpu, false);
  if (status === 0 && old === 0) {
    if (preallocated) {
      element = takeFree(map, here);
      if (element === 0) status = E2BIG;
    } else if (peek(map + HASH_COUNT) >= load<u32>(map, HASH_MAX_ENTRIES)) status = E2BIG;
    else if (element === 0) {
      publish(bucket, first);
      // Another thread has removed it meanwhile.
      return expected ? hash_put_percpu(map, key, value, flags, cpu, here) : ENOMEM;
    }
    if (status === 0) {
      storePercpu(map, element, value, cpu, true);
      insert(map, element, key, hash, first);
      if (!preallocated) count(map, 1);
      publish(bucket, element);
      return 0;
    }
  }
  publish(bucket, first);
  if (element !== 0) giveFree(map, element, here);
  return status;
}

export function hash_delete(map: u32, key: u32, cpu: u32): i32 {
  const hash = hashOf(map, key);
  const element = removeKey(map, key, hash);
  if (element === 0) return ENOENT;
  letGo(map, element);
  hash_give(map, element, cpu);
  return 0;
}

/** Takes the element of a key out of its bucket. @returns it, or 0 */
export function removeKey(map: u32, key: u32, hash: u32): u32 {
  const bucket = bucketAt(map, hash);
  const first = lockBit(bucket);
  const element = search(map, first, key, hash);
  publish(bucket, element === 0 ? first : unlink(element, first));
  return element;
}

/** Takes an element out of its bucket. @returns whether it was in it */
export function removeElement(map: u32, element: u32): bool {
  const bucket = bucketAt(map, load<u32>(element, ELEM_HASH));
  const first = lockBit(bucket);
  const left = first === 0 ? ALL_CPUS : unlink(element, first);
  publish(bucket, left === ALL_CPUS ? first : left);
  return left !== ALL_CPUS;
}

/** Gives back an element that is in no bucket any more. */
export function hash_give(map: u32, element: u32, cpu: u32): void {
  if ((load<u32>(map, HASH_FLAGS) & HASH_IS_PREALLOCATED) === 0) count(map, -1);
  giveFree(map, element, cpu);
}

// For walks of the host.

/** The first element of this bucket or a later one, or 0. */
export function hash_first_from(map: u32, bucket: u32): u32 {
  const buckets = load<u32>(map, HASH_BUCKETS);
  const end = buckets + ((load<u32>(map, HASH_MASK) + 1) << 2);
  for (let at = buckets + (bucket << 2); at < end; at += 4) {
    const element = peek(at) & ~1;
    if (element !== 0) return element;
  }
  return 0;
}

/** The next element of the same bucket, or 0. */
export function hash_after(element: u32): u32 {
  const next = peek(element + ELEM_NEXT);
  return isEnd(next) ? 0 : next;
}

/** The element behind this one, over the buckets, or 0. */
export function hash_following(map: u32, element: u32): u32 {
  const next = hash_after(element);
  return next !== 0 ? next : hash_first_from(map, hash_bucket(map, element) + 1);
}

/** The number of an element's bucket. */
export function hash_bucket(map: u32, element: u32): u32 {
  return load<u32>(element, ELEM_HASH) & load<u32>(map, HASH_MASK);
}

/** Keeps writers away from a bucket while the host looks at it. */
export function hash_lock(map: u32, bucket: u32): void {
  lockBit(bucketAt(map, bucket));
}

export function hash_unlock(map: u32, bucket: u32): void {
  const at = bucketAt(map, bucket);
  publish(at, load<u32>(at) & ~1);
}

/** Takes an element out of a bucket of which the host holds the lock. */
export function hash_unlink(map: u32, element: u32): void {
  const at = bucketAt(map, load<u32>(element, ELEM_HASH));
  const word = load<u32>(at);
  store<u32>(at, unlink(element, word & ~1) | (word & 1));
}
