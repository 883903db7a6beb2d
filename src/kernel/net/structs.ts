/**
 * The kernel objects of the network that programs see, by Linux's names and nesting. Only what is needed exists, and
 * places are this kernel's own. Pointers are 8 bytes; Linux's one-bit members take a byte.
 */
import { array, bytes, type StructLayout, s32, struct, u8, u16, u32, u64 } from '../../base/layout.ts';

/** @see include/linux/netdevice.h */
export const NET_DEVICE = struct({ ifindex: s32, mtu: u32, flags: u32, type: u16, name: bytes(16) });

/** @see include/net/xdp.h */
export const XDP_RXQ_INFO = struct({ dev: u64, queue_index: u32, frag_size: u32 });
export const XDP_TXQ_INFO = struct({ dev: u64 });
export const XDP_BUFF = struct({
  data: u64,
  data_end: u64,
  data_meta: u64,
  data_hard_start: u64,
  rxq: u64,
  txq: u64,
  frame_sz: u32,
  flags: u32,
});

/** @see include/net/sock.h */
export const SOCK_COMMON = struct({
  skc_daddr: u32,
  skc_rcv_saddr: u32,
  skc_dport: u16,
  skc_num: u16,
  skc_family: u16,
  skc_state: u8,
  skc_bound_dev_if: s32,
  skc_rx_queue_mapping: s32,
  skc_v6_daddr: array(u32, 4),
  skc_v6_rcv_saddr: array(u32, 4),
});
export const SOCK = struct({
  __sk_common: SOCK_COMMON,
  sk_type: u16,
  sk_protocol: u16,
  sk_mark: u32,
  sk_priority: u32,
});

/** @see include/linux/skbuff.h */
export const SK_BUFF = struct({
  dev: u64,
  sk: u64,
  tstamp: u64,
  cb: bytes(48),
  len: u32,
  data_len: u32,
  mac_len: u16,
  queue_mapping: u16,
  pkt_type: u8,
  ip_summed: u8,
  tstamp_type: u8,
  tc_at_ingress: u8,
  csum_level: u8,
  l4_hash: u8,
  sw_hash: u8,
  tc_index: u16,
  csum: u32,
  priority: u32,
  skb_iif: s32,
  hash: u32,
  vlan_all: u32,
  napi_id: u32,
  mark: u32,
  protocol: u16,
  transport_header: u16,
  network_header: u16,
  mac_header: u16,
  tail: u32,
  end: u32,
  head: u64,
  data: u64,
});

/** What `vlan_all` is made of. */
export const SKB_VLAN = struct({ vlan_proto: u16, vlan_tci: u16 });

export const SKB_SHARED_HWTSTAMPS = struct({ hwtstamp: u64 });
export const SKB_SHARED_INFO = struct({
  gso_size: u16,
  gso_segs: u16,
  gso_type: u32,
  hwtstamps: SKB_SHARED_HWTSTAMPS,
});

/** What is in an skb's `cb` while tc programs and socket filters run. @see include/net/sch_generic.h, include/linux/filter.h */
export const QDISC_SKB_CB = struct({
  pkt_len: u32,
  slave_dev_queue_mapping: u16,
  tc_classid: u16,
  data: bytes(20),
});
export const BPF_SKB_DATA_END = struct({ qdisc_cb: QDISC_SKB_CB, data_meta: u64, data_end: u64 });

/** What is in an skb's `cb` while flow dissectors run; the ends of the data stay where they are. */
export const BPF_FLOW_DISSECTOR = struct({ unused: u64, flow_keys: u64 });

/** A socket that is looked up; addresses are here themselves. @see include/linux/filter.h */
const V4_ENDS = struct({ saddr: u32, daddr: u32 });
const V6_ENDS = struct({ saddr: array(u32, 4), daddr: array(u32, 4) });
export const BPF_SK_LOOKUP_KERN = struct({
  family: u16,
  protocol: u16,
  sport: u16,
  dport: u16,
  v4: V4_ENDS,
  v6: V6_ENDS,
  selected_sk: u64,
  ingress_ifindex: u32,
});

interface KernelStruct {
  // The layouts' member types differ; a path only looks at places and sizes.
  readonly layout: Pick<StructLayout<Record<string, never>>, 'size' | 'members'>;
  /** Struct that a pointer member points to. */
  readonly points?: Readonly<Record<string, KernelStructName>>;
  /** Struct that a member is. */
  readonly holds?: Readonly<Record<string, KernelStructName>>;
  /** Members that lie in another one: name, and where it begins. */
  readonly inside?: Readonly<Record<string, readonly [outer: string, struct: KernelStructName]>>;
  /** Members whose sign is extended. */
  readonly signed?: readonly string[];
}

type KernelStructName =
  | 'net_device'
  | 'xdp_rxq_info'
  | 'xdp_txq_info'
  | 'xdp_buff'
  | 'sock_common'
  | 'sock'
  | 'sk_buff'
  | 'skb_vlan'
  | 'skb_shared_hwtstamps'
  | 'skb_shared_info'
  | 'qdisc_skb_cb'
  | 'bpf_skb_data_end'
  | 'bpf_flow_dissector'
  | 'bpf_sk_lookup_kern'
  | 'v4_ends'
  | 'v6_ends';

/** How the structs hang together: what the paths of context fields walk along. */
export const KERNEL_STRUCTS: Readonly<Record<KernelStructName, KernelStruct>> = {
  net_device: { layout: NET_DEVICE },
  xdp_rxq_info: { layout: XDP_RXQ_INFO, points: { dev: 'net_device' } },
  xdp_txq_info: { layout: XDP_TXQ_INFO, points: { dev: 'net_device' } },
  xdp_buff: { layout: XDP_BUFF, points: { rxq: 'xdp_rxq_info', txq: 'xdp_txq_info' } },
  sock_common: { layout: SOCK_COMMON },
  sock: { layout: SOCK, holds: { __sk_common: 'sock_common' } },
  sk_buff: {
    layout: SK_BUFF,
    points: { dev: 'net_device', sk: 'sock' },
    inside: { vlan_proto: ['vlan_all', 'skb_vlan'], vlan_tci: ['vlan_all', 'skb_vlan'] },
  },
  skb_vlan: { layout: SKB_VLAN },
  skb_shared_hwtstamps: { layout: SKB_SHARED_HWTSTAMPS },
  skb_shared_info: { layout: SKB_SHARED_INFO, holds: { hwtstamps: 'skb_shared_hwtstamps' } },
  qdisc_skb_cb: { layout: QDISC_SKB_CB },
  bpf_flow_dissector: { layout: BPF_FLOW_DISSECTOR },
  bpf_sk_lookup_kern: {
    layout: BPF_SK_LOOKUP_KERN,
    points: { selected_sk: 'sock' },
    holds: { v4: 'v4_ends', v6: 'v6_ends' },
  },
  v4_ends: { layout: V4_ENDS },
  v6_ends: { layout: V6_ENDS },
  bpf_skb_data_end: { layout: BPF_SKB_DATA_END, holds: { qdisc_cb: 'qdisc_skb_cb' } },
};

export function isKernelStruct(name: string): name is KernelStructName {
  return Object.hasOwn(KERNEL_STRUCTS, name);
}

export type { KernelStructName };
