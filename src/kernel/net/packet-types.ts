/** The program types that run on a packet here, and how their context is made of one. */
import type { ProgType } from '../../sys/tables.ts';

interface PacketType {
  readonly object: 'xdp_buff' | 'sk_buff';
  /** The skb begins at its network header, without its link layer header. */
  readonly atNetwork: boolean;
}

const XDP: PacketType = { object: 'xdp_buff', atNetwork: false };
const AT_LINK: PacketType = { object: 'sk_buff', atNetwork: false };
const AT_NETWORK: PacketType = { object: 'sk_buff', atNetwork: true };

/** @see net/bpf/test_run.c, bpf_prog_test_run_xdp, bpf_prog_test_run_skb */
export const PACKET_TYPES: Partial<Readonly<Record<ProgType, PacketType>>> = {
  xdp: XDP,
  sched_cls: AT_LINK,
  sched_act: AT_LINK,
  socket_filter: AT_NETWORK,
  cgroup_skb: AT_NETWORK,
  lwt_in: AT_NETWORK,
  lwt_out: AT_NETWORK,
  lwt_xmit: AT_NETWORK,
  lwt_seg6local: AT_NETWORK,
  sk_skb: AT_NETWORK,
};
