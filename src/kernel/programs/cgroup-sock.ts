import { CGROUP_SOCK_CONTEXT } from './contexts/sock.ts';
import type { ProgramFacts } from './fact.ts';
import { RETVAL } from './helper-sets.ts';

/** Runs when a cgroup's process makes, binds or releases an inet socket; 1 allows it. */
export const CGROUP_SOCK: ProgramFacts = {
  context: CGROUP_SOCK_CONTEXT,
  attachTypes: [
    'cgroup_inet_sock_create',
    'cgroup_inet4_post_bind',
    'cgroup_inet6_post_bind',
    'cgroup_inet_sock_release',
  ],
  attachTypeChecked: true,
  defaultAttachType: 'cgroup_inet_sock_create',
  returns: [{ min: 0, max: 1 }],
  capabilities: ['net_admin'],
  helpers: [
    ...RETVAL,
    'perf_event_output',
    'get_socket_cookie',
    'get_local_storage',
    'sk_storage_get',
    'get_netns_cookie',
    'ktime_get_coarse_ns',
  ],
};
