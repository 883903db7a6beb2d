import type { Fact } from './fact.ts';

type Facts = Readonly<Record<string, Fact>>;
type Values<T extends Facts> = { readonly [K in keyof T]: T[K]['id'] };

/** The constants of a table without their history: `MAP_CREATE_FLAGS.BPF_F_MMAPABLE` is a number. */
function values<T extends Facts>(facts: T): Values<T> {
  return Object.fromEntries(Object.entries(facts).map(([name, fact]) => [name, fact.id])) as Values<T>;
}

export const MAP_CREATE_FLAG_FACTS = {
  BPF_F_NO_PREALLOC: { id: 1 << 0, since: '4.6' },
  BPF_F_NO_COMMON_LRU: { id: 1 << 1, since: '4.10' },
  BPF_F_NUMA_NODE: { id: 1 << 2, since: '4.14' },
  BPF_F_RDONLY: { id: 1 << 3, since: '4.15' },
  BPF_F_WRONLY: { id: 1 << 4, since: '4.15' },
  BPF_F_STACK_BUILD_ID: { id: 1 << 5, since: '4.17' },
  BPF_F_ZERO_SEED: { id: 1 << 6, since: '5.0' },
  BPF_F_RDONLY_PROG: { id: 1 << 7, since: '5.2' },
  BPF_F_WRONLY_PROG: { id: 1 << 8, since: '5.2' },
  BPF_F_CLONE: { id: 1 << 9, since: '5.4' },
  BPF_F_MMAPABLE: { id: 1 << 10, since: '5.5' },
  BPF_F_PRESERVE_ELEMS: { id: 1 << 11, since: '5.10' },
  BPF_F_INNER_MAP: { id: 1 << 12, since: '5.10' },
  BPF_F_LINK: { id: 1 << 13, since: '6.4' },
  BPF_F_PATH_FD: { id: 1 << 14, since: '6.5' },
  BPF_F_VTYPE_BTF_OBJ_FD: { id: 1 << 15, since: '6.9' },
  BPF_F_TOKEN_FD: { id: 1 << 16, since: '6.9' },
  BPF_F_SEGV_ON_FAULT: { id: 1 << 17, since: '6.9' },
  BPF_F_NO_USER_CONV: { id: 1 << 18, since: '6.9' },
  BPF_F_RB_OVERWRITE: { id: 1 << 19, since: '6.19' },
} as const satisfies Facts;
/** Bits of `map_flags`; some are also read as `open_flags` and `file_flags`. */
export const MAP_CREATE_FLAGS = values(MAP_CREATE_FLAG_FACTS);

export const MAP_UPDATE_FLAG_FACTS = {
  BPF_ANY: { id: 0, since: '3.19' },
  BPF_NOEXIST: { id: 1, since: '3.19' },
  BPF_EXIST: { id: 2, since: '3.19' },
  BPF_F_LOCK: { id: 4, since: '5.1' },
  BPF_F_CPU: { id: 8, since: '7.0' },
  BPF_F_ALL_CPUS: { id: 16, since: '7.0' },
} as const satisfies Facts;
/** How an element is updated or looked up; with `BPF_F_CPU` the CPU's number stands in the upper 32 bits. */
export const MAP_UPDATE_FLAGS = values(MAP_UPDATE_FLAG_FACTS);

export const PROG_LOAD_FLAG_FACTS = {
  BPF_F_STRICT_ALIGNMENT: { id: 1 << 0, since: '4.12' },
  BPF_F_ANY_ALIGNMENT: { id: 1 << 1, since: '5.0' },
  BPF_F_TEST_RND_HI32: { id: 1 << 2, since: '5.3' },
  BPF_F_TEST_STATE_FREQ: { id: 1 << 3, since: '5.4' },
  BPF_F_SLEEPABLE: { id: 1 << 4, since: '5.10' },
  BPF_F_XDP_HAS_FRAGS: { id: 1 << 5, since: '5.18' },
  BPF_F_XDP_DEV_BOUND_ONLY: { id: 1 << 6, since: '6.3' },
  BPF_F_TEST_REG_INVARIANTS: { id: 1 << 7, since: '6.8' },
} as const satisfies Facts;
/** Bits of `prog_flags`. `BPF_F_TOKEN_FD` of {@link MAP_CREATE_FLAGS} is allowed too. */
export const PROG_LOAD_FLAGS = values(PROG_LOAD_FLAG_FACTS);

export const ATTACH_FLAG_FACTS = {
  BPF_F_ALLOW_OVERRIDE: { id: 1 << 0, since: '4.10' },
  BPF_F_ALLOW_MULTI: { id: 1 << 1, since: '4.15' },
  BPF_F_REPLACE: { id: 1 << 2, since: '5.6' },
  BPF_F_BEFORE: { id: 1 << 3, since: '6.6' },
  BPF_F_AFTER: { id: 1 << 4, since: '6.6' },
  BPF_F_ID: { id: 1 << 5, since: '6.6' },
  BPF_F_PREORDER: { id: 1 << 6, since: '6.15' },
  BPF_F_LINK: { id: 1 << 13, since: '6.6' },
} as const satisfies Facts;
/** Bits of `attach_flags`, and of a link's `flags` where the link goes among others. */
export const ATTACH_FLAGS = values(ATTACH_FLAG_FACTS);

export const QUERY_FLAG_FACTS = {
  BPF_F_QUERY_EFFECTIVE: { id: 1 << 0, since: '4.15' },
} as const satisfies Facts;
export const QUERY_FLAGS = values(QUERY_FLAG_FACTS);

export const TEST_RUN_FLAG_FACTS = {
  BPF_F_TEST_RUN_ON_CPU: { id: 1 << 0, since: '5.10' },
  BPF_F_TEST_XDP_LIVE_FRAMES: { id: 1 << 1, since: '5.18' },
  BPF_F_TEST_SKB_CHECKSUM_COMPLETE: { id: 1 << 2, since: '6.11' },
} as const satisfies Facts;
export const TEST_RUN_FLAGS = values(TEST_RUN_FLAG_FACTS);

export const LINK_FLAG_FACTS = {
  BPF_F_KPROBE_MULTI_RETURN: { id: 1 << 0, since: '5.18' },
  BPF_F_UPROBE_MULTI_RETURN: { id: 1 << 0, since: '6.6' },
  BPF_F_NETFILTER_IP_DEFRAG: { id: 1 << 0, since: '6.6' },
} as const satisfies Facts;
/** Bits of the `flags` of `kprobe_multi`, `uprobe_multi` and `netfilter`. */
export const LINK_FLAGS = values(LINK_FLAG_FACTS);

/** Bits of `log_level`. @see include/linux/bpf_verifier.h */
export const LOG_LEVELS = {
  /** The failing path. */
  BPF_LOG_LEVEL1: 1,
  /** Every state. */
  BPF_LOG_LEVEL2: 2,
  /** Counts and time. */
  BPF_LOG_STATS: 4,
  /** Keeps the beginning of a log that does not fit, not its end (since 6.4). */
  BPF_LOG_FIXED: 8,
} as const;

/** `type` of ENABLE_STATS. */
export const STATS_TYPES = { BPF_STATS_RUN_TIME: 0 } as const;

/** `stream_id` of PROG_STREAM_READ_BY_FD. */
export const STREAMS = { BPF_STDOUT: 1, BPF_STDERR: 2 } as const;

/** `fd_type` of TASK_FD_QUERY, by its number. @see enum bpf_task_fd_type */
export const TASK_FD_TYPES = [
  'raw_tracepoint',
  'tracepoint',
  'kprobe',
  'kretprobe',
  'uprobe',
  'uretprobe',
] as const;

/** Names of the bits that are set, in the table's order; what has no name is last, in hexadecimal. */
export function flagNames(table: Readonly<Record<string, number>>, bits: number): string[] {
  let rest = bits >>> 0;
  const names: string[] = [];
  for (const [name, bit] of Object.entries(table)) {
    if (bit !== 0 && (rest & bit) === bit) {
      names.push(name);
      rest = (rest & ~bit) >>> 0;
    }
  }
  return rest === 0 ? names : [...names, `0x${rest.toString(16)}`];
}
