import { LWT_SK_BUFF } from './contexts/sk-buff.ts';
import type { ProgramFacts } from './fact.ts';
import { LWT, SOCKET_CASTS } from './helper-sets.ts';

/** Runs on packets that leave by a route with `encap bpf out`; returns a BPF_* code. */
export const LWT_OUT: ProgramFacts = {
  context: LWT_SK_BUFF,
  attachTypes: [],
  attachTypeChecked: false,
  returns: [],
  capabilities: ['net_admin'],
  testRun: 'packet',
  packetAccess: 'read',
  helpers: [...SOCKET_CASTS, ...LWT, 'perf_event_output', 'ktime_get_coarse_ns'],
};
