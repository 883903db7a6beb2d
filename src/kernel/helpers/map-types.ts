/** Which helpers take a map of which type. @see kernel/bpf/verifier.c, check_map_func_compatibility */
import type { Helper } from '../../sys/helper-ids.ts';
import type { MapType } from '../../sys/map-types.ts';

/** Types of maps that only these helpers take. Any other type is taken by every helper that {@link HELPER_MAP_TYPES} lets it. */
export const MAP_TYPE_HELPERS: Partial<Readonly<Record<MapType, readonly Helper[]>>> = {
  prog_array: ['tail_call'],
  perf_event_array: [
    'perf_event_read',
    'perf_event_output',
    'skb_output',
    'perf_event_read_value',
    'xdp_output',
  ],
  ringbuf: [
    'ringbuf_output',
    'ringbuf_reserve',
    'ringbuf_query',
    'ringbuf_reserve_dynptr',
    'ringbuf_submit_dynptr',
    'ringbuf_discard_dynptr',
  ],
  user_ringbuf: ['user_ringbuf_drain'],
  stack_trace: ['get_stackid'],
  cgroup_array: ['skb_under_cgroup', 'current_task_under_cgroup'],
  cgroup_storage: ['get_local_storage'],
  percpu_cgroup_storage: ['get_local_storage'],
  devmap: ['redirect_map', 'map_lookup_elem'],
  devmap_hash: ['redirect_map', 'map_lookup_elem'],
  cpumap: ['redirect_map'],
  xskmap: ['redirect_map', 'map_lookup_elem'],
  array_of_maps: ['map_lookup_elem'],
  hash_of_maps: ['map_lookup_elem'],
  sockmap: [
    'sk_redirect_map',
    'sock_map_update',
    'map_delete_elem',
    'msg_redirect_map',
    'sk_select_reuseport',
    'map_lookup_elem',
    'map_update_elem',
  ],
  sockhash: [
    'sk_redirect_hash',
    'sock_hash_update',
    'map_delete_elem',
    'msg_redirect_hash',
    'sk_select_reuseport',
    'map_lookup_elem',
    'map_update_elem',
  ],
  reuseport_sockarray: ['sk_select_reuseport'],
  queue: ['map_peek_elem', 'map_pop_elem', 'map_push_elem'],
  stack: ['map_peek_elem', 'map_pop_elem', 'map_push_elem'],
  sk_storage: ['sk_storage_get', 'sk_storage_delete', 'kptr_xchg'],
  inode_storage: ['inode_storage_get', 'inode_storage_delete', 'kptr_xchg'],
  task_storage: ['task_storage_get', 'task_storage_delete', 'kptr_xchg'],
  cgrp_storage: ['cgrp_storage_get', 'cgrp_storage_delete', 'kptr_xchg'],
  bloom_filter: ['map_peek_elem', 'map_push_elem'],
  insn_array: [],
};

/** Helpers that take only maps of these types, beside those that {@link MAP_TYPE_HELPERS} ties to a type. */
export const HELPER_MAP_TYPES: Partial<Readonly<Record<Helper, readonly MapType[]>>> = {
  map_lookup_percpu_elem: ['percpu_array', 'percpu_hash', 'lru_percpu_hash'],
};

/** Helpers that maps of many types are passed to, so that being listed for one type does not exclude the others. */
const GENERAL: ReadonlySet<Helper> = new Set<Helper>([
  'map_lookup_elem',
  'map_update_elem',
  'map_delete_elem',
  'kptr_xchg',
]);

const typesOf = new Map<Helper, MapType[]>();
for (const [type, helpers] of Object.entries(MAP_TYPE_HELPERS) as [MapType, readonly Helper[]][]) {
  for (const helper of helpers) typesOf.set(helper, [...(typesOf.get(helper) ?? []), type]);
}

/** Whether a helper takes maps of the type. */
export function takesMapType(helper: Helper, type: MapType): boolean {
  const helpers = MAP_TYPE_HELPERS[type];
  if (helpers) return helpers.includes(helper);
  const types = HELPER_MAP_TYPES[helper];
  if (types) return types.includes(type);
  return GENERAL.has(helper) || !typesOf.has(helper);
}
