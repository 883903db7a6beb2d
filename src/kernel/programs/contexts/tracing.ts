/** Contexts of tracing programs: register files, argument arrays and tracepoint records. */
import { array, struct, u64 } from '../../../base/layout.ts';
import { ContextStruct, context, narrow64, openContext, u64Exact } from '../context.ts';

/** `struct pt_regs` of x86-64. @see arch/x86/include/asm/ptrace.h */
export const PT_REGS_LAYOUT = struct({
  r15: u64,
  r14: u64,
  r13: u64,
  r12: u64,
  bp: u64,
  bx: u64,
  r11: u64,
  r10: u64,
  r9: u64,
  r8: u64,
  ax: u64,
  cx: u64,
  dx: u64,
  si: u64,
  di: u64,
  orig_ax: u64,
  ip: u64,
  cs: u64,
  flags: u64,
  sp: u64,
  ss: u64,
});

const regs = Object.keys(PT_REGS_LAYOUT.members) as (keyof typeof PT_REGS_LAYOUT.members)[];

export const PT_REGS = new ContextStruct(
  'pt_regs',
  PT_REGS_LAYOUT.size,
  undefined,
  regs.map((name) => ({ name, ...PT_REGS_LAYOUT.members[name], value: 'scalar', read: narrow64 })),
);

/** @see include/uapi/linux/bpf_perf_event.h, struct bpf_perf_event_data */
export const PERF_EVENT_LAYOUT = struct({ regs: array(u64, 21), sample_period: u64, addr: u64 });

export const PERF_EVENT_DATA = context('bpf_perf_event_data', PERF_EVENT_LAYOUT, 'bpf_perf_event_data_kern', {
  regs: { read: u64Exact, reads: 'regs' },
  sample_period: { read: narrow64, reads: 'data->period' },
  addr: { read: narrow64, reads: 'data->addr' },
});

/** Bytes of the largest tracepoint record. @see include/linux/trace_events.h, PERF_MAX_TRACE_SIZE */
export const TRACEPOINT_MAX_SIZE = 8192;

/**
 * A tracepoint's record: the tracefs `format` file of the event names its fields. The first eight bytes hold kernel
 * data and can't be read. Linux's check lets negative offsets pass.
 */
export const TRACEPOINT_RECORD = openContext('tracepoint record', [
  { from: -0x8000, to: 0, read: narrow64 },
  { from: 8, to: TRACEPOINT_MAX_SIZE, read: narrow64 },
]);

/** Arguments that a traced function can have. @see include/linux/bpf.h, MAX_BPF_FUNC_ARGS */
export const MAX_FUNC_ARGS = 12;

/** @see include/uapi/linux/bpf.h, struct bpf_raw_tracepoint_args */
export const RAW_TRACEPOINT_ARGS = openContext('bpf_raw_tracepoint_args', [
  { from: 0, to: 8 * MAX_FUNC_ARGS, read: narrow64 },
]);

/** As {@link RAW_TRACEPOINT_ARGS}, but the first argument, read whole, is a buffer that the program may write. */
export const WRITABLE_TRACEPOINT_ARGS = new ContextStruct(
  'bpf_raw_tracepoint_args',
  8 * MAX_FUNC_ARGS,
  undefined,
  [{ name: 'buffer', offset: 0, size: 8, value: 'tp_buffer', read: u64Exact }],
  [
    { from: 1, to: 8, read: narrow64 },
    { from: 8, to: 8 * MAX_FUNC_ARGS, read: narrow64 },
  ],
);

/** Arguments of a kernel function whose types BTF tells: the verifier asks BTF for each eight bytes. */
export const BTF_ARGS = openContext('u64[]', [{ from: 0, to: 8 * MAX_FUNC_ARGS, read: narrow64 }]);

/** Memory that the caller of BPF_PROG_TEST_RUN gives to a syscall program. */
export const SYSCALL_CONTEXT = openContext('syscall context', [
  { from: 0, to: 0xffff, read: narrow64, write: narrow64 },
]);
