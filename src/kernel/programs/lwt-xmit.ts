import { LWT_SK_BUFF } from './contexts/sk-buff.ts';
import type { ProgramFacts } from './fact.ts';
import { LWT, SKB_TUNNEL, SOCKET_CASTS } from './helper-sets.ts';

/** Runs before a packet of a route with `encap bpf xmit` is sent; returns a BPF_* code. */
export const LWT_XMIT: ProgramFacts = {
  context: LWT_SK_BUFF,
  attachTypes: [],
  attachTypeChecked: false,
  returns: [],
  capabilities: ['net_admin'],
  testRun: 'packet',
  packetAccess: 'write',
  helpers: [
    ...SOCKET_CASTS,
    ...SKB_TUNNEL,
    ...LWT,
    'perf_event_output',
    'lwt_push_encap',
    'ktime_get_coarse_ns',
  ],
};
