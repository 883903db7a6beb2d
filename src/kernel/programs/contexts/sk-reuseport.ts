import { struct, u32, u64 } from '../../../base/layout.ts';
import { context, narrow32, u32Exact, u64Exact } from '../context.ts';

/** @see include/uapi/linux/bpf.h, struct sk_reuseport_md */
export const SK_REUSEPORT_LAYOUT = struct({
  data: u64,
  data_end: u64,
  len: u32,
  eth_protocol: u32,
  ip_protocol: u32,
  bind_inany: u32,
  hash: u32,
  sk: u64,
  migrating_sk: u64,
});

export const SK_REUSEPORT_CONTEXT = context('sk_reuseport_md', SK_REUSEPORT_LAYOUT, 'sk_reuseport_kern', {
  data: { read: u64Exact, value: 'packet', reads: 'skb->data' },
  data_end: { read: u64Exact, value: 'packet_end', reads: 'data_end' },
  len: { read: narrow32, reads: 'skb->len' },
  eth_protocol: { read: { min: 2, max: 4 }, reads: 'skb->protocol' },
  ip_protocol: { read: narrow32, reads: 'sk->sk_protocol' },
  bind_inany: { read: narrow32, reads: 'bind_inany' },
  hash: { read: u32Exact, reads: 'hash' },
  sk: { read: u64Exact, value: 'sock', reads: 'sk' },
  migrating_sk: { read: u64Exact, value: 'sock_common_or_null', reads: 'migrating_sk' },
});
