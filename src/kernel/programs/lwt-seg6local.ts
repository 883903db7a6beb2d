import { LWT_SK_BUFF } from './contexts/sk-buff.ts';
import type { ProgramFacts } from './fact.ts';
import { LWT, SOCKET_CASTS } from './helper-sets.ts';

/** An IPv6 segment routing endpoint (End.BPF); returns a BPF_* code. */
export const LWT_SEG6LOCAL: ProgramFacts = {
  context: LWT_SK_BUFF,
  attachTypes: [],
  attachTypeChecked: false,
  returns: [],
  capabilities: ['net_admin'],
  packetAccess: 'read',
  helpers: [
    ...SOCKET_CASTS,
    ...LWT,
    'perf_event_output',
    'lwt_seg6_store_bytes',
    'lwt_seg6_adjust_srh',
    'lwt_seg6_action',
    'ktime_get_coarse_ns',
  ],
};
