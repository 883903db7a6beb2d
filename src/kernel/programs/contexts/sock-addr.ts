import { array, struct, u32, u64 } from '../../../base/layout.ts';
import { context, narrow32, narrow64, u32Exact, u64Exact } from '../context.ts';

/** @see include/uapi/linux/bpf.h, struct bpf_sock_addr */
export const SOCK_ADDR_LAYOUT = struct({
  user_family: u32,
  user_ip4: u32,
  user_ip6: array(u32, 4),
  user_port: u32,
  family: u32,
  type: u32,
  protocol: u32,
  msg_src_ip4: u32,
  msg_src_ip6: array(u32, 4),
  sk: u64,
});

const writeWords = { min: 4, max: 8 } as const;

/** Addresses and ports are in network byte order. IPv4 hooks see the IPv4 fields only, IPv6 hooks those of IPv6, Unix hooks neither. */
export const SOCK_ADDR_CONTEXT = context('bpf_sock_addr', SOCK_ADDR_LAYOUT, 'bpf_sock_addr_kern', {
  user_family: { read: u32Exact, reads: 'uaddr->sa_family' },
  user_ip4: {
    read: narrow32,
    write: u32Exact,
    reads: 'uaddr<sockaddr_in>->sin_addr',
    attach: [
      'cgroup_inet4_bind',
      'cgroup_inet4_connect',
      'cgroup_inet4_getpeername',
      'cgroup_inet4_getsockname',
      'cgroup_udp4_sendmsg',
      'cgroup_udp4_recvmsg',
    ],
  },
  user_ip6: {
    read: narrow64,
    write: writeWords,
    reads: 'uaddr<sockaddr_in6>->sin6_addr',
    attach: [
      'cgroup_inet6_bind',
      'cgroup_inet6_connect',
      'cgroup_inet6_getpeername',
      'cgroup_inet6_getsockname',
      'cgroup_udp6_sendmsg',
      'cgroup_udp6_recvmsg',
    ],
  },
  user_port: { read: narrow32, write: u32Exact, reads: 'uaddr<sockaddr_in>->sin_port' },
  family: { read: u32Exact, reads: 'sk->__sk_common.skc_family' },
  type: { read: u32Exact, reads: 'sk->sk_type' },
  protocol: { read: u32Exact, reads: 'sk->sk_protocol' },
  msg_src_ip4: {
    read: narrow32,
    write: u32Exact,
    attach: ['cgroup_udp4_sendmsg'],
    reads: 't_ctx<in_addr>->s_addr',
  },
  msg_src_ip6: {
    read: narrow64,
    write: writeWords,
    attach: ['cgroup_udp6_sendmsg'],
    reads: 't_ctx<in6_addr>->s6_addr32',
  },
  sk: { read: u64Exact, value: 'sock', reads: 'sk' },
});
