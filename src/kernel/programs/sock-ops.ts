import { SOCK_OPS_CONTEXT } from './contexts/sock-ops.ts';
import type { ProgramFacts } from './fact.ts';
import { SOCKET_CASTS, SOCKET_STORAGE } from './helper-sets.ts';

/** Runs at events of a TCP connection's life; answers through `reply`. */
export const SOCK_OPS: ProgramFacts = {
  context: SOCK_OPS_CONTEXT,
  attachTypes: ['cgroup_sock_ops'],
  attachTypeChecked: false,
  returns: [{ min: 0, max: 1 }],
  capabilities: ['net_admin'],
  packetAccess: 'read',
  helpers: [
    ...SOCKET_CASTS,
    ...SOCKET_STORAGE,
    'perf_event_output',
    'get_socket_cookie',
    'setsockopt',
    'sock_map_update',
    'getsockopt',
    'sock_ops_cb_flags_set',
    'sock_hash_update',
    'get_local_storage',
    'tcp_sock',
    'get_netns_cookie',
    'load_hdr_opt',
    'store_hdr_opt',
    'reserve_hdr_opt',
    'ktime_get_coarse_ns',
  ],
};
