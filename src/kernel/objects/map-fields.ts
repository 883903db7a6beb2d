/** What the structs of map types have behind `struct bpf_map`, as programs read it through a pointer to the map. */
import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import type { MapType } from '../../sys/map-types.ts';
import type { BpfMap } from '../maps/map.ts';

interface OwnFields {
  readonly struct: string;
  /** By path. */
  readonly members: Readonly<Record<string, (map: BpfMap, sizeOf: (struct: string) => number) => number>>;
}

const round8 = (bytes: number): number => Math.ceil(bytes / 8) * 8;

/** @see kernel/bpf/hashtab.c, htab_map_alloc */
const table = (percpu: boolean): OwnFields => ({
  struct: 'bpf_htab',
  members: {
    n_buckets: ({ shape }) => 2 ** Math.ceil(Math.log2(shape.maxEntries)),
    elem_size: ({ shape }, sizeOf) =>
      sizeOf('htab_elem') + round8(shape.keySize) + (percpu ? 8 : round8(shape.valueSize)),
    // Elements that are there from the start are not counted.
    'count.counter': (map) =>
      map.shape.flags & MAP_CREATE_FLAGS.BPF_F_NO_PREALLOC ? [...map.elements()].length : 0,
  },
});
const array: OwnFields = {
  struct: 'bpf_array',
  members: { elem_size: ({ shape }) => round8(shape.valueSize) },
};

export const OWN_FIELDS: Partial<Readonly<Record<MapType, OwnFields>>> = {
  hash: table(false),
  percpu_hash: table(true),
  lru_hash: table(false),
  lru_percpu_hash: table(true),
  hash_of_maps: table(false),
  array,
  percpu_array: array,
  prog_array: array,
  perf_event_array: array,
  cgroup_array: array,
  array_of_maps: array,
};
