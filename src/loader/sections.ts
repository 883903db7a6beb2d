/**
 * The section names that say a program's type: libbpf's 116 definitions.
 * @see libbpf, "Program Types and ELF Sections"
 */
import type { AttachType, ProgType } from '../sys/index.ts';

/** What a section name says about the programs in it. */
export interface SectionDef {
  /** The name; with `+` at the end, the name alone or followed by `/` and a target. */
  readonly section: string;
  readonly type: ProgType;
  /** `expected_attach_type` at load. */
  readonly attach?: AttachType;
  /** The program may sleep (`BPF_F_SLEEPABLE`). */
  readonly sleepable?: boolean;
  /** The target is looked up in the kernel's BTF (`attach_btf_id`). */
  readonly attachBtf?: boolean;
  /** The program copes with packets in several buffers (`BPF_F_XDP_HAS_FRAGS`). */
  readonly frags?: boolean;
  /** The section name says all that attaching needs. */
  readonly auto?: boolean;
}

export const SECTIONS = [
  { section: 'socket', type: 'socket_filter' },
  { section: 'kprobe+', type: 'kprobe', auto: true },
  { section: 'uprobe+', type: 'kprobe', auto: true },
  { section: 'uprobe.s+', type: 'kprobe', sleepable: true, auto: true },
  { section: 'kretprobe+', type: 'kprobe', auto: true },
  { section: 'uretprobe+', type: 'kprobe', auto: true },
  { section: 'uretprobe.s+', type: 'kprobe', sleepable: true, auto: true },
  { section: 'kprobe.multi+', type: 'kprobe', attach: 'trace_kprobe_multi', auto: true },
  { section: 'kretprobe.multi+', type: 'kprobe', attach: 'trace_kprobe_multi', auto: true },
  { section: 'kprobe.session+', type: 'kprobe', attach: 'trace_kprobe_session', auto: true },
  { section: 'uprobe.multi+', type: 'kprobe', attach: 'trace_uprobe_multi', auto: true },
  { section: 'uretprobe.multi+', type: 'kprobe', attach: 'trace_uprobe_multi', auto: true },
  { section: 'uprobe.session+', type: 'kprobe', attach: 'trace_uprobe_session', auto: true },
  { section: 'uprobe.multi.s+', type: 'kprobe', attach: 'trace_uprobe_multi', sleepable: true, auto: true },
  {
    section: 'uretprobe.multi.s+',
    type: 'kprobe',
    attach: 'trace_uprobe_multi',
    sleepable: true,
    auto: true,
  },
  {
    section: 'uprobe.session.s+',
    type: 'kprobe',
    attach: 'trace_uprobe_session',
    sleepable: true,
    auto: true,
  },
  { section: 'ksyscall+', type: 'kprobe', auto: true },
  { section: 'kretsyscall+', type: 'kprobe', auto: true },
  { section: 'usdt+', type: 'kprobe', auto: true },
  { section: 'usdt.s+', type: 'kprobe', sleepable: true, auto: true },
  { section: 'tc/ingress', type: 'sched_cls', attach: 'tcx_ingress' },
  { section: 'tc/egress', type: 'sched_cls', attach: 'tcx_egress' },
  { section: 'tcx/ingress', type: 'sched_cls', attach: 'tcx_ingress' },
  { section: 'tcx/egress', type: 'sched_cls', attach: 'tcx_egress' },
  { section: 'tc', type: 'sched_cls' },
  { section: 'classifier', type: 'sched_cls' },
  { section: 'netkit/primary', type: 'sched_cls', attach: 'netkit_primary' },
  { section: 'netkit/peer', type: 'sched_cls', attach: 'netkit_peer' },
  { section: 'action', type: 'sched_act' },
  { section: 'tracepoint+', type: 'tracepoint', auto: true },
  { section: 'tp+', type: 'tracepoint', auto: true },
  { section: 'tracepoint.s+', type: 'tracepoint', sleepable: true, auto: true },
  { section: 'tp.s+', type: 'tracepoint', sleepable: true, auto: true },
  { section: 'xdp.frags/devmap', type: 'xdp', attach: 'xdp_devmap', frags: true },
  { section: 'xdp/devmap', type: 'xdp', attach: 'xdp_devmap' },
  { section: 'xdp.frags/cpumap', type: 'xdp', attach: 'xdp_cpumap', frags: true },
  { section: 'xdp/cpumap', type: 'xdp', attach: 'xdp_cpumap' },
  { section: 'xdp.frags', type: 'xdp', attach: 'xdp', frags: true },
  { section: 'xdp', type: 'xdp', attach: 'xdp' },
  { section: 'perf_event', type: 'perf_event' },
  { section: 'cgroup_skb/ingress', type: 'cgroup_skb', attach: 'cgroup_inet_ingress' },
  { section: 'cgroup_skb/egress', type: 'cgroup_skb', attach: 'cgroup_inet_egress' },
  { section: 'cgroup/skb', type: 'cgroup_skb' },
  { section: 'cgroup/sock_create', type: 'cgroup_sock', attach: 'cgroup_inet_sock_create' },
  { section: 'cgroup/sock_release', type: 'cgroup_sock', attach: 'cgroup_inet_sock_release' },
  { section: 'cgroup/sock', type: 'cgroup_sock', attach: 'cgroup_inet_sock_create' },
  { section: 'cgroup/post_bind4', type: 'cgroup_sock', attach: 'cgroup_inet4_post_bind' },
  { section: 'cgroup/post_bind6', type: 'cgroup_sock', attach: 'cgroup_inet6_post_bind' },
  { section: 'lwt_in', type: 'lwt_in' },
  { section: 'lwt_out', type: 'lwt_out' },
  { section: 'lwt_xmit', type: 'lwt_xmit' },
  { section: 'sockops', type: 'sock_ops', attach: 'cgroup_sock_ops' },
  { section: 'sk_skb/stream_parser', type: 'sk_skb', attach: 'sk_skb_stream_parser' },
  { section: 'sk_skb/stream_verdict', type: 'sk_skb', attach: 'sk_skb_stream_verdict' },
  { section: 'sk_skb/verdict', type: 'sk_skb', attach: 'sk_skb_verdict' },
  { section: 'sk_skb', type: 'sk_skb' },
  { section: 'cgroup/dev', type: 'cgroup_device', attach: 'cgroup_device' },
  { section: 'sk_msg', type: 'sk_msg', attach: 'sk_msg_verdict' },
  { section: 'raw_tracepoint+', type: 'raw_tracepoint', auto: true },
  { section: 'raw_tp+', type: 'raw_tracepoint', auto: true },
  { section: 'raw_tracepoint.s+', type: 'raw_tracepoint', sleepable: true, auto: true },
  { section: 'raw_tp.s+', type: 'raw_tracepoint', sleepable: true, auto: true },
  { section: 'cgroup/bind4', type: 'cgroup_sock_addr', attach: 'cgroup_inet4_bind' },
  { section: 'cgroup/bind6', type: 'cgroup_sock_addr', attach: 'cgroup_inet6_bind' },
  { section: 'cgroup/connect4', type: 'cgroup_sock_addr', attach: 'cgroup_inet4_connect' },
  { section: 'cgroup/connect6', type: 'cgroup_sock_addr', attach: 'cgroup_inet6_connect' },
  { section: 'cgroup/connect_unix', type: 'cgroup_sock_addr', attach: 'cgroup_unix_connect' },
  { section: 'cgroup/sendmsg4', type: 'cgroup_sock_addr', attach: 'cgroup_udp4_sendmsg' },
  { section: 'cgroup/sendmsg6', type: 'cgroup_sock_addr', attach: 'cgroup_udp6_sendmsg' },
  { section: 'cgroup/sendmsg_unix', type: 'cgroup_sock_addr', attach: 'cgroup_unix_sendmsg' },
  { section: 'cgroup/recvmsg4', type: 'cgroup_sock_addr', attach: 'cgroup_udp4_recvmsg' },
  { section: 'cgroup/recvmsg6', type: 'cgroup_sock_addr', attach: 'cgroup_udp6_recvmsg' },
  { section: 'cgroup/recvmsg_unix', type: 'cgroup_sock_addr', attach: 'cgroup_unix_recvmsg' },
  { section: 'cgroup/getpeername4', type: 'cgroup_sock_addr', attach: 'cgroup_inet4_getpeername' },
  { section: 'cgroup/getpeername6', type: 'cgroup_sock_addr', attach: 'cgroup_inet6_getpeername' },
  { section: 'cgroup/getpeername_unix', type: 'cgroup_sock_addr', attach: 'cgroup_unix_getpeername' },
  { section: 'cgroup/getsockname4', type: 'cgroup_sock_addr', attach: 'cgroup_inet4_getsockname' },
  { section: 'cgroup/getsockname6', type: 'cgroup_sock_addr', attach: 'cgroup_inet6_getsockname' },
  { section: 'cgroup/getsockname_unix', type: 'cgroup_sock_addr', attach: 'cgroup_unix_getsockname' },
  { section: 'lwt_seg6local', type: 'lwt_seg6local' },
  { section: 'lirc_mode2', type: 'lirc_mode2', attach: 'lirc_mode2' },
  { section: 'sk_reuseport/migrate', type: 'sk_reuseport', attach: 'sk_reuseport_select_or_migrate' },
  { section: 'sk_reuseport', type: 'sk_reuseport', attach: 'sk_reuseport_select' },
  { section: 'flow_dissector', type: 'flow_dissector', attach: 'flow_dissector' },
  { section: 'cgroup/sysctl', type: 'cgroup_sysctl', attach: 'cgroup_sysctl' },
  { section: 'raw_tracepoint.w+', type: 'raw_tracepoint_writable', auto: true },
  { section: 'raw_tp.w+', type: 'raw_tracepoint_writable', auto: true },
  { section: 'cgroup/getsockopt', type: 'cgroup_sockopt', attach: 'cgroup_getsockopt' },
  { section: 'cgroup/setsockopt', type: 'cgroup_sockopt', attach: 'cgroup_setsockopt' },
  { section: 'tp_btf+', type: 'tracing', attach: 'trace_raw_tp', attachBtf: true, auto: true },
  {
    section: 'tp_btf.s+',
    type: 'tracing',
    attach: 'trace_raw_tp',
    sleepable: true,
    attachBtf: true,
    auto: true,
  },
  { section: 'fentry+', type: 'tracing', attach: 'trace_fentry', attachBtf: true, auto: true },
  { section: 'fmod_ret+', type: 'tracing', attach: 'modify_return', attachBtf: true, auto: true },
  { section: 'fexit+', type: 'tracing', attach: 'trace_fexit', attachBtf: true, auto: true },
  {
    section: 'fentry.s+',
    type: 'tracing',
    attach: 'trace_fentry',
    sleepable: true,
    attachBtf: true,
    auto: true,
  },
  {
    section: 'fmod_ret.s+',
    type: 'tracing',
    attach: 'modify_return',
    sleepable: true,
    attachBtf: true,
    auto: true,
  },
  {
    section: 'fexit.s+',
    type: 'tracing',
    attach: 'trace_fexit',
    sleepable: true,
    attachBtf: true,
    auto: true,
  },
  { section: 'fsession+', type: 'tracing', attach: 'trace_fsession', attachBtf: true, auto: true },
  {
    section: 'fsession.s+',
    type: 'tracing',
    attach: 'trace_fsession',
    sleepable: true,
    attachBtf: true,
    auto: true,
  },
  { section: 'fsession.multi+', type: 'tracing', attach: 'trace_fsession_multi', auto: true },
  {
    section: 'fsession.multi.s+',
    type: 'tracing',
    attach: 'trace_fsession_multi',
    sleepable: true,
    auto: true,
  },
  { section: 'fentry.multi+', type: 'tracing', attach: 'trace_fentry_multi', auto: true },
  { section: 'fexit.multi+', type: 'tracing', attach: 'trace_fexit_multi', auto: true },
  { section: 'fentry.multi.s+', type: 'tracing', attach: 'trace_fentry_multi', sleepable: true, auto: true },
  { section: 'fexit.multi.s+', type: 'tracing', attach: 'trace_fexit_multi', sleepable: true, auto: true },
  { section: 'iter+', type: 'tracing', attach: 'trace_iter', attachBtf: true, auto: true },
  { section: 'iter.s+', type: 'tracing', attach: 'trace_iter', sleepable: true, attachBtf: true, auto: true },
  { section: 'struct_ops+', type: 'struct_ops' },
  { section: 'struct_ops.s+', type: 'struct_ops', sleepable: true },
  { section: 'freplace+', type: 'ext', attachBtf: true, auto: true },
  { section: 'lsm+', type: 'lsm', attach: 'lsm_mac', attachBtf: true, auto: true },
  { section: 'lsm.s+', type: 'lsm', attach: 'lsm_mac', sleepable: true, attachBtf: true, auto: true },
  { section: 'lsm_cgroup+', type: 'lsm', attach: 'lsm_cgroup', attachBtf: true },
  { section: 'sk_lookup', type: 'sk_lookup', attach: 'sk_lookup' },
  { section: 'syscall', type: 'syscall', sleepable: true },
  { section: 'netfilter', type: 'netfilter', attach: 'netfilter' },
] as const satisfies readonly SectionDef[];

const EXACT = new Map<string, SectionDef>(
  SECTIONS.filter((def) => !def.section.endsWith('+')).map((def) => [def.section, def]),
);
const WITH_TARGET = new Map<string, SectionDef>(
  SECTIONS.filter((def) => def.section.endsWith('+')).map((def) => [def.section.slice(0, -1), def]),
);

/** A section name taken apart. */
export interface SectionName {
  readonly def: SectionDef | undefined;
  /** What follows the definition's name and a slash: the function, the tracepoint. */
  readonly target: string | undefined;
  /** False for a name with `?` before it: the program is loaded only when asked for. */
  readonly autoload: boolean;
}

/** Finds what a section name says. A name that no definition matches has no type of its own; the caller must say it. */
export function parseSectionName(name: string): SectionName {
  const autoload = !name.startsWith('?');
  const bare = autoload ? name : name.slice(1);
  const exact = EXACT.get(bare) ?? WITH_TARGET.get(bare);
  if (exact) return { def: exact, target: undefined, autoload };
  const slash = bare.indexOf('/');
  const def = slash < 0 ? undefined : WITH_TARGET.get(bare.slice(0, slash));
  return { def, target: def ? bare.slice(slash + 1) : undefined, autoload };
}
