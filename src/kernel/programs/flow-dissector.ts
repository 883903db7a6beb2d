import { SK_BUFF } from './contexts/sk-buff.ts';
import type { ProgramFacts } from './fact.ts';
import { SOCKET_CASTS } from './helper-sets.ts';

/** Parses a packet's headers into `flow_keys`; returns BPF_OK, BPF_DROP or BPF_FLOW_DISSECTOR_CONTINUE. */
export const FLOW_DISSECTOR: ProgramFacts = {
  context: SK_BUFF.with({ only: ['data', 'data_end', 'flow_keys'] }),
  attachTypes: ['flow_dissector'],
  attachTypeChecked: false,
  returns: [],
  capabilities: ['net_admin'],
  testRun: 'packet',
  packetAccess: 'read',
  helpers: [...SOCKET_CASTS, 'skb_load_bytes', 'ktime_get_coarse_ns'],
};
