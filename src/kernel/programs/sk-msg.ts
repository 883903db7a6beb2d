import { SK_MSG_CONTEXT } from './contexts/sk-msg.ts';
import type { ProgramFacts } from './fact.ts';
import { SOCKET_CASTS, SOCKET_STORAGE } from './helper-sets.ts';

/** Decides what happens to a message that is sent through a socket of a socket map: SK_PASS or SK_DROP. */
export const SK_MSG: ProgramFacts = {
  context: SK_MSG_CONTEXT,
  attachTypes: ['sk_msg_verdict'],
  attachTypeChecked: false,
  returns: [],
  capabilities: ['net_admin'],
  packetAccess: 'write',
  helpers: [
    ...SOCKET_CASTS,
    ...SOCKET_STORAGE,
    'perf_event_output',
    'msg_redirect_map',
    'msg_apply_bytes',
    'msg_cork_bytes',
    'msg_pull_data',
    'msg_redirect_hash',
    'msg_push_data',
    'msg_pop_data',
    'get_netns_cookie',
    'ktime_get_coarse_ns',
  ],
};
