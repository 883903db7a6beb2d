import { LWT_SK_BUFF } from './contexts/sk-buff.ts';
import type { ProgramFacts } from './fact.ts';
import { LWT, SOCKET_CASTS } from './helper-sets.ts';

/** Runs on packets that arrive by a route with `encap bpf in`; returns a BPF_* code. */
export const LWT_IN: ProgramFacts = {
  context: LWT_SK_BUFF,
  attachTypes: [],
  attachTypeChecked: false,
  returns: [],
  capabilities: ['net_admin'],
  testRun: 'packet',
  packetAccess: 'read',
  helpers: [...SOCKET_CASTS, ...LWT, 'perf_event_output', 'lwt_push_encap', 'ktime_get_coarse_ns'],
};
