import { SOCKOPT_CONTEXT } from './contexts/cgroup.ts';
import type { ProgramFacts } from './fact.ts';
import { RETVAL, SOCKET_STORAGE } from './helper-sets.ts';

/** Sees and may change getsockopt and setsockopt of a cgroup's processes; 1 allows it. */
export const CGROUP_SOCKOPT: ProgramFacts = {
  context: SOCKOPT_CONTEXT,
  attachTypes: ['cgroup_getsockopt', 'cgroup_setsockopt'],
  attachTypeChecked: true,
  returns: [{ min: 0, max: 1 }],
  capabilities: ['net_admin'],
  packetAccess: 'write',
  helpers: [
    ...SOCKET_STORAGE,
    ...RETVAL,
    'perf_event_output',
    'get_local_storage',
    'tcp_sock',
    'get_netns_cookie',
  ],
  helpersByAttachType: [{ attach: ['cgroup_setsockopt'], helpers: ['setsockopt', 'getsockopt'] }],
};
