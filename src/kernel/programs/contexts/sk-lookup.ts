import { array, struct, u16, u32, u64 } from '../../../base/layout.ts';
import { context, narrow32, u64Exact } from '../context.ts';

/** @see include/uapi/linux/bpf.h, struct bpf_sk_lookup */
export const SK_LOOKUP_LAYOUT = struct({
  sk: u64,
  family: u32,
  protocol: u32,
  remote_ip4: u32,
  remote_ip6: array(u32, 4),
  remote_port: u16,
  remote_port_padding: u16,
  local_ip4: u32,
  local_ip6: array(u32, 4),
  local_port: u32,
  ingress_ifindex: u32,
});

/** `remote_port` may also be read as the four bytes that it was before Linux 5.18. */
export const SK_LOOKUP_CONTEXT = context(
  'bpf_sk_lookup',
  SK_LOOKUP_LAYOUT,
  'bpf_sk_lookup_kern',
  {
    sk: { read: u64Exact, value: 'sock_or_null', reads: 'selected_sk' },
    family: { read: narrow32, reads: 'family' },
    protocol: { read: narrow32, reads: 'protocol' },
    remote_ip4: { read: narrow32, reads: 'v4.saddr' },
    remote_ip6: { read: narrow32, reads: 'v6.saddr' },
    local_ip4: { read: narrow32, reads: 'v4.daddr' },
    local_ip6: { read: narrow32, reads: 'v6.daddr' },
    local_port: { read: narrow32, reads: 'dport' },
    ingress_ifindex: { read: narrow32, reads: 'ingress_ifindex' },
  },
  [
    {
      name: 'remote_port',
      ...SK_LOOKUP_LAYOUT.members.remote_port,
      size: 4,
      value: 'scalar',
      read: narrow32,
      reads: 'sport',
    },
  ],
);
