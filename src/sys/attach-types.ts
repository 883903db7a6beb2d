import { type Fact, index } from './fact.ts';

interface AttachFact extends Fact {
  /** What bpftool's command line calls it where that is not the table's name. */
  readonly bpftool?: string;
}

/** Attach types, as libbpf spells them: `BPF_` and the upper-case name is `enum bpf_attach_type`'s. */
export const ATTACH_TYPES = {
  cgroup_inet_ingress: { id: 0, since: '4.10', bpftool: 'ingress' },
  cgroup_inet_egress: { id: 1, since: '4.10', bpftool: 'egress' },
  cgroup_inet_sock_create: { id: 2, since: '4.10', bpftool: 'sock_create' },
  cgroup_sock_ops: { id: 3, since: '4.13', bpftool: 'sock_ops' },
  sk_skb_stream_parser: { id: 4, since: '4.14' },
  sk_skb_stream_verdict: { id: 5, since: '4.14' },
  cgroup_device: { id: 6, since: '4.15', bpftool: 'device' },
  sk_msg_verdict: { id: 7, since: '4.17' },
  cgroup_inet4_bind: { id: 8, since: '4.17', bpftool: 'bind4' },
  cgroup_inet6_bind: { id: 9, since: '4.17', bpftool: 'bind6' },
  cgroup_inet4_connect: { id: 10, since: '4.17', bpftool: 'connect4' },
  cgroup_inet6_connect: { id: 11, since: '4.17', bpftool: 'connect6' },
  cgroup_inet4_post_bind: { id: 12, since: '4.17', bpftool: 'post_bind4' },
  cgroup_inet6_post_bind: { id: 13, since: '4.17', bpftool: 'post_bind6' },
  cgroup_udp4_sendmsg: { id: 14, since: '4.18', bpftool: 'sendmsg4' },
  cgroup_udp6_sendmsg: { id: 15, since: '4.18', bpftool: 'sendmsg6' },
  lirc_mode2: { id: 16, since: '4.18' },
  flow_dissector: { id: 17, since: '4.20' },
  cgroup_sysctl: { id: 18, since: '5.2', bpftool: 'sysctl' },
  cgroup_udp4_recvmsg: { id: 19, since: '5.2', bpftool: 'recvmsg4' },
  cgroup_udp6_recvmsg: { id: 20, since: '5.2', bpftool: 'recvmsg6' },
  cgroup_getsockopt: { id: 21, since: '5.3', bpftool: 'getsockopt' },
  cgroup_setsockopt: { id: 22, since: '5.3', bpftool: 'setsockopt' },
  trace_raw_tp: { id: 23, since: '5.5', bpftool: 'raw_tp' },
  trace_fentry: { id: 24, since: '5.5', bpftool: 'fentry' },
  trace_fexit: { id: 25, since: '5.5', bpftool: 'fexit' },
  modify_return: { id: 26, since: '5.7', bpftool: 'mod_ret' },
  lsm_mac: { id: 27, since: '5.7' },
  trace_iter: { id: 28, since: '5.8' },
  cgroup_inet4_getpeername: { id: 29, since: '5.8', bpftool: 'getpeername4' },
  cgroup_inet6_getpeername: { id: 30, since: '5.8', bpftool: 'getpeername6' },
  cgroup_inet4_getsockname: { id: 31, since: '5.8', bpftool: 'getsockname4' },
  cgroup_inet6_getsockname: { id: 32, since: '5.8', bpftool: 'getsockname6' },
  xdp_devmap: { id: 33, since: '5.8' },
  cgroup_inet_sock_release: { id: 34, since: '5.9', bpftool: 'sock_release' },
  xdp_cpumap: { id: 35, since: '5.9' },
  sk_lookup: { id: 36, since: '5.9' },
  xdp: { id: 37, since: '5.9' },
  sk_skb_verdict: { id: 38, since: '5.13' },
  sk_reuseport_select: { id: 39, since: '5.14', bpftool: 'sk_skb_reuseport_select' },
  sk_reuseport_select_or_migrate: { id: 40, since: '5.14', bpftool: 'sk_skb_reuseport_select_or_migrate' },
  perf_event: { id: 41, since: '5.15' },
  trace_kprobe_multi: { id: 42, since: '5.18' },
  lsm_cgroup: { id: 43, since: '6.0' },
  struct_ops: { id: 44, since: '6.4' },
  netfilter: { id: 45, since: '6.4' },
  tcx_ingress: { id: 46, since: '6.6' },
  tcx_egress: { id: 47, since: '6.6' },
  trace_uprobe_multi: { id: 48, since: '6.6' },
  cgroup_unix_connect: { id: 49, since: '6.7', bpftool: 'connect_unix' },
  cgroup_unix_sendmsg: { id: 50, since: '6.7', bpftool: 'sendmsg_unix' },
  cgroup_unix_recvmsg: { id: 51, since: '6.7', bpftool: 'recvmsg_unix' },
  cgroup_unix_getpeername: { id: 52, since: '6.7', bpftool: 'getpeername_unix' },
  cgroup_unix_getsockname: { id: 53, since: '6.7', bpftool: 'getsockname_unix' },
  netkit_primary: { id: 54, since: '6.7' },
  netkit_peer: { id: 55, since: '6.7' },
  trace_kprobe_session: { id: 56, since: '6.10' },
  trace_uprobe_session: { id: 57, since: '6.13' },
  trace_fsession: { id: 58, since: '7.0' },
  trace_fentry_multi: { id: 59, since: '7.2' },
  trace_fexit_multi: { id: 60, since: '7.2' },
  trace_fsession_multi: { id: 61, since: '7.2' },
} as const satisfies Record<string, AttachFact>;

export type AttachType = keyof typeof ATTACH_TYPES;

const types = index(ATTACH_TYPES);
export const attachTypeName: (id: number) => AttachType | undefined = types.name;
export const attachTypeId: (name: AttachType) => number = types.id;
export const isAttachType: (name: string) => name is AttachType = types.has;
/** In the order of their ids. */
export const attachTypeNames: readonly AttachType[] = types.names;

function spelling(type: AttachType): string {
  const fact: AttachFact = ATTACH_TYPES[type];
  return fact.bpftool ?? type;
}

const bySpelling = new Map(types.names.map((type) => [spelling(type), type]));

/** What bpftool's command line takes and prints for the type (`ingress` for `cgroup_inet_ingress`). */
export const attachTypeToBpftool: (type: AttachType) => string = spelling;

/** Reads bpftool's spelling as well as libbpf's. */
export function attachTypeFromBpftool(name: string): AttachType | undefined {
  return bySpelling.get(name) ?? (types.has(name) ? name : undefined);
}
