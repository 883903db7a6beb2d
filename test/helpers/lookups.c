// SPDX-License-Identifier: Apache-2.0
/* Flow dissectors and socket lookups. */
#include "out.h"
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>

SEC("flow_dissector")
int dissect(struct __sk_buff *skb)
{
	struct bpf_flow_keys *keys = skb->flow_keys;
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr ip;

	PUT(keys->nhoff);
	PUT(keys->thoff);
	PUT(keys->n_proto);
	PUT(keys->flags);
	PUT(end - data);
	PUT(bpf_skb_load_bytes(skb, keys->nhoff, &ip, sizeof(ip)));
	PUT(ip.protocol);
	PUT(bpf_skb_load_bytes(skb, 60, &ip, sizeof(ip)));
	keys->addr_proto = ETH_P_IP;
	keys->ip_proto = 6;
	keys->thoff = 1000;
	keys->ipv4_src = 7;
	return BPF_OK;
}

SEC("sk_lookup")
int lookup(struct bpf_sk_lookup *ctx)
{
	PUT(ctx->family);
	PUT(ctx->protocol);
	PUT(ctx->remote_ip4);
	PUT(ctx->remote_ip6[0]);
	PUT(ctx->remote_port);
	PUT(ctx->local_ip4);
	PUT(ctx->local_ip6[3]);
	PUT(ctx->local_port);
	PUT(ctx->ingress_ifindex);
	PUT(ctx->sk != 0);
	PUT(*(__u8 *)&ctx->family);
	PUT(*(__u16 *)&ctx->local_port);
	return ctx->local_port == 80 ? SK_PASS : SK_DROP;
}
