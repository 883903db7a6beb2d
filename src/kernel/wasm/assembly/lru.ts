/**
 * Which element of an LRU map gives way to a new one, as Linux decides it: approximately the least recently used, by lists
 * that elements move between when room is needed, not when they are used. A use only sets a mark.
 *
 * With a common list each CPU has a stock of free elements and a list of those that it put in lately; with lists of their
 * own (`BPF_F_NO_COMMON_LRU`) the CPUs share nothing. Locks are taken in this order: a CPU's stock, the lists, a bucket.
 *
 * @see kernel/bpf/bpf_lru_list.c
 */

import { letGo, removeElement } from './hash';
import {
  ELEM_HASH,
  HASH_CPUS,
  HASH_FLAGS,
  HASH_IS_SPLIT,
  HASH_LRU,
  HASH_LRU_SCANS,
  HASH_LRU_TARGET,
  HASH_STRIDE,
  LISTS_ACTIVE,
  LISTS_ACTIVE_COUNT,
  LISTS_FREE,
  LISTS_INACTIVE,
  LISTS_INACTIVE_COUNT,
  LISTS_LOCK,
  LISTS_ROTATION,
  LISTS_STRIDE,
  LOCAL_FREE,
  LOCAL_LOCK,
  LOCAL_PENDING,
  LOCAL_STEAL,
  LRU_ACTIVE,
  LRU_CPU,
  LRU_FREE,
  LRU_INACTIVE,
  LRU_LOCAL_FREE,
  LRU_MARK,
  LRU_NEXT,
  LRU_PENDING,
  LRU_PREV,
  LRU_STATE,
} from './layout';
import { lock, unlock } from './lock';

// Rings.

function next(node: u32): u32 {
  return load<u32>(node, LRU_NEXT);
}
function prev(node: u32): u32 {
  return load<u32>(node, LRU_PREV);
}

function takeOut(node: u32): void {
  const after = next(node);
  const before = prev(node);
  store<u32>(before, after, LRU_NEXT);
  store<u32>(after, before, LRU_PREV);
}

function putInFront(node: u32, list: u32): void {
  const after = next(list);
  store<u32>(list, node, LRU_NEXT);
  store<u32>(node, list, LRU_PREV);
  store<u32>(node, after, LRU_NEXT);
  store<u32>(after, node, LRU_PREV);
}

function moveTo(node: u32, list: u32): void {
  takeOut(node);
  putInFront(node, list);
}

function firstOf(list: u32): u32 {
  const node = next(list);
  return node === list ? 0 : node;
}

// Elements.

function state(node: u32): u32 {
  return load<u8>(node, LRU_STATE);
}
function setState(node: u32, to: u32): void {
  store<u8>(node, to, LRU_STATE);
}
function marked(node: u32): bool {
  return load<u8>(node, LRU_MARK) !== 0;
}
function unmark(node: u32): void {
  store<u8>(node, 0, LRU_MARK);
}

/** The element was used. */
export function use(node: u32): void {
  if (load<u8>(node, LRU_MARK) === 0) store<u8>(node, 1, LRU_MARK);
}

/** Takes an element out of the hash table. @returns false when it is not in it */
function evict(map: u32, node: u32): bool {
  if (!removeElement(map, node)) return false;
  letGo(map, node);
  return true;
}

// Places.

function isSplit(map: u32): bool {
  return (load<u32>(map, HASH_FLAGS) & HASH_IS_SPLIT) !== 0;
}
function listsOf(map: u32, cpu: u32): u32 {
  return load<u32>(map, HASH_LRU) + cpu * LISTS_STRIDE;
}
/** A CPU's stock is behind the common lists. */
function localOf(map: u32, cpu: u32): u32 {
  return load<u32>(map, HASH_LRU) + (1 + cpu) * LISTS_STRIDE;
}

// Moves between the lists, whose lock is held.

function count(lists: u32, node: u32, by: i32): void {
  const at = state(node);
  if (at === LRU_ACTIVE) {
    store<i32>(lists, load<i32>(lists, LISTS_ACTIVE_COUNT) + by, LISTS_ACTIVE_COUNT);
  } else if (at === LRU_INACTIVE) {
    store<i32>(lists, load<i32>(lists, LISTS_INACTIVE_COUNT) + by, LISTS_INACTIVE_COUNT);
  }
}

/** The rotation goes on in front of an element that leaves its place. */
function keepRotation(lists: u32, node: u32): void {
  if (load<u32>(lists, LISTS_ROTATION) === node) store<u32>(lists, prev(node), LISTS_ROTATION);
}

/** From one of the lists to another, or to its front. */
function move(lists: u32, node: u32, to: u32): void {
  if (state(node) !== to) {
    count(lists, node, -1);
    setState(node, to);
    count(lists, node, 1);
  }
  unmark(node);
  keepRotation(lists, node);
  const list: u32 = to === LRU_ACTIVE ? LISTS_ACTIVE : to === LRU_INACTIVE ? LISTS_INACTIVE : LISTS_FREE;
  moveTo(node, lists + list);
}

/** From a CPU's list to one of the common lists. */
function enter(lists: u32, node: u32, to: u32): void {
  setState(node, to);
  count(lists, node, 1);
  unmark(node);
  moveTo(node, lists + (to === LRU_ACTIVE ? LISTS_ACTIVE : LISTS_INACTIVE));
}

/** Out of the lists, to be taken. */
function leave(lists: u32, node: u32, list: u32, to: u32): void {
  keepRotation(lists, node);
  count(lists, node, -1);
  setState(node, to);
  moveTo(node, list);
}

function rotate(map: u32, lists: u32): void {
  if (load<u32>(lists, LISTS_INACTIVE_COUNT) < load<u32>(lists, LISTS_ACTIVE_COUNT)) rotateActive(map, lists);
  rotateInactive(map, lists);
}

/** Lets those go to the inactive that were not used since. */
function rotateActive(map: u32, lists: u32): void {
  const active = lists + LISTS_ACTIVE;
  const scans = load<u32>(map, HASH_LRU_SCANS);
  const first = next(active);
  let node = prev(active);
  for (let i: u32 = 0; i < scans && node !== active; i++) {
    const before = prev(node);
    const last = node === first;
    move(lists, node, marked(node) ? LRU_ACTIVE : LRU_INACTIVE);
    if (last) return;
    node = before;
  }
}

/** Lets those go to the active that were used since. */
function rotateInactive(map: u32, lists: u32): void {
  const inactive = lists + LISTS_INACTIVE;
  if (next(inactive) === inactive) return;
  const scans = load<u32>(map, HASH_LRU_SCANS);
  const rotation = load<u32>(lists, LISTS_ROTATION);
  let last = next(rotation);
  if (last === inactive) last = next(last);
  let node = rotation;
  let before = node;
  for (let i: u32 = 0; i < scans; ) {
    if (node === inactive) {
      node = prev(node);
      continue;
    }
    before = prev(node);
    if (marked(node)) move(lists, node, LRU_ACTIVE);
    if (node === last) break;
    node = before;
    i++;
  }
  store<u32>(lists, before, LISTS_ROTATION);
}

function shrink(map: u32, lists: u32, wanted: u32, to: u32, as: u32): void {
  if (shrinkInactive(map, lists, wanted, to, as) > 0) return;
  // All were used: the oldest goes nevertheless.
  const inactive = lists + LISTS_INACTIVE;
  const from = next(inactive) === inactive ? lists + LISTS_ACTIVE : inactive;
  for (let node = prev(from); node !== from; node = prev(node)) {
    if (!evict(map, node)) continue;
    leave(lists, node, to, as);
    return;
  }
}

function shrinkInactive(map: u32, lists: u32, wanted: u32, to: u32, as: u32): u32 {
  const inactive = lists + LISTS_INACTIVE;
  const scans = load<u32>(map, HASH_LRU_SCANS);
  let taken: u32 = 0;
  let node = prev(inactive);
  for (let i: u32 = 0; i < scans && node !== inactive; i++) {
    const before = prev(node);
    if (marked(node)) {
      move(lists, node, LRU_ACTIVE);
    } else if (evict(map, node)) {
      leave(lists, node, to, as);
      taken += 1;
      if (taken === wanted) break;
    }
    node = before;
  }
  return taken;
}

// A CPU's stock.

function popFree(local: u32): u32 {
  const node = firstOf(local + LOCAL_FREE);
  if (node !== 0) takeOut(node);
  return node;
}

function popPending(map: u32, local: u32): u32 {
  const pending = local + LOCAL_PENDING;
  for (let force: u32 = 0; force < 2; force++) {
    for (let node = prev(pending); node !== pending; node = prev(node)) {
      if ((marked(node) && force === 0) || !evict(map, node)) continue;
      takeOut(node);
      return node;
    }
  }
  return 0;
}

function addPending(local: u32, node: u32, cpu: u32, hash: u32): void {
  store<u32>(node, hash, ELEM_HASH);
  setState(node, LRU_PENDING);
  store<u16>(node, cpu, LRU_CPU);
  unmark(node);
  putInFront(node, local + LOCAL_PENDING);
}

/** Fills a CPU's stock from the common list. */
function restock(map: u32, local: u32): void {
  const lists = listsOf(map, 0);
  const target = load<u32>(map, HASH_LRU_TARGET);
  const pending = local + LOCAL_PENDING;
  const stock = local + LOCAL_FREE;
  lock(lists + LISTS_LOCK);
  for (let node = prev(pending); node !== pending; ) {
    const before = prev(node);
    enter(lists, node, marked(node) ? LRU_ACTIVE : LRU_INACTIVE);
    node = before;
  }
  rotate(map, lists);
  const free = lists + LISTS_FREE;
  let taken: u32 = 0;
  for (let node = next(free); node !== free && taken < target; taken++) {
    const after = next(node);
    setState(node, LRU_LOCAL_FREE);
    moveTo(node, stock);
    node = after;
  }
  if (taken < target) shrink(map, lists, target - taken, stock, LRU_LOCAL_FREE);
  unlock(lists + LISTS_LOCK);
}

/** Takes from the CPUs in turn what is free, or was put in last. */
function steal(map: u32, local: u32): u32 {
  const cpus = load<u32>(map, HASH_CPUS);
  const first = load<u32>(local, LOCAL_STEAL);
  let robbed = first;
  let node: u32 = 0;
  do {
    const victim = localOf(map, robbed);
    lock(victim + LOCAL_LOCK);
    node = popFree(victim);
    if (node === 0) node = popPending(map, victim);
    unlock(victim + LOCAL_LOCK);
    robbed = robbed + 1 === cpus ? 0 : robbed + 1;
  } while (node === 0 && robbed !== first);
  store<u32>(local, robbed, LOCAL_STEAL);
  return node;
}

function takeCommon(map: u32, cpu: u32, hash: u32): u32 {
  const local = localOf(map, cpu);
  lock(local + LOCAL_LOCK);
  let node = popFree(local);
  if (node === 0) {
    restock(map, local);
    node = popFree(local);
  }
  if (node !== 0) addPending(local, node, cpu, hash);
  unlock(local + LOCAL_LOCK);
  if (node !== 0) return node;
  node = steal(map, local);
  if (node === 0) return 0;
  lock(local + LOCAL_LOCK);
  addPending(local, node, cpu, hash);
  unlock(local + LOCAL_LOCK);
  return node;
}

function takeOwn(map: u32, cpu: u32, hash: u32): u32 {
  const lists = listsOf(map, cpu);
  const free = lists + LISTS_FREE;
  lock(lists + LISTS_LOCK);
  rotate(map, lists);
  if (next(free) === free) shrink(map, lists, load<u32>(map, HASH_LRU_TARGET), free, LRU_FREE);
  const node = firstOf(free);
  if (node !== 0) {
    store<u32>(node, hash, ELEM_HASH);
    move(lists, node, LRU_INACTIVE);
  }
  unlock(lists + LISTS_LOCK);
  return node;
}

/** An element for a CPU to put in, taken from another if need be; 0 where all are in other hands. */
export function take(map: u32, cpu: u32, hash: u32): u32 {
  return isSplit(map) ? takeOwn(map, cpu, hash) : takeCommon(map, cpu, hash);
}

/** The element is in use no more. */
export function give(map: u32, node: u32): void {
  const split = isSplit(map);
  if (!split && state(node) === LRU_PENDING) {
    const local = localOf(map, load<u16>(node, LRU_CPU));
    lock(local + LOCAL_LOCK);
    // It may have gone to the common lists meanwhile.
    const here = state(node) === LRU_PENDING;
    if (here) {
      setState(node, LRU_LOCAL_FREE);
      unmark(node);
      moveTo(node, local + LOCAL_FREE);
    }
    unlock(local + LOCAL_LOCK);
    if (here) return;
  }
  const lists = listsOf(map, split ? load<u16>(node, LRU_CPU) : 0);
  lock(lists + LISTS_LOCK);
  move(lists, node, LRU_FREE);
  unlock(lists + LISTS_LOCK);
}

/** Begins a list. */
function begin(list: u32): void {
  store<u32>(list, list, LRU_NEXT);
  store<u32>(list, list, LRU_PREV);
}

/** Makes the lists, with all elements free. */
export function lru_begin(map: u32, first: u32, elements: u32): void {
  const stride = load<u32>(map, HASH_STRIDE);
  const split = isSplit(map);
  const cpus = load<u32>(map, HASH_CPUS);
  const count: u32 = split ? cpus : 1;
  for (let cpu: u32 = 0; cpu < count; cpu++) {
    const lists = listsOf(map, cpu);
    begin(lists + LISTS_ACTIVE);
    begin(lists + LISTS_INACTIVE);
    begin(lists + LISTS_FREE);
    store<u32>(lists, lists + LISTS_INACTIVE, LISTS_ROTATION);
  }
  for (let cpu: u32 = 0; !split && cpu < cpus; cpu++) {
    const local = localOf(map, cpu);
    begin(local + LOCAL_FREE);
    begin(local + LOCAL_PENDING);
    store<u32>(local, cpu, LOCAL_STEAL);
  }
  const each = split ? elements / cpus : elements;
  for (let i: u32 = 0; i < elements; i++) {
    const node = first + i * stride;
    const cpu: u32 = split ? i / each : 0;
    setState(node, LRU_FREE);
    store<u16>(node, cpu, LRU_CPU);
    putInFront(node, listsOf(map, cpu) + LISTS_FREE);
  }
}
