import type { AttachType, ProgType } from '../../sys/index.ts';

/** What kernel functions are registered for: several program types share one. @see kernel/bpf/btf.c, enum btf_kfunc_hook */
export type KfuncHook =
  | 'xdp'
  | 'tc'
  | 'struct_ops'
  | 'tracing'
  | 'syscall'
  | 'cgroup'
  | 'sched_act'
  | 'sk_skb'
  | 'socket_filter'
  | 'lwt'
  | 'netfilter'
  | 'kprobe';

/** Kernel functions that are registered together. */
export interface KfuncSet {
  readonly hooks: 'all' | readonly KfuncHook[];
  /** Of the hooks' program types, those that may call them; absent: all. */
  readonly progTypes?: readonly ProgType[];
  /** Expected attach types that may call them; absent: all. */
  readonly attach?: readonly AttachType[];
  /** `KF_*` flags by name. */
  readonly kfuncs: Readonly<Record<string, number>>;
}

/** @see kernel/bpf/btf.c, bpf_prog_type_to_kfunc_hook */
const HOOKS: Readonly<Partial<Record<ProgType, KfuncHook>>> = {
  xdp: 'xdp',
  sched_cls: 'tc',
  struct_ops: 'struct_ops',
  tracing: 'tracing',
  tracepoint: 'tracing',
  perf_event: 'tracing',
  lsm: 'tracing',
  syscall: 'syscall',
  cgroup_skb: 'cgroup',
  cgroup_sock: 'cgroup',
  cgroup_device: 'cgroup',
  cgroup_sock_addr: 'cgroup',
  cgroup_sockopt: 'cgroup',
  cgroup_sysctl: 'cgroup',
  sock_ops: 'cgroup',
  sched_act: 'sched_act',
  sk_skb: 'sk_skb',
  socket_filter: 'socket_filter',
  lwt_in: 'lwt',
  lwt_out: 'lwt',
  lwt_xmit: 'lwt',
  lwt_seg6local: 'lwt',
  netfilter: 'netfilter',
  kprobe: 'kprobe',
};

/** Whether programs of the type, with that expected attach type, may call the functions of the set. */
export function isForProgram(set: KfuncSet, type: ProgType, attach: AttachType | undefined): boolean {
  const hook = HOOKS[type];
  if (set.hooks !== 'all' && (hook === undefined || !set.hooks.includes(hook))) return false;
  if (set.progTypes !== undefined && !set.progTypes.includes(type)) return false;
  return set.attach === undefined || (attach !== undefined && set.attach.includes(attach));
}
