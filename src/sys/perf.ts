/** perf events, as far as BPF programs write to them or hang on them. @see include/uapi/linux/perf_event.h */

export const PERF_TYPES = {
  PERF_TYPE_HARDWARE: 0,
  PERF_TYPE_SOFTWARE: 1,
  PERF_TYPE_TRACEPOINT: 2,
  PERF_TYPE_HW_CACHE: 3,
  PERF_TYPE_RAW: 4,
  PERF_TYPE_BREAKPOINT: 5,
} as const;

/** `config` of `PERF_TYPE_SOFTWARE`. */
export const PERF_SOFTWARE = {
  PERF_COUNT_SW_CPU_CLOCK: 0,
  PERF_COUNT_SW_TASK_CLOCK: 1,
  PERF_COUNT_SW_PAGE_FAULTS: 2,
  PERF_COUNT_SW_CONTEXT_SWITCHES: 3,
  PERF_COUNT_SW_CPU_MIGRATIONS: 4,
  PERF_COUNT_SW_DUMMY: 9,
  /** What `bpf_perf_event_output` writes to. */
  PERF_COUNT_SW_BPF_OUTPUT: 10,
} as const;

/** Bits of `sample_type`: what a sample holds, in this order. */
export const PERF_SAMPLE = {
  PERF_SAMPLE_TID: 1 << 1,
  PERF_SAMPLE_TIME: 1 << 2,
  PERF_SAMPLE_CPU: 1 << 7,
  PERF_SAMPLE_RAW: 1 << 10,
} as const;

/** `type` of `struct perf_event_header`. */
export const PERF_RECORD = { PERF_RECORD_LOST: 2, PERF_RECORD_SAMPLE: 9 } as const;

/** Bits of the flags of `struct perf_event_attr`, by their place. */
export const PERF_ATTR_FLAGS = {
  disabled: 0,
  inherit: 1,
  exclude_user: 4,
  exclude_kernel: 5,
  freq: 10,
  watermark: 14,
  sample_id_all: 18,
  use_clockid: 25,
  write_backward: 27,
} as const;

export type PerfAttrFlag = keyof typeof PERF_ATTR_FLAGS;

/** The page that precedes a perf event's records: places of members of `struct perf_event_mmap_page`, in bytes. */
export const PERF_PAGE = { data_head: 1024, data_tail: 1032, data_offset: 1040, data_size: 1048 } as const;

/** What perf_event_open(2) is given; members of `struct perf_event_attr` that are absent are 0. */
export interface PerfEventAttr extends Partial<Readonly<Record<PerfAttrFlag, boolean>>> {
  /** One of `PERF_TYPES`, or of /sys/bus/event_source/devices. */
  readonly type: number;
  readonly config: number | bigint;
  readonly config1?: number | bigint;
  readonly config2?: number | bigint;
  /** Or the frequency, with `freq`. */
  readonly sample_period?: number | bigint;
  /** Bits of `PERF_SAMPLE`. */
  readonly sample_type?: number;
  readonly read_format?: number;
  /** A reader is woken after so many samples; with `watermark`, after so many bytes. */
  readonly wakeup?: number;
  /** Of samples, with `use_clockid`; 1 is `CLOCK_MONOTONIC`, the clock of `bpf_ktime_get_ns`. */
  readonly clockid?: number;
  /**
   * What `config1` points to, where it is a text: the function of a kprobe, the file of a uprobe
   * (/sys/bus/event_source/devices/kprobe, uprobe).
   */
  readonly target?: string;
  /** Default -1: every process. */
  readonly pid?: number;
  /** Default -1: every CPU. */
  readonly cpu?: number;
}
