/**
 * BPF_PROG_TEST_RUN by program type, on the embedded kernel and on Linux: which types run at all, what they take beside a
 * packet, live XDP frames, netfilter's hooks.
 */
import { expect, it } from 'vitest';
import { InputError } from '../../src/base/error.ts';
import { type Btf, parseBtf } from '../../src/btf/index.ts';
import { assembleLlvm } from '../../src/isa/index.ts';
import { createKernel } from '../../src/kernel/index.ts';
import { XDP_MD_LAYOUT } from '../../src/kernel/programs/index.ts';
import { attachTypeName } from '../../src/sys/attach-types.ts';
import { type Helper, helperId } from '../../src/sys/helper-ids.ts';
import type { AttachType, Kernel, ProgTestRunAttr, ProgType } from '../../src/sys/index.ts';
import { needsLinux, theLinux } from './support.ts';

type Run = Omit<ProgTestRunAttr, 'prog_fd'>;

interface Subject {
  readonly type: ProgType;
  readonly attach?: AttachType;
  /** Name and kind of what it attaches to, in the kernel's types. */
  readonly target?: readonly [name: string, kind: 'struct' | 'typedef' | 'func'];
  readonly program: string;
}

const RETURN = (value: number): string => `r0 = ${value}\nexit`;
const LIVE = 1 << 1;

/** What each type may return, and the attach type that it needs. */
const SUBJECTS: readonly Subject[] = [
  { type: 'socket_filter', program: RETURN(0) },
  { type: 'sched_cls', program: RETURN(0) },
  { type: 'sched_act', program: RETURN(0) },
  { type: 'xdp', program: RETURN(2) },
  { type: 'cgroup_skb', program: RETURN(1) },
  { type: 'cgroup_sock', program: RETURN(1) },
  { type: 'cgroup_device', program: RETURN(1) },
  { type: 'cgroup_sysctl', program: RETURN(1) },
  { type: 'cgroup_sock_addr', attach: 'cgroup_inet4_connect', program: RETURN(1) },
  { type: 'cgroup_sockopt', attach: 'cgroup_getsockopt', program: RETURN(1) },
  { type: 'lwt_in', program: RETURN(0) },
  { type: 'lwt_out', program: RETURN(0) },
  { type: 'lwt_xmit', program: RETURN(0) },
  { type: 'lwt_seg6local', program: RETURN(0) },
  { type: 'sock_ops', program: RETURN(1) },
  { type: 'sk_skb', program: RETURN(1) },
  { type: 'sk_msg', program: RETURN(1) },
  { type: 'sk_reuseport', program: RETURN(1) },
  { type: 'sk_lookup', attach: 'sk_lookup', program: RETURN(1) },
  { type: 'flow_dissector', program: RETURN(0) },
  { type: 'netfilter', attach: 'netfilter', program: RETURN(1) },
  { type: 'kprobe', program: RETURN(0) },
  { type: 'tracepoint', program: RETURN(0) },
  { type: 'perf_event', program: RETURN(0) },
  { type: 'raw_tracepoint', program: RETURN(0) },
  { type: 'raw_tracepoint_writable', program: RETURN(0) },
  { type: 'syscall', program: RETURN(0) },
  {
    type: 'tracing',
    attach: 'trace_raw_tp',
    target: ['btf_trace_sched_switch', 'typedef'],
    program: RETURN(0),
  },
  { type: 'tracing', attach: 'trace_iter', target: ['bpf_iter_task', 'func'], program: RETURN(0) },
];

/** Functions of a struct: the attach type stands for the function's index. */
const STRUCT_OPS: readonly Subject[] = [
  { type: 'struct_ops', target: ['bpf_dummy_ops', 'struct'], program: RETURN(7) },
  { type: 'struct_ops', attach: attachTypeName(1)!, target: ['bpf_dummy_ops', 'struct'], program: RETURN(7) },
  {
    type: 'struct_ops',
    attach: attachTypeName(1)!,
    target: ['tcp_congestion_ops', 'struct'],
    program: RETURN(7),
  },
];

const ETHERNET = (size: number, type: number): Uint8Array => {
  const bytes = new Uint8Array(size);
  bytes.set([type >> 8, type & 0xff], 12);
  if (size > 14) bytes[14] = type === 0x0800 ? 0x45 : 0x60;
  return bytes;
};
const FRAME = ETHERNET(64, 0x0800);
const bytes = (length: number, at?: number): Uint8Array => {
  const made = new Uint8Array(length);
  if (at !== undefined) made[at] = 1;
  return made;
};
const md = (members: Partial<Record<keyof typeof XDP_MD_LAYOUT.members, number>>): Uint8Array => {
  const made = new Uint8Array(XDP_MD_LAYOUT.size);
  XDP_MD_LAYOUT.patch(new DataView(made.buffer), 0, members);
  return made;
};
/** `struct nf_hook_state`. */
const hook = (number: number, family: number, pointer?: number): Uint8Array => {
  const made = bytes(48, pointer);
  made[0] = number;
  made[1] = family;
  return made;
};
/** `struct bpf_sk_lookup`: family, protocol, addresses and ports. */
const lookup = (family: number, port = 53): Uint8Array => {
  const made = new Uint8Array(72);
  const view = new DataView(made.buffer);
  view.setUint32(8, family, true);
  view.setUint32(12, 17, true);
  view.setUint32(60, port, true);
  return made;
};

/** What is asked of every type. */
const REQUESTS: readonly Run[] = [
  {},
  { data_in: FRAME },
  { data_in: FRAME, data_size_out: 8 },
  { data_in: FRAME, repeat: 3 },
  { data_in: FRAME, flags: 1 },
  { data_in: FRAME, flags: LIVE },
  { data_in: FRAME, flags: 4 },
  { data_in: FRAME, cpu: 1 },
  { data_in: FRAME, batch_size: 8 },
  { data_in: FRAME, ctx_in: bytes(16) },
  { data_in: FRAME, ctx_in: bytes(16, 3) },
  { data_in: FRAME, ctx_in: bytes(512) },
  { data_in: bytes(19) },
  { data_in: bytes(20) },
  { data_in: bytes(3776) },
  { data_in: bytes(4096) },
  { data_in: bytes(4097) },
  { data_in: bytes(5000), data_size_out: 6000 },
  { ctx_in: bytes(8) },
  { ctx_in: bytes(96) },
  { ctx_in: bytes(104) },
  { ctx_in: bytes(5000) },
  { ctx_in: bytes(70_000) },
  { ctx_in: bytes(16), ctx_size_out: 16 },
  { ctx_in: bytes(16), repeat: 2 },
  { ctx_in: bytes(16), flags: 1 },
  { ctx_in: bytes(16), flags: 1, cpu: 0 },
  { ctx_in: bytes(16), flags: 1, cpu: 9999 },
  { ctx_in: bytes(16), flags: 1, cpu: 1 },
  { ctx_in: bytes(16), cpu: 1 },
  { ctx_in: bytes(16), batch_size: 1 },
  { ctx_in: lookup(2) },
  { ctx_in: lookup(10) },
  { ctx_in: lookup(1) },
  { ctx_in: lookup(2, 70_000) },
  { ctx_in: lookup(2), ctx_size_out: 72 },
  { ctx_in: lookup(2), data_in: FRAME },
];

const LIVE_REQUESTS: readonly Run[] = [
  { data_in: FRAME },
  { data_in: FRAME, repeat: 1000 },
  { data_in: FRAME, batch_size: 1, repeat: 10 },
  { data_in: FRAME, batch_size: 256, repeat: 300 },
  { data_in: FRAME, batch_size: 257 },
  { data_in: FRAME, data_size_out: 64 },
  { data_in: FRAME, data_size_out: 63 },
  { data_in: bytes(13) },
  { data_in: bytes(14) },
  { data_in: bytes(3407) },
  { data_in: bytes(3408) },
  { data_in: bytes(3409) },
  { data_in: bytes(3520) },
  { data_in: bytes(9000) },
  { data_in: FRAME, ctx_in: md({ data_end: 64 }), ctx_size_out: 0 },
  { data_in: FRAME, ctx_in: md({ data_end: 64 }), ctx_size_out: 24 },
  { data_in: FRAME, ctx_in: md({ data_end: 64 }), ctx_size_out: 0, data_size_out: 64 },
  { data_in: FRAME, ctx_in: md({ data_end: 63 }), ctx_size_out: 0 },
  { data_in: FRAME, ctx_in: md({ data: 8, data_end: 64 }), ctx_size_out: 0 },
  { data_in: bytes(3408), ctx_in: md({ data: 8, data_end: 3408 }), ctx_size_out: 0 },
  { data_in: bytes(3416), ctx_in: md({ data: 8, data_end: 3416 }), ctx_size_out: 0 },
  { data_in: bytes(3417), ctx_in: md({ data: 8, data_end: 3417 }), ctx_size_out: 0 },
  { data_in: FRAME, ctx_in: md({ data_end: 64, ingress_ifindex: 9999 }), ctx_size_out: 0 },
  { data_in: FRAME, flags: LIVE | 1 },
].map((run) => ({ flags: LIVE, ...run }));

const HOOK_REQUESTS: readonly Run[] = [
  ...[0, 1, 2, 3, 4, 5, 200].flatMap((number) =>
    [2, 10, 3].flatMap((family) =>
      [
        ETHERNET(64, 0x0800),
        ETHERNET(64, 0x86dd),
        ETHERNET(64, 0x0806),
        ETHERNET(33, 0x0800),
        ETHERNET(53, 0x86dd),
      ].map((data_in) => ({ data_in, ctx_in: hook(number, family), ctx_size_out: 0 })),
    ),
  ),
  { data_in: FRAME, ctx_in: hook(3, 2, 8), ctx_size_out: 0 },
  { data_in: FRAME, ctx_in: hook(3, 2, 40), ctx_size_out: 0 },
  { data_in: FRAME, ctx_in: hook(3, 2).subarray(0, 2), ctx_size_out: 0 },
  { data_in: FRAME, ctx_size_out: 48 },
];

/** Arguments of functions: the first one is a null pointer, or leads nowhere. */
const STRUCT_REQUESTS: readonly Run[] = [
  ...REQUESTS,
  ...[0, 1, 2, 4, 5, 6].map((count) => ({ ctx_in: bytes(8 * count) })),
  ...[8, 40].map((size) => ({ ctx_in: bytes(size, 0) })),
];

const insns = (text: string): Uint8Array =>
  assembleLlvm(text, { helper: (name) => helperId(name as Helper) }).bytes;

/** The value and what comes back, or the errno, of each run; an errno alone where it can't be loaded. */
function outcomes(kernel: Kernel, subject: Subject, runs: readonly Run[]): unknown {
  const { type, attach, target, program } = subject;
  try {
    const attach_btf_id = target && btf().find(...target);
    const { fd } = kernel.bpf.prog_load({
      prog_type: type,
      insns: insns(program),
      license: 'GPL',
      ...(attach && { expected_attach_type: attach }),
      ...(attach_btf_id && { attach_btf_id }),
    });
    try {
      return runs.map((run) => answer(() => kernel.bpf.prog_test_run({ ...run, prog_fd: fd })));
    } finally {
      kernel.closeFd(fd);
    }
  } catch (error) {
    if (error instanceof InputError) return `load: ${error.errno}`;
    throw error;
  }
}

function answer(run: () => ReturnType<Kernel['bpf']['prog_test_run']>): unknown {
  try {
    const { retval, data_out, ctx_out } = run();
    return `${retval} ${Buffer.from(data_out).toString('hex')} ${Buffer.from(ctx_out).toString('hex')}`;
  } catch (error) {
    if (error instanceof InputError) return error.errno;
    throw error;
  }
}

/** Both answers, request by request, with what was asked. */
function compare(subject: Subject, runs: readonly Run[]): void {
  const linux = theLinux();
  using embedded = createKernel({ cpus: linux.possibleCpus, btf: btf().bytes });
  const shown = (kernel: Kernel): unknown => {
    const found = outcomes(kernel, subject, runs);
    return Array.isArray(found) ? found.map((one, i) => [i, describe(runs[i]!), one]) : found;
  };
  expect(shown(embedded)).toEqual(shown(linux));
}

let types: Btf | undefined;

/** The running kernel's. */
function btf(): Btf {
  types ??= parseBtf(theLinux().vmlinuxBtf()!, 'vmlinux');
  return types;
}

const describe = (run: Run): string =>
  Object.entries(run)
    .map(([name, value]) => `${name}: ${value instanceof Uint8Array ? `${value.length} bytes` : value}`)
    .join(', ');

needsLinux('BPF_PROG_TEST_RUN by type', () => {
  it.each(SUBJECTS.map((subject) => [subject.attach ?? subject.type, subject] as const))('%s', (_, subject) =>
    compare(subject, REQUESTS),
  );

  it.each(STRUCT_OPS.map((subject) => [subject.target![0], subject] as const))(
    'struct_ops: %s',
    (_, subject) => compare(subject, STRUCT_REQUESTS),
  );

  it.each([
    ['drop', RETURN(1)],
    ['pass', RETURN(2)],
    ['transmit', RETURN(3)],
    ['redirect to nowhere', RETURN(4)],
    ['an unknown action', RETURN(99)],
    ['grow as far as it goes', 'r2 = 3344\ncall xdp_adjust_tail\nr0 = 1\nexit'],
  ])('live frames: %s', (_, program) => compare({ type: 'xdp', program }, LIVE_REQUESTS));

  it('netfilter: every hook and family', () =>
    compare(
      {
        type: 'netfilter',
        attach: 'netfilter',
        program: RETURN(1),
      },
      HOOK_REQUESTS,
    ));
});

needsLinux('a struct_ops program', () => {
  it('gets and changes what is at its first argument', () => {
    const memory = Uint8Array.of(5, 0, 0, 0);
    const userMemory = (addr: bigint): Uint8Array | undefined => (addr === 0x1000n ? memory : undefined);
    using kernel = createKernel({
      btf: btf().bytes,
      task: { pid: 1, tgid: 1, uid: 0, gid: 0, comm: 'test', userMemory },
    });
    const program = insns(`
      r1 = *(u64 *)(r1 + 0)
      if r1 == 0 goto none
      r0 = *(u32 *)(r1 + 0)
      r2 = 90
      *(u32 *)(r1 + 0) = r2
      exit
    none:
      r0 = 0
      exit`);
    const { fd } = kernel.bpf.prog_load({
      prog_type: 'struct_ops',
      insns: program,
      license: 'GPL',
      attach_btf_id: btf().find('bpf_dummy_ops', 'struct')!,
    });
    const run = (addr: bigint): number => {
      const ctx_in = new Uint8Array(BigUint64Array.of(addr).buffer);
      return kernel.bpf.prog_test_run({ prog_fd: fd, ctx_in }).retval;
    };
    expect(run(0n)).toBe(0);
    expect(run(0x1000n)).toBe(5);
    expect([...memory]).toEqual([90, 0, 0, 0]);
    expect(answer(() => kernel.bpf.prog_test_run({ prog_fd: fd, ctx_in: bytes(8, 1) }))).toBe('EFAULT');
  });
});
