/**
 * Tries of prefixes, for the longest that matches. A node's children begin as it does and go on with a 0 or a 1; nodes that
 * only say where two others part have no value.
 *
 * Lookups take no lock. A writer puts a new node in place of one whose value changes, so that who found the old one still
 * sees what was there; nodes that were removed are used again in the order of their removal, and only once there are many.
 */
import { copy } from './bytes';
import { EEXIST, EINVAL, ENOENT, ENOMEM, ENOSPC } from './errno';
import { BPF_EXIST, narrow } from './hash';
import { grow } from './host';
import { lock, peek, publish, SHARED, unlock } from './lock';
import {
  INDEX_BITS,
  INDEX_STRIDE,
  LPM_BITS,
  LPM_CHILD0,
  LPM_CHILD1,
  LPM_COUNT,
  LPM_DATA,
  LPM_DATA_SIZE,
  LPM_FREE_COUNT,
  LPM_FREE_FIRST,
  LPM_FREE_LAST,
  LPM_FRESH,
  LPM_FRESH_COUNT,
  LPM_INDEX,
  LPM_KEY_DATA,
  LPM_LOCK,
  LPM_MAX_ENTRIES,
  LPM_NEXT,
  LPM_RECYCLED,
  LPM_ROOT,
  LPM_STRIDE,
  LPM_VALUE_OFFSET,
  LPM_VALUE_SIZE,
  LPM_VALUED,
  LPM_WORD,
} from './lpm-layout';

const BITS: u32 = INDEX_BITS;
const BPF_NOEXIST: u32 = 1;
/** Bytes of data that are in `LPM_WORD`. */
const WORD_BYTES: u32 = 4;
/** Removed nodes that are kept as they were: a program may still be looking at the last ones. */
const KEPT: u32 = 128;
/** An update needs no more. */
const MOST_NEEDED: u32 = 2;

// Keys.

/** The first 32 bits of a key's data as a number; where it has fewer, zeros behind. */
function wordOf(data: u32, size: u32): u32 {
  if (size >= 4) return bswap<u32>(load<u32>(data));
  let word: u32 = 0;
  for (let i: u32 = 0; i < size; i++) word |= (<u32>load<u8>(data + i)) << (24 - 8 * i);
  return word;
}

/** Leading bits of a key's data that a node has too, at most `limit`. */
function common(node: u32, data: u32, size: u32, limit: u32): u32 {
  const different = wordOf(data, size) ^ load<u32>(node, LPM_WORD);
  if (different !== 0 || size <= WORD_BYTES) return min<u32>(clz<u32>(different), limit);
  const bytes = (limit + 7) >> 3;
  let at: u32 = WORD_BYTES;
  while (at + 8 <= bytes) {
    const rest = load<u64>(data + at) ^ load<u64>(node + LPM_DATA + at);
    if (rest !== 0) return min<u32>(at * 8 + <u32>clz<u64>(bswap<u64>(rest)), limit);
    at += 8;
  }
  for (; at < bytes; at++) {
    const rest = load<u8>(data + at) ^ load<u8>(node + LPM_DATA + at);
    if (rest !== 0) return min<u32>(at * 8 + clz<u32>(<u32>rest) - 24, limit);
  }
  return limit;
}

/** Which way a key's data goes behind its first `n` bits. */
function bitOf(data: u32, n: u32): u32 {
  return (<u32>load<u8>(data + (n >> 3)) >> (7 - (n & 7))) & 1;
}

/** The same of a node's. */
function nodeBit(node: u32, n: u32): u32 {
  return n < 8 * WORD_BYTES ? (load<u32>(node, LPM_WORD) >> (31 - n)) & 1 : bitOf(node + LPM_DATA, n);
}

function slotOf(node: u32, bit: u32): u32 {
  return node + LPM_CHILD0 + (bit << 2);
}

function childOf(node: u32, bit: u32): u32 {
  return peek(slotOf(node, bit));
}

// Lookups: the address of the value of the longest prefix that matches, or 0.

function recycled(map: u32): u32 {
  return SHARED ? atomic.load<u32>(map, LPM_RECYCLED) : 0;
}

/** The node that a lookup begins at and, in the upper half, what is found by then. */
function beginOf(map: u32, word: u32, bits: u32): u64 {
  const index = load<u32>(map, LPM_INDEX);
  if (index === 0 || bits < BITS) return <u64>peek(map + LPM_ROOT);
  const entry = index + (word >> (32 - BITS)) * INDEX_STRIDE;
  return SHARED ? atomic.load<u64>(entry) : load<u64>(entry);
}

/** Of keys with 4 bytes of data. */
export function lpm_lookup4(map: u32, key: u32): u32 {
  const bits = load<u32>(key);
  if (bits > 32) return 0;
  const word = bswap<u32>(load<u32>(key, LPM_KEY_DATA));
  let found: u32;
  let before: u32;
  do {
    before = recycled(map);
    const begin = beginOf(map, word, bits);
    let node = <u32>begin;
    found = <u32>(begin >> 32);
    while (node !== 0) {
      const length = load<u32>(node, LPM_BITS);
      if (length > bits || clz<u32>(word ^ load<u32>(node, LPM_WORD)) < length) break;
      // Which nodes have a value can't be guessed: no branch.
      found = select<u32>(node, found, load<u32>(node, LPM_VALUED) !== 0);
      if (length === bits) break;
      node = childOf(node, (word >> (31 - length)) & 1);
    }
  } while (SHARED && before !== recycled(map));
  return found === 0 ? 0 : found + LPM_DATA;
}

export function lpm_lookup(map: u32, key: u32): u32 {
  const bits = load<u32>(key);
  const size = load<u32>(map, LPM_DATA_SIZE);
  if (bits > size * 8) return 0;
  const data = key + LPM_KEY_DATA;
  let found: u32;
  let before: u32;
  do {
    before = recycled(map);
    const begin = beginOf(map, wordOf(data, size), bits);
    let node = <u32>begin;
    found = <u32>(begin >> 32);
    while (node !== 0) {
      const length = load<u32>(node, LPM_BITS);
      if (length > bits || common(node, data, size, length) < length) break;
      found = select<u32>(node, found, load<u32>(node, LPM_VALUED) !== 0);
      if (length === bits) break;
      node = childOf(node, bitOf(data, length));
    }
  } while (SHARED && before !== recycled(map));
  return found === 0 ? 0 : found + load<u32>(map, LPM_VALUE_OFFSET);
}

// The index. The lock is held.

/** Writes the entries of keys that begin as a word does. @param known how many bits of it they have, at most */
function reindex(map: u32, word: u32, known: u32): void {
  const index = load<u32>(map, LPM_INDEX);
  if (index === 0 || known > BITS) return;
  const count: u32 = 1 << (BITS - known);
  const first = (word >> (32 - BITS)) & ~(count - 1);
  for (let byte = first; byte < first + count; byte++) {
    const start = byte << (32 - BITS);
    let node = load<u32>(map, LPM_ROOT);
    let found: u32 = 0;
    while (node !== 0) {
      const length = load<u32>(node, LPM_BITS);
      if (length >= BITS) break;
      if (clz<u32>(start ^ load<u32>(node, LPM_WORD)) < length) {
        node = 0;
        break;
      }
      found = select<u32>(node, found, load<u32>(node, LPM_VALUED) !== 0);
      node = load<u32>(slotOf(node, (start >> (31 - length)) & 1));
    }
    const entry = index + byte * INDEX_STRIDE;
    const content = ((<u64>found) << 32) | node;
    if (SHARED) atomic.store<u64>(entry, content);
    else store<u64>(entry, content);
  }
}

/** Gives a map room for its index. */
export function lpm_index(map: u32, index: u32): void {
  lock(map + LPM_LOCK);
  store<u32>(map, index, LPM_INDEX);
  reindex(map, 0, 0);
  unlock(map + LPM_LOCK);
}

// Nodes. The lock is held.

/** Nodes that can be used without taking from those that are kept. */
function stock(map: u32): u32 {
  const free = load<u32>(map, LPM_FREE_COUNT);
  return load<u32>(map, LPM_FRESH_COUNT) + (free > KEPT ? free - KEPT : 0);
}

/** @returns 0 when there is none */
function take(map: u32): u32 {
  const fresh = load<u32>(map, LPM_FRESH_COUNT);
  if (fresh > 0 && load<u32>(map, LPM_FREE_COUNT) <= KEPT) {
    const node = load<u32>(map, LPM_FRESH);
    store<u32>(map, node + load<u32>(map, LPM_STRIDE), LPM_FRESH);
    store<u32>(map, fresh - 1, LPM_FRESH_COUNT);
    return node;
  }
  const node = load<u32>(map, LPM_FREE_FIRST);
  if (node === 0) return 0;
  const next = load<u32>(node, LPM_NEXT);
  store<u32>(map, next, LPM_FREE_FIRST);
  if (next === 0) store<u32>(map, 0, LPM_FREE_LAST);
  store<u32>(map, load<u32>(map, LPM_FREE_COUNT) - 1, LPM_FREE_COUNT);
  publish(map + LPM_RECYCLED, load<u32>(map, LPM_RECYCLED) + 1);
  return node;
}

/** It stays as it is for those who just look at it. */
function give(map: u32, node: u32): void {
  const last = load<u32>(map, LPM_FREE_LAST);
  store<u32>(node, 0, LPM_NEXT);
  if (last === 0) store<u32>(map, node, LPM_FREE_FIRST);
  else store<u32>(last, node, LPM_NEXT);
  store<u32>(map, node, LPM_FREE_LAST);
  store<u32>(map, load<u32>(map, LPM_FREE_COUNT) + 1, LPM_FREE_COUNT);
}

/** Gives a map new nodes, one behind the other. */
export function lpm_add(map: u32, first: u32, count: u32): void {
  lock(map + LPM_LOCK);
  let left = load<u32>(map, LPM_FRESH_COUNT);
  for (; left > 0; left--) {
    const node = load<u32>(map, LPM_FRESH);
    store<u32>(map, node + load<u32>(map, LPM_STRIDE), LPM_FRESH);
    give(map, node);
  }
  store<u32>(map, first, LPM_FRESH);
  store<u32>(map, count, LPM_FRESH_COUNT);
  unlock(map + LPM_LOCK);
}

/** A node of a key, with a value. */
function nodeFor(map: u32, key: u32, value: u32): u32 {
  const node = take(map);
  if (node === 0) return 0;
  const size = load<u32>(map, LPM_DATA_SIZE);
  const data = key + LPM_KEY_DATA;
  store<u32>(node, load<u32>(key), LPM_BITS);
  store<u32>(node, wordOf(data, size), LPM_WORD);
  if (size > WORD_BYTES) copy(node + LPM_DATA, data, size);
  store<u32>(node, 0, LPM_CHILD0);
  store<u32>(node, 0, LPM_CHILD1);
  store<u32>(node, 1, LPM_VALUED);
  copy(node + load<u32>(map, LPM_VALUE_OFFSET), value, load<u32>(map, LPM_VALUE_SIZE));
  return node;
}

// Updates: 0 or a negative errno.

/** As a program calls it. */
export function lpm_update(map: u32, key: u32, value: u32, flags: u64): i32 {
  return lpm_put(map, key, value, narrow(flags));
}

export function lpm_put(map: u32, key: u32, value: u32, flags: u32): i32 {
  if (flags > BPF_EXIST || load<u32>(key) > load<u32>(map, LPM_DATA_SIZE) * 8) return EINVAL;
  lock(map + LPM_LOCK);
  while (stock(map) < MOST_NEEDED) {
    // Making nodes may need other threads, so no lock is held. Where there are none to be had, those that are kept are used.
    unlock(map + LPM_LOCK);
    const more = grow(map);
    lock(map + LPM_LOCK);
    if (more === 0) break;
  }
  const status = put(map, key, value, flags);
  unlock(map + LPM_LOCK);
  return status;
}

function put(map: u32, key: u32, value: u32, flags: u32): i32 {
  const bits = load<u32>(key);
  const size = load<u32>(map, LPM_DATA_SIZE);
  const data = key + LPM_KEY_DATA;
  let slot = map + LPM_ROOT;
  // Bits that all keys have that come by here.
  let known: u32 = 0;
  let node = load<u32>(slot);
  let length: u32 = 0;
  let equal: u32 = 0;
  while (node !== 0) {
    length = load<u32>(node, LPM_BITS);
    equal = common(node, data, size, min<u32>(length, bits));
    if (equal !== length || length === bits) break;
    slot = slotOf(node, bitOf(data, length));
    known = length + 1;
    node = load<u32>(slot);
  }
  const there = node !== 0 && equal === length && length === bits;
  const replaced = there && load<u32>(node, LPM_VALUED) !== 0;
  if (replaced && flags === BPF_NOEXIST) return EEXIST;
  if (!replaced) {
    if (flags === BPF_EXIST) return ENOENT;
    if (load<u32>(map, LPM_COUNT) >= load<u32>(map, LPM_MAX_ENTRIES)) return ENOSPC;
  }
  const fresh = nodeFor(map, key, value);
  if (fresh === 0) return ENOMEM;
  if (there) {
    store<u32>(fresh, load<u32>(node, LPM_CHILD0), LPM_CHILD0);
    store<u32>(fresh, load<u32>(node, LPM_CHILD1), LPM_CHILD1);
    publish(slot, fresh);
  } else if (node === 0) {
    publish(slot, fresh);
  } else if (equal === bits) {
    store<u32>(slotOf(fresh, nodeBit(node, equal)), node);
    publish(slot, fresh);
  } else {
    const fork = forkOf(map, node, equal, size);
    if (fork === 0) {
      give(map, fresh);
      return ENOMEM;
    }
    const bit = bitOf(data, equal);
    store<u32>(slotOf(fork, bit), fresh);
    store<u32>(slotOf(fork, bit ^ 1), node);
    publish(slot, fork);
  }
  reindex(map, load<u32>(fresh, LPM_WORD), known);
  if (there) give(map, node);
  if (!replaced) store<u32>(map, load<u32>(map, LPM_COUNT) + 1, LPM_COUNT);
  return 0;
}

/** A node without a value, that begins as another. */
function forkOf(map: u32, node: u32, bits: u32, size: u32): u32 {
  const fork = take(map);
  if (fork === 0) return 0;
  store<u32>(fork, bits, LPM_BITS);
  store<u32>(fork, load<u32>(node, LPM_WORD), LPM_WORD);
  if (size > WORD_BYTES) copy(fork + LPM_DATA, node + LPM_DATA, size);
  store<u32>(fork, 0, LPM_VALUED);
  return fork;
}

export function lpm_delete(map: u32, key: u32): i32 {
  if (load<u32>(key) > load<u32>(map, LPM_DATA_SIZE) * 8) return EINVAL;
  lock(map + LPM_LOCK);
  const status = remove(map, key);
  unlock(map + LPM_LOCK);
  return status;
}

function remove(map: u32, key: u32): i32 {
  const bits = load<u32>(key);
  const size = load<u32>(map, LPM_DATA_SIZE);
  const data = key + LPM_KEY_DATA;
  let parent: u32 = 0;
  let parentSlot: u32 = 0;
  let parentKnown: u32 = 0;
  let slot = map + LPM_ROOT;
  let known: u32 = 0;
  let node = load<u32>(slot);
  while (node !== 0) {
    const length = load<u32>(node, LPM_BITS);
    if (length > bits || common(node, data, size, length) !== length) return ENOENT;
    if (length === bits) break;
    parent = node;
    parentSlot = slot;
    parentKnown = known;
    slot = slotOf(node, bitOf(data, length));
    known = length + 1;
    node = load<u32>(slot);
  }
  if (node === 0 || load<u32>(node, LPM_VALUED) === 0) return ENOENT;
  store<u32>(map, load<u32>(map, LPM_COUNT) - 1, LPM_COUNT);
  const word = load<u32>(node, LPM_WORD);
  const left = load<u32>(node, LPM_CHILD0);
  const right = load<u32>(node, LPM_CHILD1);
  if (left !== 0 && right !== 0) {
    // Two others part here.
    publish(node + LPM_VALUED, 0);
    reindex(map, word, known);
    return 0;
  }
  if (left === 0 && right === 0 && parent !== 0 && load<u32>(parent, LPM_VALUED) === 0) {
    // Nothing parts there any more: the other child takes the parent's place.
    const bit = <u32>(slot === parent + LPM_CHILD0);
    publish(parentSlot, load<u32>(slotOf(parent, bit)));
    reindex(map, word, parentKnown);
    give(map, parent);
  } else {
    publish(slot, left !== 0 ? left : right);
    reindex(map, word, known);
  }
  give(map, node);
  return 0;
}

// The walk over all prefixes: left before right, and what is inside a prefix before it.

function firstUnder(node: u32): u32 {
  let first: u32;
  do {
    first = node;
    const left = load<u32>(node, LPM_CHILD0);
    node = left !== 0 ? left : load<u32>(node, LPM_CHILD1);
  } while (node !== 0);
  return first;
}

/** The node behind another, of all nodes; 0 behind the last. */
function following(map: u32, node: u32): u32 {
  let parent: u32 = 0;
  let at = load<u32>(map, LPM_ROOT);
  while (at !== node && at !== 0) {
    parent = at;
    at = load<u32>(slotOf(at, nodeBit(node, load<u32>(at, LPM_BITS))));
  }
  if (parent === 0 || at === 0) return 0;
  const right = load<u32>(parent, LPM_CHILD1);
  return right === 0 || right === node ? parent : firstUnder(right);
}

/** The node of exactly this prefix, if it has a value; or 0. */
function exact(map: u32, key: u32): u32 {
  const bits = load<u32>(key);
  const size = load<u32>(map, LPM_DATA_SIZE);
  const data = key + LPM_KEY_DATA;
  if (bits > size * 8) return 0;
  let node = load<u32>(map, LPM_ROOT);
  while (node !== 0) {
    const length = load<u32>(node, LPM_BITS);
    if (length > bits || common(node, data, size, length) !== length) return 0;
    if (length === bits) return load<u32>(node, LPM_VALUED) !== 0 ? node : 0;
    node = load<u32>(slotOf(node, bitOf(data, length)));
  }
  return 0;
}

/**
 * Writes the key behind another.
 * @param key 0 for none: then, and behind one that is not in it, the first
 * @returns whether there is one
 */
export function lpm_next(map: u32, key: u32, next: u32): i32 {
  lock(map + LPM_LOCK);
  const root = load<u32>(map, LPM_ROOT);
  const from = key === 0 ? 0 : exact(map, key);
  let node = from !== 0 ? following(map, from) : root === 0 ? 0 : firstUnder(root);
  while (node !== 0 && load<u32>(node, LPM_VALUED) === 0) node = following(map, node);
  if (node !== 0) {
    const size = load<u32>(map, LPM_DATA_SIZE);
    store<u32>(next, load<u32>(node, LPM_BITS));
    for (let i: u32 = 0; i < min<u32>(size, WORD_BYTES); i++) {
      store<u8>(next + LPM_KEY_DATA + i, load<u32>(node, LPM_WORD) >> (24 - 8 * i));
    }
    if (size > WORD_BYTES) copy(next + LPM_KEY_DATA, node + LPM_DATA, size);
  }
  unlock(map + LPM_LOCK);
  return node === 0 ? 0 : 1;
}
