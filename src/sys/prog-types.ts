import { type Fact, index } from './fact.ts';

/** Program types, as libbpf and bpftool spell them: `BPF_PROG_TYPE_` and the upper-case name is `enum bpf_prog_type`'s. */
export const PROG_TYPES = {
  socket_filter: { id: 1, since: '3.19' },
  kprobe: { id: 2, since: '4.1' },
  sched_cls: { id: 3, since: '4.1' },
  sched_act: { id: 4, since: '4.1' },
  tracepoint: { id: 5, since: '4.7' },
  xdp: { id: 6, since: '4.8' },
  perf_event: { id: 7, since: '4.9' },
  cgroup_skb: { id: 8, since: '4.10' },
  cgroup_sock: { id: 9, since: '4.10' },
  lwt_in: { id: 10, since: '4.10' },
  lwt_out: { id: 11, since: '4.10' },
  lwt_xmit: { id: 12, since: '4.10' },
  sock_ops: { id: 13, since: '4.13' },
  sk_skb: { id: 14, since: '4.14' },
  cgroup_device: { id: 15, since: '4.15' },
  sk_msg: { id: 16, since: '4.17' },
  raw_tracepoint: { id: 17, since: '4.17' },
  cgroup_sock_addr: { id: 18, since: '4.17' },
  lwt_seg6local: { id: 19, since: '4.18' },
  lirc_mode2: { id: 20, since: '4.18' },
  sk_reuseport: { id: 21, since: '4.19' },
  flow_dissector: { id: 22, since: '4.20' },
  cgroup_sysctl: { id: 23, since: '5.2' },
  raw_tracepoint_writable: { id: 24, since: '5.2' },
  cgroup_sockopt: { id: 25, since: '5.3' },
  tracing: { id: 26, since: '5.5' },
  struct_ops: { id: 27, since: '5.6' },
  ext: { id: 28, since: '5.6' },
  lsm: { id: 29, since: '5.7' },
  sk_lookup: { id: 30, since: '5.9' },
  syscall: { id: 31, since: '5.14' },
  netfilter: { id: 32, since: '6.4' },
} as const satisfies Record<string, Fact>;

export type ProgType = keyof typeof PROG_TYPES;

const types = index(PROG_TYPES);
export const progTypeName: (id: number) => ProgType | undefined = types.name;
export const progTypeId: (name: ProgType) => number = types.id;
export const isProgType: (name: string) => name is ProgType = types.has;
/** In the order of their ids. */
export const progTypeNames: readonly ProgType[] = types.names;
