/** The facts of every program type. */

import type { AttachType, Helper, ProgType } from '../../sys/index.ts';
import { CGROUP_DEVICE } from './cgroup-device.ts';
import { CGROUP_SKB } from './cgroup-skb.ts';
import { CGROUP_SOCK } from './cgroup-sock.ts';
import { CGROUP_SOCK_ADDR } from './cgroup-sock-addr.ts';
import { CGROUP_SOCKOPT } from './cgroup-sockopt.ts';
import { CGROUP_SYSCTL } from './cgroup-sysctl.ts';
import { EXT } from './ext.ts';
import type { Capability, ProgramFacts, ReturnRange } from './fact.ts';
import { FLOW_DISSECTOR } from './flow-dissector.ts';
import { BASE, BASE_BPF, BASE_PERFMON, SOCKET_CASTS } from './helper-sets.ts';
import { KPROBE } from './kprobe.ts';
import { LIRC_MODE2 } from './lirc-mode2.ts';
import { LSM } from './lsm.ts';
import { LWT_IN } from './lwt-in.ts';
import { LWT_OUT } from './lwt-out.ts';
import { LWT_SEG6LOCAL } from './lwt-seg6local.ts';
import { LWT_XMIT } from './lwt-xmit.ts';
import { NETFILTER } from './netfilter.ts';
import { PERF_EVENT } from './perf-event.ts';
import { RAW_TRACEPOINT } from './raw-tracepoint.ts';
import { RAW_TRACEPOINT_WRITABLE } from './raw-tracepoint-writable.ts';
import { SCHED_ACT } from './sched-act.ts';
import { SCHED_CLS } from './sched-cls.ts';
import { SK_LOOKUP } from './sk-lookup.ts';
import { SK_MSG } from './sk-msg.ts';
import { SK_REUSEPORT } from './sk-reuseport.ts';
import { SK_SKB } from './sk-skb.ts';
import { SOCK_OPS } from './sock-ops.ts';
import { SOCKET_FILTER } from './socket-filter.ts';
import { STRUCT_OPS } from './struct-ops.ts';
import { SYSCALL } from './syscall.ts';
import { TRACEPOINT } from './tracepoint.ts';
import { TRACING } from './tracing.ts';
import { XDP } from './xdp.ts';

export const PROGRAMS: Readonly<Record<ProgType, ProgramFacts>> = {
  socket_filter: SOCKET_FILTER,
  kprobe: KPROBE,
  sched_cls: SCHED_CLS,
  sched_act: SCHED_ACT,
  tracepoint: TRACEPOINT,
  xdp: XDP,
  perf_event: PERF_EVENT,
  cgroup_skb: CGROUP_SKB,
  cgroup_sock: CGROUP_SOCK,
  lwt_in: LWT_IN,
  lwt_out: LWT_OUT,
  lwt_xmit: LWT_XMIT,
  sock_ops: SOCK_OPS,
  sk_skb: SK_SKB,
  cgroup_device: CGROUP_DEVICE,
  sk_msg: SK_MSG,
  raw_tracepoint: RAW_TRACEPOINT,
  cgroup_sock_addr: CGROUP_SOCK_ADDR,
  lwt_seg6local: LWT_SEG6LOCAL,
  lirc_mode2: LIRC_MODE2,
  sk_reuseport: SK_REUSEPORT,
  flow_dissector: FLOW_DISSECTOR,
  cgroup_sysctl: CGROUP_SYSCTL,
  raw_tracepoint_writable: RAW_TRACEPOINT_WRITABLE,
  cgroup_sockopt: CGROUP_SOCKOPT,
  tracing: TRACING,
  struct_ops: STRUCT_OPS,
  ext: EXT,
  lsm: LSM,
  sk_lookup: SK_LOOKUP,
  syscall: SYSCALL,
  netfilter: NETFILTER,
};

/** Helpers that want CAP_PERFMON beside what loading the program needs. */
const PERFMON_ONLY: ReadonlySet<Helper> = new Set([...BASE_PERFMON, ...SOCKET_CASTS, 'sys_bpf']);

/** What decides which helpers a program may call. */
export interface HelperQuery {
  readonly type: ProgType;
  /** Expected attach type, after defaults. */
  readonly attach?: AttachType | undefined;
  /** Name of the kernel struct that a struct_ops program serves. */
  readonly struct?: string | undefined;
  /** Capabilities of the loader. */
  readonly caps: ReadonlySet<Capability>;
}

/**
 * The helpers that a program may call, as `bpf_func` availability in Linux 6.18 with everything configured. An `ext`
 * program's are those of the program that it extends.
 */
export function helpersOf(query: HelperQuery): ReadonlySet<Helper> {
  const { type, attach, struct, caps } = query;
  const facts: ProgramFacts = PROGRAMS[type];
  const bpf = caps.has('bpf') || caps.has('sys_admin');
  const perfmon = caps.has('perfmon') || caps.has('sys_admin');
  const result = new Set<Helper>();
  const take = (helpers: readonly Helper[]): void => {
    for (const helper of helpers) {
      const castInSyscall = type === 'syscall' && SOCKET_CASTS.includes(helper);
      if (perfmon || castInSyscall || !PERFMON_ONLY.has(helper)) result.add(helper);
    }
  };
  if (facts.baseHelpers !== false) {
    take(BASE);
    if (bpf) take([...BASE_BPF, ...BASE_PERFMON]);
  }
  take(facts.helpers);
  for (const more of facts.helpersByAttachType ?? []) {
    if (attach !== undefined && more.attach.includes(attach)) take(more.helpers);
  }
  if (struct !== undefined) take(facts.helpersByStruct?.[struct] ?? []);
  return result;
}

/** The range that r0 must be in at exit, or `undefined` for any value. */
export function returnRange(type: ProgType, attach: AttachType | undefined): ReturnRange | undefined {
  const facts: ProgramFacts = PROGRAMS[type];
  return facts.returns.find(
    (range) => range.attach === undefined || (attach !== undefined && range.attach.includes(attach)),
  );
}

/**
 * The attach type that a program is judged by: the given one, or the type's default where 0 was given.
 * `undefined` when Linux refuses it.
 */
export function effectiveAttachType(type: ProgType, given: AttachType): AttachType | undefined {
  const facts: ProgramFacts = PROGRAMS[type];
  if (facts.attachTypes.includes(given) || !facts.attachTypeChecked) return given;
  if (given !== 'cgroup_inet_ingress') return undefined;
  return facts.attachTypes.length === 0 ? given : facts.defaultAttachType;
}
