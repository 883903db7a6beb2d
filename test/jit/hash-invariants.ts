/** Walks a hash map's buckets, free elements and LRU lists, and tells what is wrong with them. */
import type { HashBase } from '../../src/kernel/maps/hash.ts';
import * as L from '../../src/kernel/wasm/assembly/layout.ts';

/** @returns one sentence for each fault */
export function hashFaults(map: HashBase): string[] {
  const { memory } = map.machine;
  const faults: string[] = [];
  const word = (at: number) => memory.readU32(at);
  const header = (offset: number) => word(map.addr + offset);
  const fault = (text: string) => faults.push(`${map.label}: ${text}`);
  /** Where each element was seen. */
  const seen = new Map<number, string>();
  const see = (element: number, where: string) => {
    const before = seen.get(element);
    if (before !== undefined) fault(`element ${element} is in ${before} and in ${where}`);
    seen.set(element, where);
  };

  const kind = header(L.MAP_KIND);
  const lru = kind === L.KIND_LRU_HASH || kind === L.KIND_LRU_PERCPU_HASH;
  const keyOffset = lru ? L.LRU_ELEM_SIZE : L.ELEM_SIZE;
  const keySize = header(L.HASH_KEY_SIZE);
  const mask = header(L.HASH_MASK);
  const cpus = header(L.HASH_CPUS);
  const { jhash } = memory.native.functions;

  const keys = new Set<string>();
  const inTable = new Set<number>();
  for (let bucket = 0; bucket <= mask; bucket++) {
    let at = word(header(L.HASH_BUCKETS) + 4 * bucket);
    if (at & 1) fault(`bucket ${bucket} is locked`);
    if (at === 0) continue;
    for (let steps = 0; (at & 1) === 0; steps++) {
      if (steps > mask + header(L.HASH_MAX_ENTRIES)) {
        fault(`the chain of bucket ${bucket} has no end`);
        break;
      }
      see(at, `bucket ${bucket}`);
      inTable.add(at);
      const hash = word(at + L.ELEM_HASH);
      if (hash !== jhash(at + keyOffset, keySize, header(L.HASH_SEED)) >>> 0)
        fault(`the hash of element ${at} is wrong`);
      if ((hash & mask) !== bucket) fault(`element ${at} is in the wrong bucket ${bucket}`);
      const key = memory.read((at + keyOffset) as never, keySize).join();
      if (keys.has(key)) fault(`key ${key} is there twice`);
      keys.add(key);
      at = word(at + L.ELEM_NEXT);
    }
    if ((at & 1) === 1 && at !== ((bucket << 1) | 1))
      fault(`the chain of bucket ${bucket} ends in another's`);
  }

  if (lru) checkLists();
  else {
    for (let cpu = 0; cpu < cpus; cpu++) {
      const list = header(L.HASH_FREE) + cpu * L.FREE_STRIDE;
      if (word(list + L.FREE_LOCK) !== 0) fault(`the free list of CPU ${cpu} is locked`);
      for (let at = word(list + L.FREE_FIRST); at !== 0; at = word(at + L.ELEM_HASH))
        see(at, `free list ${cpu}`);
      const spares = header(L.HASH_SPARES);
      if (spares !== 0) see(word(spares + 4 * cpu), `spare of CPU ${cpu}`);
    }
    const fresh = (header(L.HASH_FRESH_END) - header(L.HASH_FRESH)) / header(L.HASH_STRIDE);
    const preallocated = (header(L.HASH_FLAGS) & L.HASH_IS_PREALLOCATED) !== 0;
    const beyond = preallocated ? (kind === L.KIND_HASH ? cpus : 0) : cpus + 1;
    const expected = header(L.HASH_MAX_ENTRIES) + beyond;
    if (seen.size + fresh !== expected)
      fault(`${seen.size} elements and ${fresh} that are new, of ${expected}`);
    if (!preallocated && header(L.HASH_COUNT) !== inTable.size)
      fault(`${inTable.size} elements are counted as ${header(L.HASH_COUNT)}`);
  }
  return faults;

  function checkLists(): void {
    const split = (header(L.HASH_FLAGS) & L.HASH_IS_SPLIT) !== 0;
    const listed = new Map<number, string>();
    const ring = (head: number, state: number, where: string): number => {
      let count = 0;
      for (let at = word(head + L.LRU_NEXT); at !== head; at = word(at + L.LRU_NEXT)) {
        if (++count > header(L.HASH_MAX_ENTRIES)) {
          fault(`${where} has no end`);
          return count;
        }
        if (word(word(at + L.LRU_NEXT) + L.LRU_PREV) !== at) fault(`element ${at} is not linked both ways`);
        if (memory.u8[at + L.LRU_STATE] !== state)
          fault(`element ${at} in ${where} has state ${memory.u8[at + L.LRU_STATE]}`);
        const before = listed.get(at);
        if (before !== undefined) fault(`element ${at} is in ${before} and in ${where}`);
        listed.set(at, where);
        const free = state === L.LRU_FREE || state === L.LRU_LOCAL_FREE;
        if (free && inTable.has(at)) fault(`element ${at} is free and in a bucket`);
        if (!free && !inTable.has(at)) fault(`element ${at} in ${where} is in no bucket`);
      }
      return count;
    };
    for (let i = 0; i < (split ? cpus : 1); i++) {
      const lists = header(L.HASH_LRU) + i * L.LISTS_STRIDE;
      if (word(lists + L.LISTS_LOCK) !== 0) fault(`lists ${i} are locked`);
      const active = ring(lists + L.LISTS_ACTIVE, L.LRU_ACTIVE, `active list ${i}`);
      const inactive = ring(lists + L.LISTS_INACTIVE, L.LRU_INACTIVE, `inactive list ${i}`);
      ring(lists + L.LISTS_FREE, L.LRU_FREE, `free list ${i}`);
      if (active !== word(lists + L.LISTS_ACTIVE_COUNT)) fault(`${active} active elements are counted wrong`);
      if (inactive !== word(lists + L.LISTS_INACTIVE_COUNT))
        fault(`${inactive} inactive elements are counted wrong`);
    }
    for (let cpu = 0; !split && cpu < cpus; cpu++) {
      const local = header(L.HASH_LRU) + (1 + cpu) * L.LISTS_STRIDE;
      if (word(local + L.LOCAL_LOCK) !== 0) fault(`the stock of CPU ${cpu} is locked`);
      ring(local + L.LOCAL_FREE, L.LRU_LOCAL_FREE, `stock of CPU ${cpu}`);
      ring(local + L.LOCAL_PENDING, L.LRU_PENDING, `pending list of CPU ${cpu}`);
    }
    if (listed.size !== header(L.HASH_MAX_ENTRIES)) fault(`${listed.size} elements are in lists`);
  }
}
