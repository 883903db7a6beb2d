/**
 * Random sequences of map operations, from a seed, run on two kernels side by side. Everything that bpf(2) answers
 * must be the same: results, errnos, counts and the order of keys. Hash maps have `BPF_F_ZERO_SEED`, without which
 * their order is nobody's promise. What an LRU map drops depends on the CPU that asks: its sequences mean something only
 * in a process that runs on CPU 0 alone.
 */
import { BtfBuilder } from '../../src/btf/index.ts';
import { assembleLlvm } from '../../src/isa/index.ts';
import { MAP_CREATE_FLAGS as C, type Fd, type Kernel, type MapCreateAttr } from '../../src/sys/index.ts';

/** Numbers below a limit, from a seed (mulberry32). */
class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
  bytes(size: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i++) bytes[i] = this.below(256);
    return bytes;
  }
}

type Kind =
  | 'hash'
  | 'lru'
  | 'index'
  | 'lpm'
  | 'queue'
  | 'bloom'
  | 'device'
  | 'device_hash'
  | 'cpu'
  | 'objects'
  | 'attached'
  | 'owned'
  | 'none';

const KINDS: Readonly<Record<string, Kind>> = {
  hash: 'hash',
  percpu_hash: 'hash',
  array: 'index',
  percpu_array: 'index',
  lpm_trie: 'lpm',
  queue: 'queue',
  stack: 'queue',
  bloom_filter: 'bloom',
  devmap: 'device',
  devmap_hash: 'device_hash',
  cpumap: 'cpu',
  array_of_maps: 'objects',
  hash_of_maps: 'objects',
  cgroup_array: 'objects',
  sockmap: 'objects',
  sockhash: 'objects',
  xskmap: 'objects',
  reuseport_sockarray: 'objects',
  stack_trace: 'objects',
  prog_array: 'objects',
  perf_event_array: 'objects',
  cgroup_storage: 'attached',
  percpu_cgroup_storage: 'attached',
  sk_storage: 'owned',
  task_storage: 'owned',
  inode_storage: 'owned',
  cgrp_storage: 'owned',
  ringbuf: 'none',
  user_ringbuf: 'none',
  arena: 'none',
  lru_hash: 'lru',
  lru_percpu_hash: 'lru',
};
export const SEQUENCE_TYPES = Object.keys(KINDS) as MapCreateAttr['map_type'][];
/** Those that need one CPU. */
export const LRU_TYPES = SEQUENCE_TYPES.filter((type) => KINDS[type] === 'lru');

function shape(dice: Dice, type: MapCreateAttr['map_type']): MapCreateAttr {
  const value_size = dice.pick([1, 4, 7, 8, 12, 16, 33]);
  const max_entries = 1 + dice.below(dice.pick([3, 8, 40]));
  const base = { map_type: type, value_size, max_entries };
  switch (KINDS[type]!) {
    case 'hash': {
      const map_flags = C.BPF_F_ZERO_SEED | (dice.below(2) ? C.BPF_F_NO_PREALLOC : 0);
      return { ...base, key_size: dice.pick([1, 2, 3, 4, 5, 8, 12, 13, 16, 31]), map_flags };
    }
    case 'lru': {
      const map_flags = C.BPF_F_ZERO_SEED | (dice.below(2) ? C.BPF_F_NO_COMMON_LRU : 0);
      const most = dice.pick([1, 2, 3, 8, 40, 300]);
      return { ...base, key_size: 4, max_entries: 1 + dice.below(most), map_flags };
    }
    case 'index':
      return { ...base, key_size: 4 };
    case 'bloom':
      return { ...base, key_size: 0, map_extra: BigInt(dice.below(16)), map_flags: C.BPF_F_ZERO_SEED };
    case 'device':
    case 'device_hash':
    case 'cpu':
      return { ...base, key_size: 4, value_size: dice.pick([4, 8]) };
    case 'objects': {
      const wide = type.startsWith('sock') || type === 'reuseport_sockarray';
      const values = type === 'stack_trace' ? [8, 16, 80] : wide ? [4, 8] : [4];
      const hashed = type === 'hash_of_maps' ? { map_flags: C.BPF_F_ZERO_SEED } : {};
      return { ...base, key_size: 4, value_size: dice.pick(values), ...hashed };
    }
    case 'lpm':
      return { ...base, key_size: dice.pick([5, 8, 20]), map_flags: C.BPF_F_NO_PREALLOC };
    case 'queue':
      return { ...base, key_size: 0 };
    case 'attached':
      return { ...base, key_size: dice.pick([8, 16]), max_entries: 0 };
    case 'owned':
      return { ...base, key_size: 4, value_size: 4, max_entries: 0, map_flags: C.BPF_F_NO_PREALLOC };
    case 'none': {
      const arena = type === 'arena';
      return {
        map_type: type,
        key_size: 0,
        value_size: 0,
        max_entries: arena ? 1 + dice.below(8) : 4096 << dice.below(3),
        map_flags: arena ? C.BPF_F_MMAPABLE : 0,
      };
    }
  }
}

/** Flags that a map may be asked for beside its own, whether its type takes them or not. */
const EXTRA_FLAGS = [
  C.BPF_F_NO_PREALLOC,
  C.BPF_F_NO_COMMON_LRU,
  C.BPF_F_NUMA_NODE,
  C.BPF_F_RDONLY,
  C.BPF_F_WRONLY,
  C.BPF_F_RDONLY | C.BPF_F_WRONLY,
  C.BPF_F_STACK_BUILD_ID,
  C.BPF_F_ZERO_SEED,
  C.BPF_F_RDONLY_PROG,
  C.BPF_F_WRONLY_PROG,
  C.BPF_F_RDONLY_PROG | C.BPF_F_WRONLY_PROG,
  C.BPF_F_CLONE,
  C.BPF_F_MMAPABLE,
  C.BPF_F_PRESERVE_ELEMS,
  C.BPF_F_INNER_MAP,
  C.BPF_F_LINK,
  C.BPF_F_SEGV_ON_FAULT,
  C.BPF_F_NO_USER_CONV,
];

function flagged(dice: Dice, attr: MapCreateAttr): MapCreateAttr {
  if (dice.below(4) > 0) return attr;
  let map_flags = (attr.map_flags ?? 0) | dice.pick(EXTRA_FLAGS);
  // The order of a hash without it is nobody's promise.
  if (attr.map_type.includes('hash') && (attr.map_flags ?? 0) & C.BPF_F_ZERO_SEED)
    map_flags |= C.BPF_F_ZERO_SEED;
  return { ...attr, map_flags };
}

/** A key out of few, so that they meet again. */
function key(dice: Dice, attr: MapCreateAttr): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(attr.key_size);
  switch (KINDS[attr.map_type]!) {
    case 'hash':
      bytes[0] = dice.below(Math.min(attr.max_entries + 4, 250));
      bytes[bytes.length - 1]! += dice.below(2);
      break;
    case 'lru':
      new DataView(bytes.buffer).setUint32(0, dice.below(attr.max_entries * 2 + 4), true);
      break;
    case 'index':
    case 'device':
    case 'device_hash':
    case 'cpu':
    case 'objects':
      bytes[0] = dice.below(attr.max_entries + 2);
      if (dice.below(20) === 0) bytes.fill(255);
      break;
    case 'lpm':
      bytes[0] = dice.below((attr.key_size - 4) * 8 + 2);
      for (let i = 4; i < bytes.length; i++) bytes[i] = dice.pick([0, 128, 192, 255]);
      break;
    case 'attached':
      bytes[0] = dice.below(4);
      break;
    case 'owned':
      // No descriptor of a socket, a task, a file or a cgroup.
      new DataView(bytes.buffer).setUint32(0, 990_000 + dice.below(3), true);
      break;
    case 'queue':
    case 'bloom':
    case 'none':
      break;
  }
  return bytes;
}

/** A value that means something to the type now and then. */
function valueFor(dice: Dice, attr: MapCreateAttr, size: number): Uint8Array<ArrayBuffer> {
  const value = dice.bytes(size);
  const words = (first: number, second: number) => {
    const view = new DataView(value.buffer);
    view.setUint32(0, first, true);
    if (size >= 8) view.setUint32(4, second, true);
    return value;
  };
  switch (KINDS[attr.map_type]!) {
    case 'device':
    case 'device_hash':
      return words(dice.pick([0, 1, 1, 1, 999_999]), dice.pick([0, 0xffff_ffff, 999_999]));
    case 'cpu':
      return words(dice.pick([0, 1, 7, 16_384, 16_385]), dice.pick([0, 0xffff_ffff, 999_999]));
    case 'objects':
      return words(999_999, dice.pick([0, 1]));
    case 'bloom':
      return value.fill(dice.below(attr.max_entries + 3));
    default:
      return value;
  }
}

/** A program that looks up the key in the first four bytes of its packet. */
function lookupProgram({ bpf }: Kernel, map: Fd): Fd {
  const text = `
    r6 = r1
    r0 = *(u32 *)skb[0]
    r0 = be32 r0
    *(u32 *)(r10 - 4) = r0
    r1 = ${map} ll
    r2 = r10
    r2 += -4
    call 1
    r0 = 0
    exit`;
  const insns = assembleLlvm(text).bytes.slice();
  const load = insns.findIndex((byte, i) => i % 8 === 0 && byte === 0x18);
  insns[load + 1] = 0x11;
  return bpf.prog_load({ prog_type: 'socket_filter', insns, license: 'GPL' }).fd;
}

const FLAGS = [0n, 0n, 0n, 1n, 2n, 3n, 4n, 5n, 8n, 1n << 32n];

/** An operation on a map, the same on each kernel. */
type Step = (kernel: Kernel, fd: Fd) => unknown;

interface Operation {
  /** For the report of a difference. */
  readonly name: () => string;
  readonly run: Step;
}

/** What operations are made of. */
interface Making {
  readonly dice: Dice;
  readonly attr: MapCreateAttr;
  /** Bytes of a value as user space gives it. */
  readonly valueSize: number;
  readonly at: { readonly key?: Uint8Array };
}

const text = ({ at }: Making) => at.key?.join('.') ?? '';

function madeValue({ dice, attr, valueSize }: Making): Uint8Array<ArrayBuffer> {
  const value = valueFor(dice, attr, valueSize);
  if (valueSize === attr.value_size) return value;
  // What is between the values of two CPUs is nobody's.
  const slot = Math.ceil(attr.value_size / 8) * 8;
  for (let i = 0; i < valueSize; i++) if (i % slot >= attr.value_size) value[i] = 0;
  return value;
}

function several(making: Making): {
  readonly n: number;
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
} {
  const { dice, attr, valueSize } = making;
  const n = 1 + dice.below(4);
  const keys = new Uint8Array(n * attr.key_size);
  const values = new Uint8Array(n * valueSize);
  for (let i = 0; i < n; i++) {
    keys.set(key(dice, attr), i * attr.key_size);
    values.set(madeValue(making), i * valueSize);
  }
  return { n, keys, values };
}

/** Single operations come more often than those on many. */
const SINGLE: readonly ((making: Making) => Operation)[] = [
  (making) => {
    const picked = making.dice.pick(FLAGS);
    // With one CPU's value, a per-CPU map is given less than it is without; what that means is not Linux's to say here.
    const flags = picked === 8n && making.attr.map_type.includes('percpu') ? 0n : picked;
    const value = madeValue(making);
    const { at } = making;
    return {
      name: () => `update ${text(making)} ${flags}`,
      run: ({ bpf }, map_fd) => bpf.map_update_elem({ map_fd, ...at, value, flags }),
    };
  },
  (making) => {
    const value = madeValue(making);
    const { at } = making;
    return {
      name: () => `update ${text(making)}`,
      run: ({ bpf }, map_fd) => bpf.map_update_elem({ map_fd, ...at, value }),
    };
  },
  (making) => {
    const asked = making.attr.map_type === 'bloom_filter' ? { value: madeValue(making) } : {};
    const { at } = making;
    return {
      name: () => `lookup ${text(making)}`,
      run: ({ bpf }, map_fd) => bpf.map_lookup_elem({ map_fd, ...at, ...asked }),
    };
  },
  (making) => ({
    name: () => `delete ${text(making)}`,
    run: ({ bpf }, map_fd) => bpf.map_delete_elem({ map_fd, ...making.at }),
  }),
  (making) => ({
    name: () => `next ${text(making)}`,
    run: ({ bpf }, map_fd) => bpf.map_get_next_key({ map_fd, ...making.at }),
  }),
  () => ({ name: () => 'first', run: ({ bpf }, map_fd) => bpf.map_get_next_key({ map_fd }) }),
  (making) => {
    const flags = making.dice.pick(FLAGS) & 1n;
    return {
      name: () => `take ${text(making)} ${flags}`,
      run: ({ bpf }, map_fd) => bpf.map_lookup_and_delete_elem({ map_fd, ...making.at, flags }),
    };
  },
];

const MANY: readonly ((making: Making) => Operation)[] = [
  ({ dice, attr }) => {
    const count = dice.below(6);
    return {
      name: () => `walk batches of ${count}`,
      run: (kernel, fd) => walk(kernel, fd, attr, count, false),
    };
  },
  ({ dice, attr }) => {
    const count = dice.below(6);
    return {
      name: () => `take batches of ${count}`,
      run: (kernel, fd) => walk(kernel, fd, attr, count, true),
    };
  },
  (making) => {
    const { n, keys, values } = several(making);
    return {
      name: () => `update ${n} at once`,
      run: ({ bpf }, map_fd) => bpf.map_update_batch({ map_fd, count: n, keys, values }),
    };
  },
  (making) => {
    const { n, keys } = several(making);
    return {
      name: () => `delete ${n} at once`,
      run: ({ bpf }, map_fd) => bpf.map_delete_batch({ map_fd, count: n, keys }),
    };
  },
  () => ({ name: () => 'freeze', run: ({ bpf }, map_fd) => bpf.map_freeze({ map_fd }) }),
  ({ dice, at }) => {
    const open_flags = dice.pick([0, C.BPF_F_RDONLY, C.BPF_F_WRONLY, C.BPF_F_RDONLY | C.BPF_F_WRONLY, 1]);
    return {
      name: () => `open by id ${open_flags}`,
      run: (kernel, fd) => reopen(kernel, fd, open_flags, at),
    };
  },
];

/** What a second descriptor of the map may do. */
function reopen(kernel: Kernel, map_fd: Fd, open_flags: number, at: Making['at']): unknown[] {
  const { bpf } = kernel;
  const info = bpf.obj_get_info_by_fd({ bpf_fd: map_fd });
  if (info.kind !== 'map') return [info.kind];
  const { type, key_size, value_size, max_entries, map_flags, map_extra } = info;
  const said = [type, key_size, value_size, max_entries, map_flags, map_extra];
  const fd = bpf.map_get_fd_by_id({ map_id: info.id, open_flags });
  try {
    const first = answer(() => bpf.map_get_next_key({ map_fd: fd }));
    const missing = answer(() => bpf.map_delete_elem({ map_fd: fd, ...at }));
    // A bloom filter reads the value that it is asked for.
    const asked = type === 'bloom_filter' ? { value: new Uint8Array(value_size) } : {};
    return [...said, first, missing, answer(() => bpf.map_lookup_elem({ map_fd: fd, ...at, ...asked }))];
  } finally {
    kernel.closeFd(fd);
  }
}

function step(dice: Dice, attr: MapCreateAttr, cpus: number): Operation {
  const slot = Math.ceil(attr.value_size / 8) * 8;
  const making = {
    dice,
    attr,
    valueSize: attr.map_type.includes('percpu') ? slot * cpus : attr.value_size,
    at: attr.key_size === 0 ? {} : { key: key(dice, attr) },
  };
  const many = dice.below(4) === 0;
  // A frozen map answers everything alike: that is seen soon.
  const list = many && dice.below(3) > 0 ? MANY.slice(0, 4) : many ? MANY : SINGLE;
  return dice.pick(list)(making);
}

/** Batches from the start to the end or an error: what each brought, and where it ended. */
function walk({ bpf }: Kernel, map_fd: Fd, attr: MapCreateAttr, count: number, remove: boolean): unknown[] {
  const seen: unknown[] = [];
  let in_batch: Uint8Array | undefined;
  for (let round = 0; round < 60; round++) {
    try {
      const command = remove ? bpf.map_lookup_and_delete_batch : bpf.map_lookup_batch;
      const batch = command({ map_fd, count, ...(in_batch && { in_batch }) });
      const position =
        ['hash', 'lru'].includes(KINDS[attr.map_type]!) || attr.map_type === 'hash_of_maps'
          ? 4
          : attr.key_size;
      // A batch of none leaves the position unwritten.
      const end = count === 0 ? undefined : batch.out_batch?.slice(0, position);
      seen.push(batch.count, batch.keys, batch.values, end);
      in_batch = batch.out_batch;
    } catch (error) {
      seen.push((error as { errno?: string }).errno);
      break;
    }
    if (!in_batch || count === 0) break;
  }
  return seen;
}

/** What an operation answers: what it returns, or its errno. */
function answer(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    const { errno } = error as { errno?: string };
    if (errno === undefined) throw error;
    return errno;
  }
}

function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const one = a as ArrayLike<unknown>;
  const other = b as ArrayLike<unknown>;
  if (one.length !== other.length) return false;
  for (let i = 0; i < one.length; i++) if (!same(one[i], other[i])) return false;
  return true;
}

function shown(value: unknown): string {
  return (
    JSON.stringify(value, (_, item: unknown) =>
      item instanceof Uint8Array ? item.join() : typeof item === 'bigint' ? `${item}` : item,
    ) ?? 'nothing'
  );
}

const INNER = { map_type: 'array', key_size: 4, value_size: 4, max_entries: 1 } as const;

export interface Difference {
  readonly seed: number;
  readonly map: string;
  /** What was done, the differing operation last. */
  readonly steps: readonly string[];
  readonly answers: readonly [string, string];
}

/** What maps of maps are made with, and the types of those that need some; closed with the kernel. */
const inners = new WeakMap<Kernel, Fd>();
const types = new WeakMap<Kernel, Fd>();

function once(known: WeakMap<Kernel, Fd>, kernel: Kernel, make: () => Fd): Fd {
  const fd = known.get(kernel) ?? make();
  known.set(kernel, fd);
  return fd;
}

function completed(kernel: Kernel, attr: MapCreateAttr): MapCreateAttr {
  if (attr.map_type.endsWith('_of_maps')) {
    return { ...attr, inner_map_fd: once(inners, kernel, () => kernel.bpf.map_create(INNER)) };
  }
  if (KINDS[attr.map_type] !== 'owned') return attr;
  const btf_fd = once(types, kernel, () => kernel.bpf.btf_load({ btf: INT }));
  return { ...attr, btf_fd, btf_key_type_id: 1, btf_value_type_id: 1 };
}

const INT = (() => {
  const builder = new BtfBuilder();
  builder.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bitOffset: 0, bits: 32 });
  return builder.encode();
})();

/** Operations of a sequence; an LRU map must fill up before anything happens. */
export function sequenceLength(type: MapCreateAttr['map_type'], most: number, max_entries: number): number {
  return KINDS[type] === 'lru' ? Math.min(most, 20 + 2 * max_entries) : most;
}

/**
 * Runs one sequence on both kernels.
 * @param length most operations
 * @returns the first difference, and how many operations were compared
 */
export function compareSequence(
  kernels: readonly [Kernel, Kernel],
  type: MapCreateAttr['map_type'],
  seed: number,
  length: number,
): { readonly compared: number; readonly difference?: Difference } {
  const dice = new Dice(seed);
  const attr = flagged(dice, shape(dice, type));
  const [a, b] = kernels;
  const done: (() => string)[] = [];
  const differs = (compared: number, answers: readonly [unknown, unknown]) => ({
    compared,
    difference: {
      seed,
      map: shown(attr),
      steps: done.map((name) => name()),
      answers: [shown(answers[0]), shown(answers[1])] as const,
    },
  });
  const made = kernels.map((kernel) => answer(() => kernel.bpf.map_create(completed(kernel, attr))));
  const fds = made.filter((fd) => typeof fd === 'number') as Fd[];
  let programs: readonly Fd[] | undefined;
  try {
    if (fds.length < 2) {
      done.push(() => 'create');
      const told = made.map((fd) => (typeof fd === 'number' ? 'created' : fd));
      return told[0] === told[1] ? { compared: 1 } : differs(1, [told[0], told[1]]);
    }
    const readable = ((attr.map_flags ?? 0) & (C.BPF_F_WRONLY_PROG | C.BPF_F_RDONLY | C.BPF_F_WRONLY)) === 0;
    if (KINDS[type] === 'lru' && readable) {
      programs = kernels.map((kernel, i) => lookupProgram(kernel, fds[i]!));
    }
    const most = sequenceLength(type, length, attr.max_entries);
    for (let i = 0; i < most; i++) {
      if (programs && dice.below(3) === 0) {
        const data_in = new Uint8Array(64);
        data_in.set(key(dice, attr));
        for (const [k, kernel] of kernels.entries()) {
          kernel.bpf.prog_test_run({ prog_fd: programs[k]!, data_in, data_size_out: 0 });
        }
        done.push(() => `use ${data_in.slice(0, 4).join('.')}`);
        continue;
      }
      const { name, run } = step(dice, attr, a.possibleCpus);
      const answers = [answer(() => run(a, fds[0]!)), answer(() => run(b, fds[1]!))] as const;
      done.push(name);
      if (!same(answers[0], answers[1])) return differs(i + 1, answers);
    }
    return { compared: most };
  } finally {
    for (const [i, kernel] of kernels.entries()) {
      for (const fd of [typeof made[i] === 'number' ? (made[i] as Fd) : undefined, programs?.[i]]) {
        if (fd !== undefined) kernel.closeFd(fd);
      }
    }
  }
}
