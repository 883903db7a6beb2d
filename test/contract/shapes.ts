/** The map types under contract, and what is expected of each. */
import { MAP_CREATE_FLAGS as C, type MapCreateAttr } from '../../src/sys/index.ts';

export interface Shape {
  readonly attr: MapCreateAttr;
  readonly family: 'hash' | 'array' | 'objects' | 'queue' | 'ringbuf' | 'lpm';
  readonly percpu?: true;
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
const WRONG_INNER = { ...WRONG, noexist: 'EBADF', unknown: 'EBADF', huge: 'EBADF', both: 'EBADF' };

const four = { key_size: 4, value_size: 4, max_entries: 4 };

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
    wrong: { ...WRONG, noexist: 'ENOTSUPP', unknown: 'ENOTSUPP', huge: 'ENOTSUPP', both: 'ENOTSUPP' },
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
];

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
  ['a device', 'EINVAL', attr('hash', { map_ifindex: 9999 })],
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
  ['BTF that is not open', 'EINVAL', attr('hash', { btf_key_type_id: 1 })],
  [
    'BTF descriptor that is none',
    'EBADF',
    attr('hash', { btf_fd: 999_999 as never, btf_key_type_id: 1, btf_value_type_id: 1 }),
  ],
];
