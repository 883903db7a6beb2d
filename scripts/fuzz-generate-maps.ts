/** The maps that the fuzzer's programs use. */
import { MAP_CREATE_FLAGS, type MapType } from '../src/sys/index.ts';

/** Structs of the fuzzer's BTF that values of maps are declared as. */
export type ValueStruct = 'locked' | 'timed' | 'plain';

export interface FuzzMap {
  readonly type: MapType;
  readonly key: number;
  readonly value: number;
  readonly entries: number;
  readonly flags?: number;
  readonly struct?: ValueStruct;
}

const F = MAP_CREATE_FLAGS;

/** By their names, in the order of their numbers. */
export const FUZZ_MAPS = {
  hash: { type: 'hash', key: 8, value: 16, entries: 64 },
  array: { type: 'array', key: 4, value: 48, entries: 4 },
  single: { type: 'array', key: 4, value: 64, entries: 1 },
  percpu: { type: 'percpu_array', key: 4, value: 8, entries: 2 },
  ringbuf: { type: 'ringbuf', key: 0, value: 0, entries: 4096 },
  progs: { type: 'prog_array', key: 4, value: 4, entries: 4 },
  lru: { type: 'lru_hash', key: 4, value: 24, entries: 64 },
  outer: { type: 'array_of_maps', key: 4, value: 4, entries: 2 },
  readonly: { type: 'array', key: 4, value: 32, entries: 1, flags: F.BPF_F_RDONLY_PROG },
  queue: { type: 'queue', key: 0, value: 8, entries: 4 },
  /** `struct { struct bpf_spin_lock lock; int a; long b, c; }` */
  locked: { type: 'array', key: 4, value: 24, entries: 2, struct: 'locked' },
  /** `struct { struct bpf_timer timer; long n; }` */
  timed: { type: 'hash', key: 8, value: 24, entries: 2, struct: 'timed' },
  lpm: { type: 'lpm_trie', key: 8, value: 8, entries: 8, flags: F.BPF_F_NO_PREALLOC },
  stack: { type: 'stack', key: 0, value: 8, entries: 4 },
  bloom: { type: 'bloom_filter', key: 0, value: 8, entries: 16 },
  percpuHash: { type: 'percpu_hash', key: 4, value: 16, entries: 8 },
  events: { type: 'perf_event_array', key: 4, value: 4, entries: 2 },
  writeonly: { type: 'array', key: 4, value: 16, entries: 2, flags: F.BPF_F_WRONLY_PROG },
  sockets: { type: 'sockmap', key: 4, value: 4, entries: 4 },
  socketHash: { type: 'sockhash', key: 4, value: 8, entries: 4 },
  devices: { type: 'devmap', key: 4, value: 4, entries: 4 },
  processors: { type: 'cpumap', key: 4, value: 4, entries: 2 },
  stacks: { type: 'stack_trace', key: 4, value: 64, entries: 16 },
  cgroups: { type: 'cgroup_array', key: 4, value: 4, entries: 2 },
  perSocket: {
    type: 'sk_storage',
    key: 4,
    value: 16,
    entries: 0,
    flags: F.BPF_F_NO_PREALLOC,
    struct: 'plain',
  },
  users: { type: 'user_ringbuf', key: 0, value: 0, entries: 4096 },
  reuseport: { type: 'reuseport_sockarray', key: 4, value: 8, entries: 2 },
} as const satisfies Record<string, FuzzMap>;

export type MapName = keyof typeof FUZZ_MAPS;
export const MAP_NAMES = Object.keys(FUZZ_MAPS) as readonly MapName[];

/** Numbers of the maps, which stand in instructions until a kernel's file descriptors do. */
export const MAP = Object.fromEntries(MAP_NAMES.map((name, i) => [name, i])) as Readonly<
  Record<MapName, number>
>;
export const mapOf = (index: number): FuzzMap => FUZZ_MAPS[MAP_NAMES[index]!];
/** Maps of which a lookup gives a value to read and write. */
export const PLAIN_VALUES: readonly MapName[] = [
  'hash',
  'array',
  'single',
  'percpu',
  'lru',
  'percpuHash',
  'lpm',
];
