import { type Fact, index } from './fact.ts';

/** Map types, as libbpf and bpftool spell them: `BPF_MAP_TYPE_` and the upper-case name is `enum bpf_map_type`'s. */
export const MAP_TYPES = {
  hash: { id: 1, since: '3.19' },
  array: { id: 2, since: '3.19' },
  prog_array: { id: 3, since: '4.2' },
  perf_event_array: { id: 4, since: '4.3' },
  percpu_hash: { id: 5, since: '4.6' },
  percpu_array: { id: 6, since: '4.6' },
  stack_trace: { id: 7, since: '4.6' },
  cgroup_array: { id: 8, since: '4.8' },
  lru_hash: { id: 9, since: '4.10' },
  lru_percpu_hash: { id: 10, since: '4.10' },
  lpm_trie: { id: 11, since: '4.11' },
  array_of_maps: { id: 12, since: '4.12' },
  hash_of_maps: { id: 13, since: '4.12' },
  devmap: { id: 14, since: '4.14' },
  sockmap: { id: 15, since: '4.14' },
  cpumap: { id: 16, since: '4.15' },
  xskmap: { id: 17, since: '4.18' },
  sockhash: { id: 18, since: '4.18' },
  cgroup_storage: { id: 19, since: '4.19' },
  reuseport_sockarray: { id: 20, since: '4.19' },
  percpu_cgroup_storage: { id: 21, since: '4.20' },
  queue: { id: 22, since: '4.20' },
  stack: { id: 23, since: '4.20' },
  sk_storage: { id: 24, since: '5.2' },
  devmap_hash: { id: 25, since: '5.4' },
  struct_ops: { id: 26, since: '5.6' },
  ringbuf: { id: 27, since: '5.8' },
  inode_storage: { id: 28, since: '5.10' },
  task_storage: { id: 29, since: '5.11' },
  bloom_filter: { id: 30, since: '5.16' },
  user_ringbuf: { id: 31, since: '6.1' },
  cgrp_storage: { id: 32, since: '6.2' },
  arena: { id: 33, since: '6.9' },
  insn_array: { id: 34, since: '6.19' },
  rhash: { id: 35, since: '7.2' },
} as const satisfies Record<string, Fact>;

export type MapType = keyof typeof MAP_TYPES;

const types = index(MAP_TYPES);
export const mapTypeName: (id: number) => MapType | undefined = types.name;
export const mapTypeId: (name: MapType) => number = types.id;
export const isMapType: (name: string) => name is MapType = types.has;
/** In the order of their ids. */
export const mapTypeNames: readonly MapType[] = types.names;
