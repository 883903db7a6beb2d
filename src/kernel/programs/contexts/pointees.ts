/** What programs may read through the socket pointers and the flow keys that their contexts and helpers hand out. */
import { array, struct, u8, u16, u32, u64 } from '../../../base/layout.ts';
import { type ContextStruct, context, u32Exact, u64Exact } from '../context.ts';
import { SOCK } from './sock.ts';

/** @see include/uapi/linux/bpf.h, struct bpf_tcp_sock */
export const TCP_SOCK_LAYOUT = struct({
  snd_cwnd: u32,
  srtt_us: u32,
  rtt_min: u32,
  snd_ssthresh: u32,
  rcv_nxt: u32,
  snd_nxt: u32,
  snd_una: u32,
  mss_cache: u32,
  ecn_flags: u32,
  rate_delivered: u32,
  rate_interval_us: u32,
  packets_out: u32,
  retrans_out: u32,
  total_retrans: u32,
  segs_in: u32,
  data_segs_in: u32,
  segs_out: u32,
  data_segs_out: u32,
  lost_out: u32,
  sacked_out: u32,
  bytes_received: u64,
  bytes_acked: u64,
  dsack_dups: u32,
  delivered: u32,
  delivered_ce: u32,
  icsk_retransmits: u32,
});

const word = (reads: string) => ({ read: u32Exact, reads }) as const;

const TCP_SOCK = context('bpf_tcp_sock', TCP_SOCK_LAYOUT, 'tcp_sock', {
  snd_cwnd: word('snd_cwnd'),
  srtt_us: word('srtt_us'),
  rtt_min: word('rtt_min.s[0].v'),
  snd_ssthresh: word('snd_ssthresh'),
  rcv_nxt: word('rcv_nxt'),
  snd_nxt: word('snd_nxt'),
  snd_una: word('snd_una'),
  mss_cache: word('mss_cache'),
  ecn_flags: word('ecn_flags'),
  rate_delivered: word('rate_delivered'),
  rate_interval_us: word('rate_interval_us'),
  packets_out: word('packets_out'),
  retrans_out: word('retrans_out'),
  total_retrans: word('total_retrans'),
  segs_in: word('segs_in'),
  data_segs_in: word('data_segs_in'),
  segs_out: word('segs_out'),
  data_segs_out: word('data_segs_out'),
  lost_out: word('lost_out'),
  sacked_out: word('sacked_out'),
  bytes_received: { read: u64Exact, reads: 'bytes_received' },
  bytes_acked: { read: u64Exact, reads: 'bytes_acked' },
  dsack_dups: word('dsack_dups'),
  delivered: word('delivered'),
  delivered_ce: word('delivered_ce'),
  icsk_retransmits: word('inet_conn.icsk_retransmits'),
});

/** @see include/uapi/linux/bpf.h, struct bpf_xdp_sock */
export const XDP_SOCK_LAYOUT = struct({ queue_id: u32 });

const XDP_SOCK = context('bpf_xdp_sock', XDP_SOCK_LAYOUT, 'xdp_sock', { queue_id: word('queue_id') });

/**
 * By the pointer's name in the log (`invalid tcp_sock access off=…`). Nothing can be written through them, and a socket
 * that may be a request or time-wait one has only the fields that all of them have.
 */
export const SOCKET_POINTEES: Readonly<
  Record<'sock' | 'sock_common' | 'tcp_sock' | 'xdp_sock', ContextStruct>
> = {
  sock: SOCK.with({ readOnly: ['bound_dev_if', 'mark', 'priority'] }),
  sock_common: SOCK.with({
    hide: ['type', 'protocol', 'mark', 'priority'],
    readOnly: ['bound_dev_if'],
  }),
  tcp_sock: TCP_SOCK,
  xdp_sock: XDP_SOCK,
};

/**
 * What a flow dissector fills in. Every byte may be read and written, at any alignment. `src` and `dst` hold an IPv4
 * address each in the first two words, or two IPv6 addresses.
 *
 * @see include/uapi/linux/bpf.h, struct bpf_flow_keys
 */
export const FLOW_KEYS_LAYOUT = struct({
  nhoff: u16,
  thoff: u16,
  addr_proto: u16,
  is_frag: u8,
  is_first_frag: u8,
  is_encap: u8,
  ip_proto: u8,
  n_proto: u16,
  sport: u16,
  dport: u16,
  addresses: array(u32, 8),
  flags: u32,
  flow_label: u32,
});
