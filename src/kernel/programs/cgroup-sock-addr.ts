import { SOCK_ADDR_CONTEXT } from './contexts/sock-addr.ts';
import type { ProgramFacts } from './fact.ts';
import { SOCKET_CASTS, SOCKET_LOOKUP, SOCKET_STORAGE } from './helper-sets.ts';

/** Sees and may change the address in bind, connect, sendmsg, recvmsg, getpeername and getsockname of a cgroup's sockets. Bind may also return bit 1 to skip the capability check for low ports. */
export const CGROUP_SOCK_ADDR: ProgramFacts = {
  context: SOCK_ADDR_CONTEXT,
  attachTypes: [
    'cgroup_inet4_bind',
    'cgroup_inet6_bind',
    'cgroup_inet4_connect',
    'cgroup_inet6_connect',
    'cgroup_unix_connect',
    'cgroup_udp4_sendmsg',
    'cgroup_udp6_sendmsg',
    'cgroup_unix_sendmsg',
    'cgroup_udp4_recvmsg',
    'cgroup_udp6_recvmsg',
    'cgroup_unix_recvmsg',
    'cgroup_inet4_getpeername',
    'cgroup_inet6_getpeername',
    'cgroup_unix_getpeername',
    'cgroup_inet4_getsockname',
    'cgroup_inet6_getsockname',
    'cgroup_unix_getsockname',
  ],
  attachTypeChecked: true,
  returns: [
    { min: 0, max: 3, attach: ['cgroup_inet4_bind', 'cgroup_inet6_bind'] },
    {
      min: 0,
      max: 1,
      attach: [
        'cgroup_inet4_connect',
        'cgroup_inet6_connect',
        'cgroup_unix_connect',
        'cgroup_udp4_sendmsg',
        'cgroup_udp6_sendmsg',
        'cgroup_unix_sendmsg',
      ],
    },
    {
      min: 1,
      max: 1,
      attach: [
        'cgroup_udp4_recvmsg',
        'cgroup_udp6_recvmsg',
        'cgroup_unix_recvmsg',
        'cgroup_inet4_getpeername',
        'cgroup_inet6_getpeername',
        'cgroup_unix_getpeername',
        'cgroup_inet4_getsockname',
        'cgroup_inet6_getsockname',
        'cgroup_unix_getsockname',
      ],
    },
  ],
  capabilities: ['net_admin'],
  helpers: [
    ...SOCKET_CASTS,
    ...SOCKET_LOOKUP,
    ...SOCKET_STORAGE,
    'perf_event_output',
    'get_socket_cookie',
    'setsockopt',
    'getsockopt',
    'get_local_storage',
    'get_netns_cookie',
    'ktime_get_coarse_ns',
  ],
  helpersByAttachType: [
    {
      attach: [
        'cgroup_inet4_bind',
        'cgroup_inet6_bind',
        'cgroup_inet4_connect',
        'cgroup_inet6_connect',
        'cgroup_udp4_sendmsg',
        'cgroup_udp6_sendmsg',
        'cgroup_unix_connect',
        'cgroup_unix_sendmsg',
      ],
      helpers: ['get_retval', 'set_retval'],
    },
    { attach: ['cgroup_inet4_connect', 'cgroup_inet6_connect'], helpers: ['bind'] },
  ],
};
