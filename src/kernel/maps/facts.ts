/**
 * What holds of each map type: its keys and values in words, the flags that it may be created with, who may create it and
 * what BTF may say of its values. Tested against Linux by the contract.
 */
import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import type { MapType } from '../../sys/map-types.ts';
import type { FieldKind } from '../objects/field-record.ts';

export interface MapTypeFacts {
  readonly keys: string;
  readonly values: string;
  /** Bits of `MAP_CREATE_FLAGS` that are known. */
  readonly flags: number;
  /** The capability that creating one needs, where the system lets programs without any create some. */
  readonly needs: 'nothing' | 'bpf' | 'net_admin';
  readonly btf: BtfRule;
  /** Special fields that values may have. */
  readonly fields: readonly FieldKind[];
  /** Whether it can be a map's inner map, and then of what size: as its pattern or any. */
  readonly inner: 'no' | 'any size' | 'same size';
  /** What `map_extra` says. */
  readonly extra?: string;
  /** What it takes to be of use that this kernel does not have yet. */
  readonly waitsFor?: string;
}

/** What types of keys and values are taken; `any` wants a key type, `none` takes no types at all. */
type BtfRule = 'any' | 'none' | 'array' | 'lpm' | 'cgroup' | 'owner' | 'keyless';

const F = MAP_CREATE_FLAGS;
const NUMA = F.BPF_F_NUMA_NODE;
const USER_ACCESS = F.BPF_F_RDONLY | F.BPF_F_WRONLY;
const ACCESS = USER_ACCESS | F.BPF_F_RDONLY_PROG | F.BPF_F_WRONLY_PROG;
const PERCPU_HASH = F.BPF_F_NO_PREALLOC | F.BPF_F_ZERO_SEED | ACCESS;
const HASH = F.BPF_F_NO_PREALLOC | NUMA | F.BPF_F_ZERO_SEED | ACCESS;
const STORAGE = F.BPF_F_NO_PREALLOC | F.BPF_F_CLONE;

const KPTRS = ['kptr_unref', 'kptr_ref', 'kptr_percpu', 'refcount'] as const;
const LOCKS = ['spin_lock', 'res_spin_lock'] as const;
const ASYNC = ['timer', 'wq', 'task_work'] as const;
const GRAPHS = ['list_head', 'rb_root'] as const;

const plain = { btf: 'any', fields: [], inner: 'any size' } as const;
const ofObjects = { btf: 'none', fields: [], inner: 'any size' } as const;
const ofStorage = {
  keys: 'descriptor (4 bytes)',
  values: 'any size',
  flags: STORAGE,
  needs: 'bpf',
  btf: 'owner',
} as const;
const index = 'index (4 bytes)';

export const MAP_FACTS = {
  hash: {
    ...plain,
    keys: 'any size',
    values: 'any size',
    flags: HASH,
    needs: 'nothing',
    fields: [...LOCKS, ...ASYNC, ...KPTRS, ...GRAPHS],
  },
  array: {
    keys: index,
    values: 'any size',
    flags: NUMA | ACCESS | F.BPF_F_MMAPABLE | F.BPF_F_INNER_MAP,
    needs: 'nothing',
    btf: 'array',
    fields: [...LOCKS, ...ASYNC, ...KPTRS, ...GRAPHS],
    inner: 'same size',
  },
  prog_array: {
    ...plain,
    keys: index,
    values: 'program descriptor; its id when read',
    flags: NUMA | USER_ACCESS,
    needs: 'nothing',
    inner: 'no',
  },
  perf_event_array: {
    ...ofObjects,
    keys: index,
    values: 'perf event descriptor; not readable',
    flags: NUMA | USER_ACCESS | F.BPF_F_PRESERVE_ELEMS,
    needs: 'nothing',
  },
  percpu_hash: {
    ...plain,
    keys: 'any size',
    values: 'one of any size for each CPU',
    flags: PERCPU_HASH,
    needs: 'nothing',
    fields: KPTRS,
  },
  percpu_array: {
    keys: index,
    values: 'one of any size for each CPU',
    flags: ACCESS,
    needs: 'nothing',
    btf: 'array',
    fields: KPTRS,
    inner: 'any size',
  },
  stack_trace: {
    ...ofObjects,
    keys: 'stack id (4 bytes)',
    values: 'addresses (8 bytes each) or build ids (32 bytes each), at most 127',
    flags: NUMA | USER_ACCESS | F.BPF_F_STACK_BUILD_ID,
    needs: 'bpf',
  },
  cgroup_array: {
    ...ofObjects,
    keys: index,
    values: 'cgroup descriptor; not readable',
    flags: NUMA | USER_ACCESS,
    needs: 'nothing',
    waitsFor: 'cgroups',
  },
  lru_hash: {
    ...plain,
    keys: 'any size',
    values: 'any size',
    flags: (HASH & ~F.BPF_F_NO_PREALLOC) | F.BPF_F_NO_COMMON_LRU,
    needs: 'bpf',
    fields: [...ASYNC, ...KPTRS, ...GRAPHS],
  },
  lru_percpu_hash: {
    ...plain,
    keys: 'any size',
    values: 'one of any size for each CPU',
    flags: (PERCPU_HASH & ~F.BPF_F_NO_PREALLOC) | F.BPF_F_NO_COMMON_LRU,
    needs: 'bpf',
    fields: KPTRS,
  },
  lpm_trie: {
    keys: 'prefix length (4 bytes) and 1 to 256 bytes of data',
    values: 'any size',
    flags: F.BPF_F_NO_PREALLOC | NUMA | ACCESS,
    needs: 'bpf',
    btf: 'lpm',
    fields: [],
    inner: 'any size',
  },
  array_of_maps: {
    ...ofObjects,
    keys: index,
    values: 'map descriptor; its id when read',
    flags: NUMA | USER_ACCESS,
    needs: 'nothing',
    inner: 'no',
  },
  hash_of_maps: {
    ...ofObjects,
    keys: 'any size',
    values: 'map descriptor; its id when read',
    flags: HASH,
    needs: 'nothing',
    inner: 'no',
  },
  devmap: {
    ...ofObjects,
    keys: index,
    values: 'device number (4 bytes), optionally a program descriptor (4 bytes)',
    flags: NUMA | USER_ACCESS,
    needs: 'net_admin',
  },
  sockmap: {
    ...ofObjects,
    keys: index,
    values: 'socket descriptor (4 or 8 bytes); its cookie when read',
    flags: NUMA | USER_ACCESS,
    needs: 'net_admin',
    waitsFor: 'sockets',
  },
  cpumap: {
    ...ofObjects,
    keys: 'CPU (4 bytes)',
    values: 'queue size (4 bytes), optionally a program descriptor (4 bytes)',
    flags: NUMA,
    needs: 'bpf',
  },
  xskmap: {
    ...ofObjects,
    keys: index,
    values: 'AF_XDP socket descriptor; not readable',
    flags: NUMA | USER_ACCESS,
    needs: 'net_admin',
    inner: 'same size',
    waitsFor: 'sockets',
  },
  sockhash: {
    ...ofObjects,
    keys: '1 to 512 bytes',
    values: 'socket descriptor (4 or 8 bytes); its cookie when read',
    flags: NUMA | USER_ACCESS,
    needs: 'net_admin',
    waitsFor: 'sockets',
  },
  cgroup_storage: {
    keys: 'cgroup id (8 bytes), optionally with the attach type (16 bytes)',
    values: 'any size',
    flags: NUMA | ACCESS,
    needs: 'nothing',
    btf: 'cgroup',
    fields: LOCKS,
    inner: 'no',
    waitsFor: 'cgroups',
  },
  reuseport_sockarray: {
    ...plain,
    keys: index,
    values: 'socket descriptor (4 or 8 bytes); its cookie when read',
    flags: NUMA | ACCESS,
    needs: 'bpf',
    waitsFor: 'sockets',
  },
  percpu_cgroup_storage: {
    keys: 'cgroup id (8 bytes), optionally with the attach type (16 bytes)',
    values: 'one of any size for each CPU',
    flags: NUMA | ACCESS,
    needs: 'nothing',
    btf: 'cgroup',
    fields: [],
    inner: 'no',
    waitsFor: 'cgroups',
  },
  queue: { ...plain, keys: 'none', values: 'any size', flags: NUMA | ACCESS, needs: 'bpf' },
  stack: { ...plain, keys: 'none', values: 'any size', flags: NUMA | ACCESS, needs: 'bpf' },
  sk_storage: { ...ofStorage, fields: [...LOCKS, ...KPTRS], inner: 'any size', waitsFor: 'sockets' },
  devmap_hash: {
    ...ofObjects,
    keys: 'number (4 bytes)',
    values: 'device number (4 bytes), optionally a program descriptor (4 bytes)',
    flags: NUMA | USER_ACCESS,
    needs: 'net_admin',
  },
  struct_ops: {
    keys: index,
    values: 'a struct of functions, by its type in the kernel',
    flags: F.BPF_F_LINK | F.BPF_F_VTYPE_BTF_OBJ_FD,
    needs: 'bpf',
    btf: 'none',
    fields: [],
    inner: 'no',
    waitsFor: 'struct_ops programs',
  },
  ringbuf: {
    ...plain,
    keys: 'none',
    values: 'records, of max_entries bytes in all',
    flags: NUMA,
    needs: 'nothing',
  },
  inode_storage: { ...ofStorage, fields: [...LOCKS, ...KPTRS], inner: 'any size' },
  task_storage: { ...ofStorage, fields: [...LOCKS, ...KPTRS, 'uptr'], inner: 'any size' },
  bloom_filter: {
    keys: 'none',
    values: 'any size',
    flags: NUMA | F.BPF_F_ZERO_SEED | ACCESS,
    needs: 'bpf',
    btf: 'keyless',
    fields: [],
    inner: 'any size',
    extra: 'number of hash functions, 1 to 15; 0 for 5',
  },
  user_ringbuf: {
    ...plain,
    keys: 'none',
    values: 'records, of max_entries bytes in all',
    flags: NUMA,
    needs: 'nothing',
  },
  cgrp_storage: { ...ofStorage, fields: [...LOCKS, ...KPTRS], inner: 'any size', waitsFor: 'cgroups' },
  arena: {
    ...ofObjects,
    keys: 'none',
    values: 'max_entries pages that programs and user space share',
    flags: F.BPF_F_MMAPABLE | F.BPF_F_SEGV_ON_FAULT | F.BPF_F_NO_USER_CONV,
    needs: 'bpf',
    extra: 'address in user space, a multiple of 4096',
  },
} as const satisfies Partial<Record<MapType, MapTypeFacts>>;

/** A map type that this kernel has. */
export type KnownMapType = keyof typeof MAP_FACTS;

export function mapTypeFacts(type: MapType): MapTypeFacts | undefined {
  return (MAP_FACTS as Partial<Record<MapType, MapTypeFacts>>)[type];
}
