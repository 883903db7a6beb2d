import { SK_BUFF } from './contexts/sk-buff.ts';
import type { ProgramFacts } from './fact.ts';
import { SKB_READ, SOCKET_CASTS, SOCKET_LOOKUP, SOCKET_STORAGE } from './helper-sets.ts';

/** Sees packets of a cgroup's sockets; 1 lets the packet through. On egress, bit 1 asks for congestion notification. */
export const CGROUP_SKB: ProgramFacts = {
  context: SK_BUFF.with({
    hide: ['tc_classid', 'data_meta', 'flow_keys', 'wire_len', 'tstamp_type'],
    readOnly: ['queue_mapping', 'tc_index'],
    patch: {
      data: { read: { min: 4, max: 4, cap: 'bpf' } },
      data_end: { read: { min: 4, max: 4, cap: 'bpf' } },
      tstamp: { write: { min: 8, max: 8, cap: 'bpf' } },
    },
  }),
  attachTypes: ['cgroup_inet_ingress', 'cgroup_inet_egress'],
  attachTypeChecked: true,
  returns: [
    { min: 0, max: 1, attach: ['cgroup_inet_ingress'] },
    { min: 0, max: 3, attach: ['cgroup_inet_egress'] },
  ],
  capabilities: [],
  testRun: 'packet',
  packetAccess: 'read',
  helpers: [
    ...SOCKET_CASTS,
    ...SKB_READ,
    ...SOCKET_LOOKUP,
    ...SOCKET_STORAGE,
    'perf_event_output',
    'skb_cgroup_id',
    'get_local_storage',
    'skb_ancestor_cgroup_id',
    'sk_fullsock',
    'tcp_sock',
    'skb_ecn_set_ce',
    'get_listener_sock',
    'sk_cgroup_id',
    'sk_ancestor_cgroup_id',
    'ktime_get_coarse_ns',
  ],
};
