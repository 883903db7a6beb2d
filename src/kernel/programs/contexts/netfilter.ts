import { struct, u64 } from '../../../base/layout.ts';
import { context, u64Exact } from '../context.ts';

/** @see include/linux/netfilter/nf_bpf_link.h, struct bpf_nf_ctx */
export const NETFILTER_LAYOUT = struct({ state: u64, skb: u64 });

export const NETFILTER_CONTEXT = context('bpf_nf_ctx', NETFILTER_LAYOUT, undefined, {
  state: { read: u64Exact, value: 'trusted_ptr', btf: 'nf_hook_state' },
  skb: { read: u64Exact, value: 'trusted_ptr', btf: 'sk_buff' },
});
