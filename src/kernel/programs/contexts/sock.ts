import { array, s32, struct, u16, u32 } from '../../../base/layout.ts';
import type { AttachType } from '../../../sys/index.ts';
import { type ContextField, context, narrow32, prefix32, u32Exact } from '../context.ts';

/** @see include/uapi/linux/bpf.h, struct bpf_sock */
export const SOCK_LAYOUT = struct({
  bound_dev_if: u32,
  family: u32,
  type: u32,
  protocol: u32,
  mark: u32,
  priority: u32,
  src_ip4: u32,
  src_ip6: array(u32, 4),
  src_port: u32,
  dst_port: u16,
  dst_port_padding: u16,
  dst_ip4: u32,
  dst_ip6: array(u32, 4),
  state: u32,
  rx_queue_mapping: s32,
});

const DST_PORT_AS_U32: ContextField = {
  name: 'dst_port',
  ...SOCK_LAYOUT.members.dst_port,
  size: 4,
  value: 'scalar',
  read: u32Exact,
  reads: '__sk_common.skc_dport',
};

/** What a pointer to a full socket may read, and what a program of which it is the context sees in addition. */
export const SOCK = context(
  'bpf_sock',
  SOCK_LAYOUT,
  'sock',
  {
    bound_dev_if: { read: u32Exact, write: u32Exact, reads: '__sk_common.skc_bound_dev_if' },
    family: { read: prefix32, reads: '__sk_common.skc_family' },
    type: { read: prefix32, reads: 'sk_type' },
    protocol: { read: prefix32, reads: 'sk_protocol' },
    mark: { read: u32Exact, write: u32Exact, reads: 'sk_mark' },
    priority: { read: u32Exact, write: u32Exact, reads: 'sk_priority' },
    src_ip4: { read: narrow32, reads: '__sk_common.skc_rcv_saddr' },
    src_ip6: { read: narrow32, reads: '__sk_common.skc_v6_rcv_saddr' },
    src_port: { read: prefix32, reads: '__sk_common.skc_num' },
    dst_port: { read: { min: 1, max: 2 }, reads: '__sk_common.skc_dport' },
    dst_ip4: { read: narrow32, reads: '__sk_common.skc_daddr' },
    dst_ip6: { read: narrow32, reads: '__sk_common.skc_v6_daddr' },
    state: { read: prefix32, reads: '__sk_common.skc_state' },
    rx_queue_mapping: { read: prefix32, reads: '__sk_common.skc_rx_queue_mapping' },
  },
  [DST_PORT_AS_U32],
);

const CREATE_OR_RELEASE: readonly AttachType[] = ['cgroup_inet_sock_create', 'cgroup_inet_sock_release'];
const POST_BIND: readonly AttachType[] = ['cgroup_inet4_post_bind', 'cgroup_inet6_post_bind'];

/** As the context of cgroup socket programs. */
export const CGROUP_SOCK_CONTEXT = SOCK.with({
  patch: {
    bound_dev_if: { attach: CREATE_OR_RELEASE },
    mark: { attach: CREATE_OR_RELEASE },
    priority: { attach: CREATE_OR_RELEASE },
    src_ip4: { attach: ['cgroup_inet4_post_bind'] },
    src_ip6: { attach: ['cgroup_inet6_post_bind'] },
    src_port: { attach: POST_BIND },
  },
});
