/**
 * Random sequences of map operations, from a seed, run on two kernels side by side. Everything that bpf(2) answers
 * must be the same: results, errnos, counts and the order of keys. Hash maps have `BPF_F_ZERO_SEED`, without which
 * their order is nobody's promise. What an LRU map drops depends on the CPU that asks: its sequences mean something only
 * in a process that runs on CPU 0 alone.
 */
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
    return Uint8Array.from({ length: size }, () => this.below(256));
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
  | 'objects';

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
  }
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
    case 'queue':
    case 'bloom':
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

function step(dice: Dice, attr: MapCreateAttr, cpus: number): [string, Step] {
  const slot = Math.ceil(attr.value_size / 8) * 8;
  const valueSize = attr.map_type.includes('percpu') ? slot * cpus : attr.value_size;
  const at = attr.key_size === 0 ? {} : { key: key(dice, attr) };
  const value = valueFor(dice, attr, valueSize);
  if (valueSize !== attr.value_size) {
    // What is between the values of two CPUs is nobody's.
    for (let i = 0; i < valueSize; i++) if (i % slot >= attr.value_size) value[i] = 0;
  }
  const flags = dice.pick(FLAGS);
  const count = dice.below(6);
  const n = 1 + dice.below(4);
  const run = Array.from({ length: n }, () => key(dice, attr));
  const values = Uint8Array.from(Array.from({ length: n }, () => [...value]).flat());
  const all = Uint8Array.from(run.flatMap((k) => [...k]));
  const bloom = attr.map_type === 'bloom_filter';
  const text = attr.key_size === 0 ? '' : (at as { key: Uint8Array }).key.join('.');
  const steps: readonly [string, Step][] = [
    [`update ${text} ${flags}`, ({ bpf }, map_fd) => bpf.map_update_elem({ map_fd, ...at, value, flags })],
    [`update ${text}`, ({ bpf }, map_fd) => bpf.map_update_elem({ map_fd, ...at, value })],
    [`lookup ${text}`, ({ bpf }, map_fd) => bpf.map_lookup_elem({ map_fd, ...at, ...(bloom && { value }) })],
    [`delete ${text}`, ({ bpf }, map_fd) => bpf.map_delete_elem({ map_fd, ...at })],
    [`next ${text}`, ({ bpf }, map_fd) => bpf.map_get_next_key({ map_fd, ...at })],
    ['first', ({ bpf }, map_fd) => bpf.map_get_next_key({ map_fd })],
    [
      `take ${text} ${flags}`,
      ({ bpf }, map_fd) => bpf.map_lookup_and_delete_elem({ map_fd, ...at, flags: flags & 1n }),
    ],
    [`walk batches of ${count}`, (kernel, fd) => walk(kernel, fd, attr, count, false)],
    [`take batches of ${count}`, (kernel, fd) => walk(kernel, fd, attr, count, true)],
    [
      `update ${n} at once`,
      ({ bpf }, map_fd) => bpf.map_update_batch({ map_fd, count: n, keys: all, values }),
    ],
    [`delete ${n} at once`, ({ bpf }, map_fd) => bpf.map_delete_batch({ map_fd, count: n, keys: all })],
  ];
  return dice.pick(dice.below(3) ? steps.slice(0, 7) : steps);
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

function answer(run: () => unknown): string {
  try {
    return (
      JSON.stringify(run(), (_, value: unknown) => (value instanceof Uint8Array ? value.join() : value)) ??
      'done'
    );
  } catch (error) {
    const { errno } = error as { errno?: string };
    if (errno === undefined) throw error;
    return errno;
  }
}

const INNER = { map_type: 'array', key_size: 4, value_size: 4, max_entries: 1 } as const;

export interface Difference {
  readonly seed: number;
  readonly map: string;
  /** What was done, the differing operation last. */
  readonly steps: readonly string[];
  readonly answers: readonly [string, string];
}

/** Runs one sequence on both kernels. @returns the first difference, and how many operations were compared */
export function compareSequence(
  kernels: readonly [Kernel, Kernel],
  type: MapCreateAttr['map_type'],
  seed: number,
  length: number,
): { readonly compared: number; readonly difference?: Difference } {
  const dice = new Dice(seed);
  const attr = shape(dice, type);
  const [a, b] = kernels;
  const inner = type.endsWith('_of_maps') ? kernels.map((kernel) => kernel.bpf.map_create(INNER)) : [];
  const nested = (i: number) => (inner[i] === undefined ? attr : { ...attr, inner_map_fd: inner[i] });
  const fds = [a.bpf.map_create(nested(0)), b.bpf.map_create(nested(1))] as const;
  const programs =
    KINDS[type] === 'lru' ? ([lookupProgram(a, fds[0]), lookupProgram(b, fds[1])] as const) : undefined;
  const steps: string[] = [];
  try {
    for (let i = 0; i < length; i++) {
      if (programs && dice.below(3) === 0) {
        const data_in = new Uint8Array(64);
        data_in.set(key(dice, attr));
        for (const [k, kernel] of kernels.entries()) {
          kernel.bpf.prog_test_run({ prog_fd: programs[k]!, data_in });
        }
        steps.push(`use ${data_in.slice(0, 4).join('.')}`);
        continue;
      }
      const [name, run] = step(dice, attr, a.possibleCpus);
      steps.push(name);
      const answers = [answer(() => run(a, fds[0])), answer(() => run(b, fds[1]))] as const;
      if (answers[0] !== answers[1]) {
        return { compared: i + 1, difference: { seed, map: JSON.stringify(attr), steps, answers } };
      }
    }
    return { compared: length };
  } finally {
    for (const [i, kernel] of kernels.entries()) {
      for (const fd of [fds[i], inner[i], programs?.[i]]) if (fd !== undefined) kernel.closeFd(fd);
    }
  }
}
