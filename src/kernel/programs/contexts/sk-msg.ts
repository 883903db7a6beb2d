import { array, struct, u32, u64 } from '../../../base/layout.ts';
import { context, u32Exact, u64Exact } from '../context.ts';

/** @see include/uapi/linux/bpf.h, struct sk_msg_md */
export const SK_MSG_LAYOUT = struct({
  data: u64,
  data_end: u64,
  family: u32,
  remote_ip4: u32,
  local_ip4: u32,
  remote_ip6: array(u32, 4),
  local_ip6: array(u32, 4),
  remote_port: u32,
  local_port: u32,
  size: u32,
  sk: u64,
});

export const SK_MSG_CONTEXT = context('sk_msg_md', SK_MSG_LAYOUT, 'sk_msg', {
  data: { read: u64Exact, value: 'packet', reads: 'data' },
  data_end: { read: u64Exact, value: 'packet_end', reads: 'data_end' },
  family: { read: u32Exact, reads: 'sk->__sk_common.skc_family' },
  remote_ip4: { read: u32Exact, reads: 'sk->__sk_common.skc_daddr' },
  local_ip4: { read: u32Exact, reads: 'sk->__sk_common.skc_rcv_saddr' },
  remote_ip6: { read: u32Exact, reads: 'sk->__sk_common.skc_v6_daddr' },
  local_ip6: { read: u32Exact, reads: 'sk->__sk_common.skc_v6_rcv_saddr' },
  remote_port: { read: u32Exact, reads: 'sk->__sk_common.skc_dport << 16' },
  local_port: { read: u32Exact, reads: 'sk->__sk_common.skc_num' },
  size: { read: u32Exact, reads: 'sg.size' },
  sk: { read: u64Exact, value: 'sock', reads: 'sk' },
});
