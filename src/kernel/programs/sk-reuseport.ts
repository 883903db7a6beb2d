import { SK_REUSEPORT_CONTEXT } from './contexts/sk-reuseport.ts';
import type { ProgramFacts } from './fact.ts';

/** Chooses a socket of a group that shares a port; returns SK_PASS or SK_DROP. */
export const SK_REUSEPORT: ProgramFacts = {
  context: SK_REUSEPORT_CONTEXT,
  attachTypes: ['sk_reuseport_select', 'sk_reuseport_select_or_migrate'],
  attachTypeChecked: true,
  defaultAttachType: 'sk_reuseport_select',
  returns: [],
  capabilities: [],
  packetAccess: 'read',
  helpers: [
    'skb_load_bytes',
    'get_socket_cookie',
    'skb_load_bytes_relative',
    'sk_select_reuseport',
    'ktime_get_coarse_ns',
  ],
};
