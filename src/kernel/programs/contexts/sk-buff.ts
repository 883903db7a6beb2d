import { array, struct, u8, u32, u64 } from '../../../base/layout.ts';
import { context, narrow32, narrow64, u32Exact, u64Exact } from '../context.ts';

/** @see include/uapi/linux/bpf.h, struct __sk_buff */
export const SK_BUFF_LAYOUT = struct({
  len: u32,
  pkt_type: u32,
  mark: u32,
  queue_mapping: u32,
  protocol: u32,
  vlan_present: u32,
  vlan_tci: u32,
  vlan_proto: u32,
  priority: u32,
  ingress_ifindex: u32,
  ifindex: u32,
  tc_index: u32,
  cb: array(u32, 5),
  hash: u32,
  tc_classid: u32,
  data: u32,
  data_end: u32,
  napi_id: u32,
  family: u32,
  remote_ip4: u32,
  local_ip4: u32,
  remote_ip6: array(u32, 4),
  local_ip6: array(u32, 4),
  remote_port: u32,
  local_port: u32,
  data_meta: u32,
  flow_keys: u64,
  tstamp: u64,
  wire_len: u32,
  gso_segs: u32,
  sk: u64,
  gso_size: u32,
  tstamp_type: u8,
  hwtstamp: u64,
});

/**
 * `struct __sk_buff`, each field with the most that any program type may do with it. `family` to `local_port` are
 * read from the packet's socket; addresses and `remote_port` are in network byte order, `local_port` in the host's.
 */
export const SK_BUFF = context('__sk_buff', SK_BUFF_LAYOUT, 'sk_buff', {
  len: { read: narrow32, reads: 'len' },
  pkt_type: { read: narrow32, reads: 'pkt_type' },
  mark: { read: narrow32, write: u32Exact, reads: 'mark' },
  queue_mapping: { read: narrow32, write: u32Exact, reads: 'queue_mapping' },
  protocol: { read: narrow32, reads: 'protocol' },
  vlan_present: { read: narrow32, reads: 'vlan_all != 0' },
  vlan_tci: { read: narrow32, reads: 'vlan_tci' },
  vlan_proto: { read: narrow32, reads: 'vlan_proto' },
  priority: { read: narrow32, write: u32Exact, reads: 'priority' },
  ingress_ifindex: { read: narrow32, reads: 'skb_iif' },
  ifindex: { read: narrow32, reads: 'dev->ifindex' },
  tc_index: { read: narrow32, write: u32Exact, reads: 'tc_index' },
  cb: { read: narrow64, write: narrow64, reads: 'cb<qdisc_skb_cb>.data' },
  hash: { read: narrow32, reads: 'hash' },
  tc_classid: { read: narrow32, write: u32Exact, reads: 'cb<qdisc_skb_cb>.tc_classid' },
  data: { read: u32Exact, value: 'packet', reads: 'data' },
  data_end: { read: u32Exact, value: 'packet_end', reads: 'cb<bpf_skb_data_end>.data_end' },
  napi_id: { read: narrow32, reads: 'napi_id' },
  family: { read: narrow32, reads: 'sk->__sk_common.skc_family' },
  remote_ip4: { read: u32Exact, reads: 'sk->__sk_common.skc_daddr' },
  local_ip4: { read: u32Exact, reads: 'sk->__sk_common.skc_rcv_saddr' },
  remote_ip6: { read: u32Exact, reads: 'sk->__sk_common.skc_v6_daddr' },
  local_ip6: { read: u32Exact, reads: 'sk->__sk_common.skc_v6_rcv_saddr' },
  remote_port: { read: narrow32, reads: 'sk->__sk_common.skc_dport << 16' },
  local_port: { read: narrow32, reads: 'sk->__sk_common.skc_num' },
  data_meta: { read: u32Exact, value: 'packet_meta', reads: 'cb<bpf_skb_data_end>.data_meta' },
  flow_keys: { read: u64Exact, value: 'flow_keys', reads: 'cb<bpf_flow_dissector>.flow_keys' },
  tstamp: { read: u64Exact, write: u64Exact, reads: 'tstamp' },
  wire_len: { read: narrow32, reads: 'cb<qdisc_skb_cb>.pkt_len' },
  gso_segs: { read: narrow32, reads: 'shinfo.gso_segs' },
  sk: { read: u64Exact, value: 'sock_common_or_null', reads: 'sk' },
  gso_size: { read: narrow32, reads: 'shinfo.gso_size' },
  tstamp_type: { read: { min: 1, max: 1 }, reads: 'tstamp_type' },
  hwtstamp: { read: u64Exact, reads: 'shinfo.hwtstamps.hwtstamp' },
});

/** Fields that are read from the packet's socket. */
export const SOCKET_FIELDS = [
  'family',
  'remote_ip4',
  'local_ip4',
  'remote_ip6',
  'local_ip6',
  'remote_port',
  'local_port',
] as const;

/** As lightweight tunnels see it. */
export const LWT_SK_BUFF = SK_BUFF.with({
  hide: [
    ...SOCKET_FIELDS,
    'tc_classid',
    'data_meta',
    'flow_keys',
    'tstamp',
    'wire_len',
    'tstamp_type',
    'hwtstamp',
  ],
  readOnly: ['queue_mapping', 'tc_index'],
});

/** As tc classifiers and actions see it. */
export const TC_SK_BUFF = SK_BUFF.with({ hide: [...SOCKET_FIELDS, 'flow_keys'] });
