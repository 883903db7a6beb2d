/** Operations on a map that a program knows only while it runs: one that it found in another map. */
import { array_lookup, array_lookup_inner, array_put } from './array';
import { EINVAL } from './errno';
import {
  hash_delete,
  hash_lookup,
  hash_lookup_inner,
  hash_lookup_percpu,
  hash_put,
  hash_put_percpu,
  narrow,
} from './hash';
import { map_delete, map_lookup, map_update } from './host';
import {
  KIND_ARRAY,
  KIND_ARRAY_OF_MAPS,
  KIND_HASH,
  KIND_HASH_OF_MAPS,
  KIND_LRU_HASH,
  KIND_LRU_PERCPU_HASH,
  KIND_PERCPU_ARRAY,
  KIND_PERCPU_HASH,
  MAP_KIND,
} from './layout';
import { lru_delete, lru_lookup, lru_lookup_percpu, lru_put, lru_put_percpu } from './lru-hash';

export function any_lookup(map: u32, key: u32, cpu: u32): u32 {
  switch (load<i32>(map, MAP_KIND)) {
    case KIND_HASH:
      return hash_lookup(map, key);
    case KIND_PERCPU_HASH:
      return hash_lookup_percpu(map, key, cpu);
    case KIND_LRU_HASH:
      return lru_lookup(map, key);
    case KIND_LRU_PERCPU_HASH:
      return lru_lookup_percpu(map, key, cpu);
    case KIND_ARRAY:
      return array_lookup(map, key, 0);
    case KIND_PERCPU_ARRAY:
      return array_lookup(map, key, cpu);
    case KIND_ARRAY_OF_MAPS:
      return array_lookup_inner(map, key);
    case KIND_HASH_OF_MAPS:
      return hash_lookup_inner(map, key);
    default:
      return map_lookup(map, key);
  }
}

export function any_update(map: u32, key: u32, value: u32, wide: u64, cpu: u32): i32 {
  const flags = narrow(wide);
  switch (load<i32>(map, MAP_KIND)) {
    case KIND_HASH:
      return hash_put(map, key, value, flags, cpu);
    case KIND_PERCPU_HASH:
      return hash_put_percpu(map, key, value, flags, cpu, cpu);
    case KIND_LRU_HASH:
      return lru_put(map, key, value, flags, cpu);
    case KIND_LRU_PERCPU_HASH:
      return lru_put_percpu(map, key, value, flags, cpu, cpu);
    case KIND_ARRAY:
      return array_put(map, key, value, flags, 0);
    case KIND_PERCPU_ARRAY:
      return array_put(map, key, value, flags, cpu);
    default:
      return map_update(map, key, value, flags);
  }
}

export function any_delete(map: u32, key: u32, cpu: u32): i32 {
  switch (load<i32>(map, MAP_KIND)) {
    case KIND_HASH:
    case KIND_PERCPU_HASH:
      return hash_delete(map, key, cpu);
    case KIND_LRU_HASH:
    case KIND_LRU_PERCPU_HASH:
      return lru_delete(map, key);
    case KIND_ARRAY:
    case KIND_PERCPU_ARRAY:
      return EINVAL;
    default:
      return map_delete(map, key);
  }
}
