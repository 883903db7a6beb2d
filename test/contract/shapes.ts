/** The map types under contract, and what is expected of each. */
import { MAP_CREATE_FLAGS as C, type MapCreateAttr } from '../../src/sys/index.ts';

export interface Shape {
  readonly attr: MapCreateAttr;
  readonly family:
    | 'hash'
    | 'array'
    | 'objects'
    | 'queue'
    | 'ringbuf'
    | 'lpm'
    | 'traces'
    | 'redirect'
    | 'sockets'
    | 'attached'
    | 'owned'
    | 'filter'
    | 'pages';
  readonly percpu?: true;
  /** Needs BTF types: an int of four bytes for key and value. */
  readonly typed?: true;
  /** Flags that the kernel adds. */
  readonly addedFlags?: number;
  /** Flags that may be added. */
  readonly flags: readonly string[];
  readonly flagErrors?: Readonly<Record<string, string>>;
  /** Answers to wrong calls. */
  readonly wrong: Wrong;
  /** A key for a number, where it is not the number. */
  readonly key?: (n: number) => Uint8Array;
}

interface Wrong {
  readonly lookupFlags: string;
  readonly lookupLock: string;
  readonly updateLock: string;
  readonly noexist: string;
  readonly unknown: string;
  readonly huge: string;
  readonly both: string;
}

const ACCESS = ['BPF_F_RDONLY', 'BPF_F_WRONLY', 'BPF_F_RDONLY_PROG', 'BPF_F_WRONLY_PROG'];
const USER_ACCESS = ['BPF_F_RDONLY', 'BPF_F_WRONLY'];

const WRONG: Wrong = {
  lookupFlags: 'EINVAL',
  lookupLock: 'EINVAL',
  updateLock: 'EINVAL',
  noexist: 'ok',
  unknown: 'EINVAL',
  huge: 'EINVAL',
  both: 'EINVAL',
};
const WRONG_ARRAY = { ...WRONG, noexist: 'EEXIST' };
const WRONG_OBJECT = { ...WRONG, noexist: 'EINVAL' };
/** The descriptor in the value is looked at before the flags. */
const WRONG_INNER: Wrong = { ...WRONG, noexist: 'EBADF', unknown: 'EBADF', huge: 'EBADF', both: 'EBADF' };

/** The socket, task or cgroup is looked for before the flags are looked at, but the lock's presence before all. */
const WRONG_SOCKET = { ...WRONG, noexist: 'EBADF' };
const everything = (errno: string): Wrong => ({
  ...WRONG,
  noexist: errno,
  unknown: errno,
  huge: errno,
  both: errno,
});

const four = { key_size: 4, value_size: 4, max_entries: 4 };
/** A key that is no open descriptor. */
const CLOSED = (n: number) => new Uint8Array(new Uint32Array([990_000 + n]).buffer);
const STORAGE = { ...four, max_entries: 0, map_flags: C.BPF_F_NO_PREALLOC };
const owned = (map_type: MapCreateAttr['map_type']): Shape => ({
  attr: { map_type, ...STORAGE },
  family: 'owned',
  typed: true,
  key: CLOSED,
  flags: ['BPF_F_NO_PREALLOC', 'BPF_F_CLONE'],
  wrong: WRONG_INNER,
});

export const SHAPES: readonly Shape[] = [
  {
    attr: { map_type: 'hash', ...four },
    family: 'hash',
    flags: ['BPF_F_NO_PREALLOC', 'BPF_F_NUMA_NODE', 'BPF_F_ZERO_SEED', ...ACCESS],
    wrong: WRONG,
  },
  {
    attr: { map_type: 'percpu_hash', ...four },
    family: 'hash',
    percpu: true,
    flags: ['BPF_F_NO_PREALLOC', 'BPF_F_ZERO_SEED', ...ACCESS],
    wrong: WRONG,
  },
  {
    attr: { map_type: 'lru_hash', ...four, max_entries: 64 },
    family: 'hash',
    flags: ['BPF_F_NO_COMMON_LRU', 'BPF_F_NUMA_NODE', 'BPF_F_ZERO_SEED', ...ACCESS],
    flagErrors: { BPF_F_NO_PREALLOC: 'ENOTSUPP' },
    wrong: WRONG,
  },
  {
    attr: { map_type: 'lru_percpu_hash', ...four, max_entries: 64 },
    family: 'hash',
    percpu: true,
    flags: ['BPF_F_NO_COMMON_LRU', 'BPF_F_ZERO_SEED', ...ACCESS],
    flagErrors: { BPF_F_NO_PREALLOC: 'ENOTSUPP' },
    wrong: WRONG,
  },
  {
    attr: { map_type: 'array', ...four },
    family: 'array',
    flags: ['BPF_F_NUMA_NODE', 'BPF_F_MMAPABLE', 'BPF_F_INNER_MAP', ...ACCESS],
    wrong: WRONG_ARRAY,
  },
  {
    attr: { map_type: 'percpu_array', ...four },
    family: 'array',
    percpu: true,
    flags: ACCESS,
    wrong: WRONG_ARRAY,
  },
  {
    attr: { map_type: 'prog_array', ...four },
    family: 'objects',
    flags: ['BPF_F_NUMA_NODE', ...USER_ACCESS],
    wrong: WRONG_OBJECT,
  },
  {
    attr: { map_type: 'perf_event_array', ...four },
    family: 'objects',
    flags: ['BPF_F_NUMA_NODE', 'BPF_F_PRESERVE_ELEMS', ...USER_ACCESS],
    wrong: WRONG_OBJECT,
  },
  {
    attr: { map_type: 'array_of_maps', ...four },
    family: 'objects',
    flags: ['BPF_F_NUMA_NODE', ...USER_ACCESS],
    wrong: WRONG_OBJECT,
  },
  {
    attr: { map_type: 'hash_of_maps', ...four },
    family: 'objects',
    flags: ['BPF_F_NO_PREALLOC', 'BPF_F_NUMA_NODE', 'BPF_F_ZERO_SEED', ...ACCESS],
    wrong: WRONG_INNER,
  },
  {
    attr: { map_type: 'ringbuf', key_size: 0, value_size: 0, max_entries: 4096 },
    family: 'ringbuf',
    flags: ['BPF_F_NUMA_NODE'],
    wrong: everything('ENOTSUPP'),
  },
  {
    attr: { map_type: 'queue', key_size: 0, value_size: 4, max_entries: 4 },
    family: 'queue',
    flags: ['BPF_F_NUMA_NODE', ...ACCESS],
    wrong: WRONG_OBJECT,
  },
  {
    attr: { map_type: 'stack', key_size: 0, value_size: 4, max_entries: 4 },
    family: 'queue',
    flags: ['BPF_F_NUMA_NODE', ...ACCESS],
    wrong: WRONG_OBJECT,
  },
  {
    attr: {
      map_type: 'lpm_trie',
      key_size: 8,
      value_size: 4,
      max_entries: 4,
      map_flags: C.BPF_F_NO_PREALLOC,
    },
    family: 'lpm',
    key: (n) => new Uint8Array([32, 0, 0, 0, 10, 0, 0, n]),
    flags: ['BPF_F_NO_PREALLOC', 'BPF_F_NUMA_NODE', ...ACCESS],
    wrong: WRONG,
  },
  {
    attr: { map_type: 'stack_trace', ...four, value_size: 32 },
    family: 'traces',
    flags: ['BPF_F_NUMA_NODE', 'BPF_F_STACK_BUILD_ID', ...USER_ACCESS],
    wrong: WRONG_OBJECT,
  },
  {
    attr: { map_type: 'cgroup_array', ...four },
    family: 'objects',
    flags: ['BPF_F_NUMA_NODE', ...USER_ACCESS],
    wrong: WRONG_OBJECT,
  },
  {
    attr: { map_type: 'devmap', ...four },
    family: 'redirect',
    addedFlags: C.BPF_F_RDONLY_PROG,
    flags: ['BPF_F_NUMA_NODE', ...USER_ACCESS],
    wrong: WRONG_ARRAY,
  },
  {
    attr: { map_type: 'devmap_hash', ...four },
    family: 'redirect',
    addedFlags: C.BPF_F_RDONLY_PROG,
    flags: ['BPF_F_NUMA_NODE', ...USER_ACCESS],
    wrong: WRONG_OBJECT,
  },
  {
    attr: { map_type: 'cpumap', ...four },
    family: 'redirect',
    flags: ['BPF_F_NUMA_NODE'],
    wrong: WRONG_ARRAY,
  },
  {
    attr: { map_type: 'xskmap', ...four },
    family: 'sockets',
    flags: ['BPF_F_NUMA_NODE', ...USER_ACCESS],
    wrong: WRONG_SOCKET,
  },
  {
    attr: { map_type: 'sockmap', ...four },
    family: 'sockets',
    flags: ['BPF_F_NUMA_NODE', ...USER_ACCESS],
    wrong: WRONG_INNER,
  },
  {
    attr: { map_type: 'sockhash', ...four },
    family: 'sockets',
    flags: ['BPF_F_NUMA_NODE', ...USER_ACCESS],
    wrong: WRONG_INNER,
  },
  {
    attr: { map_type: 'reuseport_sockarray', ...four },
    family: 'sockets',
    flags: ['BPF_F_NUMA_NODE', ...ACCESS],
    wrong: WRONG_SOCKET,
  },
  {
    attr: { map_type: 'cgroup_storage', key_size: 8, value_size: 4, max_entries: 0 },
    family: 'attached',
    key: (n) => new Uint8Array(new Uint32Array([n, 0]).buffer),
    flags: ['BPF_F_NUMA_NODE', ...ACCESS],
    wrong: WRONG_OBJECT,
  },
  {
    attr: { map_type: 'percpu_cgroup_storage', key_size: 8, value_size: 4, max_entries: 0 },
    family: 'attached',
    percpu: true,
    key: (n) => new Uint8Array(new Uint32Array([n, 0]).buffer),
    flags: ['BPF_F_NUMA_NODE', ...ACCESS],
    wrong: WRONG_OBJECT,
  },
  owned('sk_storage'),
  owned('inode_storage'),
  owned('task_storage'),
  owned('cgrp_storage'),
  {
    attr: { map_type: 'bloom_filter', ...four, key_size: 0 },
    family: 'filter',
    flags: ['BPF_F_NUMA_NODE', 'BPF_F_ZERO_SEED', ...ACCESS],
    wrong: WRONG_OBJECT,
  },
  {
    attr: { map_type: 'user_ringbuf', key_size: 0, value_size: 0, max_entries: 4096 },
    family: 'ringbuf',
    flags: ['BPF_F_NUMA_NODE'],
    wrong: everything('ENOTSUPP'),
  },
  {
    attr: {
      map_type: 'arena',
      key_size: 0,
      value_size: 0,
      max_entries: 4,
      map_flags: C.BPF_F_MMAPABLE,
    },
    family: 'pages',
    flags: ['BPF_F_MMAPABLE', 'BPF_F_SEGV_ON_FAULT', 'BPF_F_NO_USER_CONV'],
    wrong: everything('EOPNOTSUPP'),
  },
];

const PAGES = { key_size: 0, value_size: 0, map_flags: C.BPF_F_MMAPABLE };

const attr = (map_type: MapCreateAttr['map_type'], over: Partial<MapCreateAttr> = {}): MapCreateAttr => ({
  map_type,
  ...four,
  ...over,
});

/** What creation answers. */
export const CREATION: readonly (readonly [string, string, MapCreateAttr])[] = [
  ['hash without entries', 'EINVAL', attr('hash', { max_entries: 0 })],
  ['hash without a key', 'EINVAL', attr('hash', { key_size: 0 })],
  ['hash without a value', 'EINVAL', attr('hash', { value_size: 0 })],
  ['hash, largest element', 'ok', attr('hash', { value_size: 4_194_251, max_entries: 1 })],
  ['hash, element too large', 'E2BIG', attr('hash', { value_size: 4_194_252, max_entries: 1 })],
  ['hash, 2^27 entries and one', 'E2BIG', attr('hash', { max_entries: 2 ** 27 + 1 })],
  ['hash, 2^32 entries less one', 'E2BIG', attr('hash', { max_entries: 0xffff_ffff })],
  ['percpu_hash, largest value', 'ok', attr('percpu_hash', { value_size: 32_768, max_entries: 1 })],
  ['percpu_hash, value too large', 'E2BIG', attr('percpu_hash', { value_size: 32_769, max_entries: 1 })],
  ['array without entries', 'EINVAL', attr('array', { max_entries: 0 })],
  ['array with keys of 8 bytes', 'EINVAL', attr('array', { key_size: 8 })],
  ['array without a value', 'EINVAL', attr('array', { value_size: 0 })],
  ['array, value of 2 GiB', 'E2BIG', attr('array', { value_size: 2 ** 31 })],
  ['array, more than memory', 'ENOMEM', attr('array', { value_size: 8, max_entries: 0xffff_ffff })],
  ['percpu_array, largest value', 'ok', attr('percpu_array', { value_size: 32_768, max_entries: 1 })],
  ['percpu_array, value too large', 'E2BIG', attr('percpu_array', { value_size: 32_769, max_entries: 1 })],
  ['prog_array with values of 8 bytes', 'EINVAL', attr('prog_array', { value_size: 8 })],
  ['perf_event_array with values of 8 bytes', 'EINVAL', attr('perf_event_array', { value_size: 8 })],
  ['array_of_maps without an inner map', 'EBADF', attr('array_of_maps', { inner_map_fd: 999_999 as never })],
  ['RDONLY and WRONLY', 'EINVAL', attr('array', { map_flags: C.BPF_F_RDONLY | C.BPF_F_WRONLY })],
  [
    'RDONLY_PROG and WRONLY_PROG',
    'EINVAL',
    attr('hash', { map_flags: C.BPF_F_RDONLY_PROG | C.BPF_F_WRONLY_PROG }),
  ],
  ['NUMA node 9', 'EINVAL', attr('array', { map_flags: C.BPF_F_NUMA_NODE, numa_node: 9 })],
  ['a NUMA node that no flag asks for', 'ok', attr('array', { numa_node: 9 })],
  ['map_extra', 'EINVAL', attr('hash', { map_extra: 1n })],
  ['a device that is not there', 'EINVAL', attr('hash', { map_ifindex: 9999 })],
  ['a device that takes no maps', 'EOPNOTSUPP', attr('hash', { map_ifindex: 1 })],
  ['a name of 15 characters', 'ok', attr('hash', { map_name: 'abcdefgh_.12345' })],
  ['a name of 16 characters', 'EINVAL', attr('hash', { map_name: 'abcdefghijklmnop' })],
  ['a name with a space', 'EINVAL', attr('hash', { map_name: 'a b' })],
  [
    'ringbuf of no power of two',
    'EINVAL',
    attr('ringbuf', { key_size: 0, value_size: 0, max_entries: 12_288 }),
  ],
  ['ringbuf of half a page', 'EINVAL', attr('ringbuf', { key_size: 0, value_size: 0, max_entries: 2048 })],
  ['ringbuf with keys', 'EINVAL', attr('ringbuf', { value_size: 0, max_entries: 4096 })],
  ['queue with keys', 'EINVAL', attr('queue')],
  ['queue, largest value', 'ok', attr('queue', { key_size: 0, value_size: 4 << 20, max_entries: 1 })],
  ['queue, value too large', 'E2BIG', attr('queue', { key_size: 0, value_size: (4 << 20) + 1 })],
  ['lpm_trie, preallocated', 'EINVAL', attr('lpm_trie', { key_size: 8 })],
  ['lpm_trie, no data', 'EINVAL', attr('lpm_trie', { map_flags: C.BPF_F_NO_PREALLOC })],
  ['lpm_trie, 256 bytes', 'ok', attr('lpm_trie', { key_size: 260, map_flags: C.BPF_F_NO_PREALLOC })],
  ['lpm_trie, 257 bytes', 'EINVAL', attr('lpm_trie', { key_size: 261, map_flags: C.BPF_F_NO_PREALLOC })],
  ['insn_array', 'EINVAL', attr('insn_array', { value_size: 16 })],
  ['rhash', 'EINVAL', attr('rhash')],
  ['struct_ops without a type', 'EINVAL', attr('struct_ops', { max_entries: 1 })],
  ['array with a type of the kernel', 'EINVAL', attr('array', { btf_vmlinux_value_type_id: 1 })],
  ['stack_trace, 127 frames', 'ok', attr('stack_trace', { value_size: 127 * 8 })],
  ['stack_trace, 128 frames', 'EINVAL', attr('stack_trace', { value_size: 128 * 8 })],
  ['stack_trace, half a frame', 'EINVAL', attr('stack_trace')],
  [
    'stack_trace, 2^31 entries and one',
    'E2BIG',
    attr('stack_trace', { value_size: 8, max_entries: 2 ** 31 + 1 }),
  ],
  [
    'stack_trace, 127 build ids',
    'ok',
    attr('stack_trace', { value_size: 127 * 32, map_flags: C.BPF_F_STACK_BUILD_ID }),
  ],
  [
    'stack_trace, build ids of 8 bytes',
    'EINVAL',
    attr('stack_trace', { value_size: 8, map_flags: C.BPF_F_STACK_BUILD_ID }),
  ],
  ['devmap with a program', 'ok', attr('devmap', { value_size: 8 })],
  ['devmap with values of 12 bytes', 'EINVAL', attr('devmap', { value_size: 12 })],
  ['devmap with keys of 8 bytes', 'EINVAL', attr('devmap', { key_size: 8 })],
  ['devmap_hash, 2^31 entries and one', 'EINVAL', attr('devmap_hash', { max_entries: 2 ** 31 + 1 })],
  ['cpumap for more CPUs than there can be', 'E2BIG', attr('cpumap', { max_entries: 1 << 20 })],
  ['xskmap with values of 8 bytes', 'EINVAL', attr('xskmap', { value_size: 8 })],
  ['sockmap with cookies', 'ok', attr('sockmap', { value_size: 8 })],
  ['sockhash, longest key', 'ok', attr('sockhash', { key_size: 512 })],
  ['sockhash, key too long', 'E2BIG', attr('sockhash', { key_size: 513 })],
  ['sockhash without a key', 'EINVAL', attr('sockhash', { key_size: 0 })],
  ['reuseport_sockarray with values of 12 bytes', 'EINVAL', attr('reuseport_sockarray', { value_size: 12 })],
  ['cgroup_storage with entries', 'EINVAL', attr('cgroup_storage', { key_size: 8 })],
  ['cgroup_storage by attach type', 'ok', attr('cgroup_storage', { key_size: 16, max_entries: 0 })],
  ['cgroup_storage with keys of 4 bytes', 'EINVAL', attr('cgroup_storage', { max_entries: 0 })],
  [
    'cgroup_storage, largest value',
    'ok',
    attr('cgroup_storage', { key_size: 8, value_size: 65_407, max_entries: 0 }),
  ],
  [
    'cgroup_storage, value too large',
    'E2BIG',
    attr('cgroup_storage', { key_size: 8, value_size: 65_408, max_entries: 0 }),
  ],
  [
    'percpu_cgroup_storage, value too large',
    'E2BIG',
    attr('percpu_cgroup_storage', { key_size: 8, value_size: 32_769, max_entries: 0 }),
  ],
  [
    'sk_storage without types',
    'EINVAL',
    attr('sk_storage', { max_entries: 0, map_flags: C.BPF_F_NO_PREALLOC }),
  ],
  ['bloom_filter with keys', 'EINVAL', attr('bloom_filter')],
  ['bloom_filter, 15 hash functions', 'ok', attr('bloom_filter', { key_size: 0, map_extra: 15n })],
  ['bloom_filter, 16 hash functions', 'EINVAL', attr('bloom_filter', { key_size: 0, map_extra: 16n })],
  [
    'bloom_filter, value too large',
    'E2BIG',
    attr('bloom_filter', { key_size: 0, value_size: (4 << 20) + 1 }),
  ],
  [
    'user_ringbuf of no power of two',
    'EINVAL',
    attr('user_ringbuf', { key_size: 0, value_size: 0, max_entries: 12_288 }),
  ],
  ['arena that is not mappable', 'EINVAL', attr('arena', { key_size: 0, value_size: 0 })],
  ['arena of 4 GiB', 'ok', attr('arena', { ...PAGES, max_entries: 1 << 20 })],
  ['arena of more', 'E2BIG', attr('arena', { ...PAGES, max_entries: (1 << 20) + 1 })],
  ['arena at an odd address', 'EINVAL', attr('arena', { ...PAGES, map_extra: 1n })],
  ['arena over a multiple of 4 GiB', 'ERANGE', attr('arena', { ...PAGES, map_extra: 0xffff_f000n })],
  ['excl_prog_hash of 31 bytes', 'EINVAL', attr('array', { excl_prog_hash: new Uint8Array(31) })],
  ['BTF that is not open', 'EINVAL', attr('hash', { btf_key_type_id: 1 })],
  [
    'BTF descriptor that is none',
    'EBADF',
    attr('hash', { btf_fd: 999_999 as never, btf_key_type_id: 1, btf_value_type_id: 1 }),
  ],
];
