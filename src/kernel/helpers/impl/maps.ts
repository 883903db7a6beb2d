/** Helpers on maps. @see kernel/bpf/helpers.c */
import type { HelperImpl } from '../../interpreter/environment.ts';
import type { MapElement } from '../../maps/map.ts';
import { addr, err, flags32, s64, u32 } from './values.ts';

export const map_lookup_elem: HelperImpl = (run, map, key) => BigInt(run.map(map).lookup(addr(key)));

export const map_update_elem: HelperImpl = (run, map, key, value, flags) =>
  run.map(map).update(addr(key), addr(value), flags32(flags));

export const map_delete_elem: HelperImpl = (run, map, key) => run.map(map).delete(addr(key));

export const map_push_elem: HelperImpl = (run, map, value, flags) =>
  run.map(map).push(addr(value), flags32(flags));

export const map_pop_elem: HelperImpl = (run, map, value) => run.map(map).pop(addr(value));

export const map_peek_elem: HelperImpl = (run, map, value) => run.map(map).peek(addr(value));

export const map_lookup_percpu_elem: HelperImpl = (run, map, key, cpu) =>
  u32(cpu) < run.machine.cpus ? BigInt(run.map(map).lookupPercpu(addr(key), u32(cpu))) : 0n;

/** Types whose elements can be walked. */
const ITERABLE: ReadonlySet<string> = new Set([
  'hash',
  'array',
  'percpu_hash',
  'percpu_array',
  'lru_hash',
  'lru_percpu_hash',
]);

export const for_each_map_elem: HelperImpl = (run, mapPointer, callback, context, flags) => {
  const map = run.map(mapPointer);
  if (flags !== 0n) return err('EINVAL');
  if (!ITERABLE.has(map.shape.type)) return err('EINVAL');
  const elements: Iterator<MapElement> = map.elements()[Symbol.iterator]();
  let visited = 0n;
  return {
    callback,
    next: (result) => {
      // The element that stops the walk was visited too.
      if (result !== undefined && s64(result) !== 0n) return visited;
      const { done, value } = elements.next();
      if (done) return visited;
      visited += 1n;
      return [mapPointer, BigInt(value.key), BigInt(value.value), context];
    },
  };
};

/** One processor runs at a time, so a lock is always free. */
export const spin_lock: HelperImpl = () => 0n;
export const spin_unlock: HelperImpl = () => 0n;
