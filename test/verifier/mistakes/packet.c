// SPDX-License-Identifier: Apache-2.0
/* Mistakes around packets and contexts. */
#include "mistakes.h"

/* No comparison with data_end at all. */
SEC("xdp")
int no_data_end(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	return eth->h_proto == bpf_htons(ETH_P_IP) ? XDP_PASS : XDP_DROP;
}

/* Compares the Ethernet header, and reads the IP header behind it. */
SEC("xdp")
int short_bound(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);

	if (data + sizeof(struct ethhdr) > data_end)
		return XDP_DROP;
	return ip->protocol == 6 ? XDP_PASS : XDP_DROP;
}

/* Leaves for shorter packets, and reads one byte too many. */
SEC("xdp")
int off_by_one(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;

	if (data + 14 > data_end)
		return XDP_DROP;
	return ((__u8 *)data)[14];
}

/* The comparison is there, the wrong way round. */
SEC("xdp")
int wrong_way_round(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;

	if (data + 14 <= data_end)
		return XDP_DROP;
	return ((__u8 *)data)[12];
}

/* The IP header's length is read from the packet and nothing is compared behind it. */
SEC("xdp")
int variable_offset(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	__u8 *payload;

	if ((void *)(ip + 1) > data_end)
		return XDP_DROP;
	payload = (void *)ip + ip->ihl * 4;
	return payload[1];
}

/* An offset out of the packet, as large as it likes. */
SEC("xdp")
int unbounded_offset(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	__u32 skip;
	__u8 *at;

	if (data + 4 > data_end)
		return XDP_DROP;
	skip = *(__u32 *)data;
	at = data + skip;
	if ((void *)(at + 1) > data_end)
		return XDP_DROP;
	return *at;
}

/* The pointers from before a helper that may move the packet. */
SEC("tc")
int stale_pointer(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *data_end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;

	if (data + sizeof(*eth) > data_end)
		return 0;
	bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0);
	return eth->h_proto == bpf_htons(ETH_P_IP);
}

/* A field that this type of program may read only. */
SEC("tc")
int read_only_context(struct __sk_buff *skb)
{
	skb->len = 64;
	return 0;
}

/* A 32-bit field, read as 64 bits: beyond what the context has there. */
SEC("xdp")
int wide_context(struct xdp_md *ctx)
{
	__u64 both;

	asm volatile("%0 = *(u64 *)(%1 + 12)" : "=r"(both) : "r"(ctx));
	return both != 0;
}

/* The packet is not in the context of a socket filter. */
SEC("socket")
int filter_data(struct __sk_buff *skb)
{
	__u8 *data = (void *)(long)skb->data;
	void *data_end = (void *)(long)skb->data_end;

	if ((void *)(data + 1) > data_end)
		return 0;
	return data[0];
}

/* A pointer into the packet, where a helper wants memory it can rely on, without the comparison. */
SEC("xdp")
int packet_key(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	__u64 *count = bpf_map_lookup_elem(&counts, data);

	return count ? *count : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
