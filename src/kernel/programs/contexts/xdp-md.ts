import { struct, u32 } from '../../../base/layout.ts';
import { context, u32Exact } from '../context.ts';

/** @see include/uapi/linux/bpf.h, struct xdp_md */
export const XDP_MD_LAYOUT = struct({
  data: u32,
  data_end: u32,
  data_meta: u32,
  ingress_ifindex: u32,
  rx_queue_index: u32,
  egress_ifindex: u32,
});

export const XDP_MD = context('xdp_md', XDP_MD_LAYOUT, 'xdp_buff', {
  data: { read: u32Exact, value: 'packet', reads: 'data' },
  data_end: { read: u32Exact, value: 'packet_end', reads: 'data_end' },
  data_meta: { read: u32Exact, value: 'packet_meta', reads: 'data_meta' },
  ingress_ifindex: { read: u32Exact, reads: 'rxq->dev->ifindex' },
  rx_queue_index: { read: u32Exact, reads: 'rxq->queue_index' },
  egress_ifindex: { read: u32Exact, attach: ['xdp_devmap'], reads: 'txq->dev->ifindex' },
});
