/** Small programs that ask Linux one question each: what it says to an instruction in a program of some type. */
import { InputError } from '../../src/base/error.ts';
import { parseBtf } from '../../src/btf/index.ts';
import { encode, type Insn, type Reg, type Size } from '../../src/isa/index.ts';
import type { AttachType, Fd, Kernel, ProgType } from '../../src/sys/index.ts';

export const mov = (dst: Reg, imm: number): Insn => ({
  kind: 'alu',
  op: 'mov',
  width: 64,
  dst,
  src: { kind: 'imm', imm },
});
export const copy = (dst: Reg, reg: Reg): Insn => ({
  kind: 'alu',
  op: 'mov',
  width: 64,
  dst,
  src: { kind: 'reg', reg },
});
export const plus = (dst: Reg, imm: number): Insn => ({
  kind: 'alu',
  op: 'add',
  width: 64,
  dst,
  src: { kind: 'imm', imm },
});
export const call = (id: number): Insn => ({ kind: 'call', target: { kind: 'helper', id } });
export const load = (size: Size, dst: Reg, src: Reg, off: number): Insn => ({
  kind: 'ldx',
  size,
  signed: false,
  dst,
  src,
  off,
});
export const store = (size: Size, dst: Reg, off: number, src: Reg): Insn => ({
  kind: 'stx',
  size,
  dst,
  off,
  src,
});
export const EXIT: Insn = { kind: 'exit' };

/** Linux's answer. */
export interface Answer {
  readonly ok: boolean;
  readonly errno: string | undefined;
  readonly log: string;
  /** The log's last line that is not the closing counts. */
  readonly message: string;
}

export interface Question {
  readonly type: ProgType;
  readonly attach?: AttachType | undefined;
  readonly btfTarget?: number;
  readonly license?: string;
  readonly level?: 1 | 2;
}

/** The program types that can be loaded where no kernel function can be traced, each with the attach types that matter. */
export const REACHABLE: readonly { readonly type: ProgType; readonly attach: readonly AttachType[] }[] = [
  { type: 'sched_cls', attach: [] },
  { type: 'sched_act', attach: [] },
  { type: 'xdp', attach: ['xdp', 'xdp_devmap', 'xdp_cpumap'] },
  { type: 'socket_filter', attach: [] },
  { type: 'kprobe', attach: ['perf_event', 'trace_kprobe_session', 'trace_uprobe_session'] },
  { type: 'tracepoint', attach: [] },
  { type: 'perf_event', attach: [] },
  { type: 'cgroup_skb', attach: ['cgroup_inet_ingress', 'cgroup_inet_egress'] },
  {
    type: 'cgroup_sock',
    attach: [
      'cgroup_inet_sock_create',
      'cgroup_inet_sock_release',
      'cgroup_inet4_post_bind',
      'cgroup_inet6_post_bind',
    ],
  },
  { type: 'lwt_in', attach: [] },
  { type: 'lwt_out', attach: [] },
  { type: 'lwt_xmit', attach: [] },
  { type: 'lwt_seg6local', attach: [] },
  { type: 'sock_ops', attach: ['cgroup_sock_ops'] },
  { type: 'sk_skb', attach: [] },
  { type: 'sk_msg', attach: [] },
  { type: 'cgroup_device', attach: ['cgroup_device'] },
  { type: 'raw_tracepoint', attach: [] },
  { type: 'raw_tracepoint_writable', attach: [] },
  {
    type: 'cgroup_sock_addr',
    attach: [
      'cgroup_inet4_bind',
      'cgroup_inet6_bind',
      'cgroup_inet4_connect',
      'cgroup_inet6_connect',
      'cgroup_unix_connect',
      'cgroup_udp4_sendmsg',
      'cgroup_udp6_sendmsg',
      'cgroup_unix_sendmsg',
      'cgroup_udp4_recvmsg',
      'cgroup_udp6_recvmsg',
      'cgroup_unix_recvmsg',
      'cgroup_inet4_getpeername',
      'cgroup_inet6_getpeername',
      'cgroup_unix_getpeername',
      'cgroup_inet4_getsockname',
      'cgroup_inet6_getsockname',
      'cgroup_unix_getsockname',
    ],
  },
  { type: 'sk_reuseport', attach: ['sk_reuseport_select', 'sk_reuseport_select_or_migrate'] },
  { type: 'flow_dissector', attach: [] },
  { type: 'cgroup_sysctl', attach: ['cgroup_sysctl'] },
  { type: 'cgroup_sockopt', attach: ['cgroup_getsockopt', 'cgroup_setsockopt'] },
  { type: 'tracing', attach: ['trace_raw_tp', 'trace_iter'] },
  { type: 'struct_ops', attach: [] },
  { type: 'sk_lookup', attach: ['sk_lookup'] },
  { type: 'syscall', attach: [] },
  { type: 'netfilter', attach: ['netfilter'] },
];

/** A kernel struct that programs can implement, of which every function may be written in BPF. */
export const OPS_STRUCT = 'tcp_congestion_ops';

const SLEEPABLE = 1 << 4;

export class Prober {
  readonly #linux: Kernel;
  readonly #targets: Readonly<Record<string, number | undefined>>;
  loads = 0;

  constructor(linux: Kernel) {
    this.#linux = linux;
    const bytes = linux.vmlinuxBtf();
    const btf = bytes === undefined ? undefined : parseBtf(bytes, 'vmlinux');
    this.#targets = {
      trace_raw_tp: btf?.find('btf_trace_sched_switch', 'typedef'),
      trace_iter: btf?.find('bpf_iter_task', 'func'),
      struct_ops: btf?.find(OPS_STRUCT, 'struct'),
    };
  }

  array(valueSize: number, flags = 0): Fd {
    return this.#linux.bpf.map_create({
      map_type: 'array',
      key_size: 4,
      value_size: valueSize,
      max_entries: 1,
      map_flags: flags,
    });
  }

  freeze(map: Fd): void {
    this.#linux.bpf.map_freeze({ map_fd: map });
  }

  ask(question: Question, insns: readonly Insn[]): Answer {
    const { type, attach, license = 'GPL', level = 1 } = question;
    const target = this.#targets[type === 'struct_ops' ? type : (attach ?? '')];
    this.loads++;
    try {
      const { fd, log } = this.#linux.bpf.prog_load({
        prog_type: type,
        insns: encode(insns),
        license,
        log_level: level,
        log_size: 1 << 18,
        ...(attach === undefined ? {} : { expected_attach_type: attach }),
        ...(type === 'syscall' ? { prog_flags: SLEEPABLE } : {}),
        ...(target === undefined ? {} : { attach_btf_id: target }),
      });
      this.#linux.closeFd(fd);
      return { ok: true, errno: undefined, log, message: '' };
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const log = error.detail ?? '';
      const lines = log.split('\n').filter((line) => line !== '' && !line.startsWith('processed '));
      return { ok: false, errno: error.errno, log, message: lines.at(-1) ?? '' };
    }
  }
}
