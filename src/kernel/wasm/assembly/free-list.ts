/**
 * Elements that are in no bucket: a list for each CPU. Who finds its own empty takes one that was never used, then from the
 * others' lists.
 */
import {
  ELEM_HASH,
  FREE_FIRST,
  FREE_LOCK,
  FREE_STRIDE,
  HASH_CPUS,
  HASH_FREE,
  HASH_FRESH,
  HASH_FRESH_END,
  HASH_STRIDE,
} from './layout';
import { lock, peek, SHARED, unlock } from './lock';

function pop(list: u32): u32 {
  if (SHARED && load<u32>(list, FREE_FIRST) === 0) return 0;
  lock(list + FREE_LOCK);
  const element = load<u32>(list, FREE_FIRST);
  if (element !== 0) store<u32>(list, load<u32>(element, ELEM_HASH), FREE_FIRST);
  unlock(list + FREE_LOCK);
  return element;
}

/**
 * Elements that were never used, taken at once where there are other processors: what one processor puts into a map lies
 * together, not in the cache lines that others write to.
 */
const RUN: u32 = 16;

/** @returns an element that was never used, or 0 */
function takeFresh(map: u32, cpu: u32): u32 {
  const end = load<u32>(map, HASH_FRESH_END);
  const stride = load<u32>(map, HASH_STRIDE);
  let element = peek(map + HASH_FRESH);
  while (element !== end) {
    if (!SHARED) {
      store<u32>(map, element + stride, HASH_FRESH);
      return element;
    }
    const after = min(element + RUN * stride, end);
    const seen = atomic.cmpxchg<u32>(map, element, after, HASH_FRESH);
    if (seen === element) {
      for (let other = after - stride; other !== element; other -= stride) giveFree(map, other, cpu);
      return element;
    }
    element = seen;
  }
  return 0;
}

/** @returns an element, or 0 when there is none */
export function takeFree(map: u32, cpu: u32): u32 {
  const lists = load<u32>(map, HASH_FREE);
  const own = pop(lists + cpu * FREE_STRIDE);
  if (own !== 0) return own;
  const fresh = takeFresh(map, cpu);
  if (fresh !== 0) return fresh;
  const cpus = load<u32>(map, HASH_CPUS);
  for (let i: u32 = 1; i < cpus; i++) {
    let other = cpu + i;
    if (other >= cpus) other -= cpus;
    const element = pop(lists + other * FREE_STRIDE);
    if (element !== 0) return element;
  }
  return 0;
}

/** The element keeps its place in the chain that it was in, for those who are just looking at it. */
export function giveFree(map: u32, element: u32, cpu: u32): void {
  const list = load<u32>(map, HASH_FREE) + cpu * FREE_STRIDE;
  lock(list + FREE_LOCK);
  store<u32>(element, load<u32>(list, FREE_FIRST), ELEM_HASH);
  store<u32>(list, element, FREE_FIRST);
  unlock(list + FREE_LOCK);
}

/** Gives a map new elements, one behind the other, spread over the CPUs; the first is taken first. */
export function hash_add(map: u32, first: u32, count: u32): void {
  const stride = load<u32>(map, HASH_STRIDE);
  const cpus = load<u32>(map, HASH_CPUS);
  const each = (count + cpus - 1) / cpus;
  for (let i = count; i > 0; i--) giveFree(map, first + (i - 1) * stride, (i - 1) / each);
}
