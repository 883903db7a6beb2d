// SPDX-License-Identifier: Apache-2.0
/*
 * A pipeline of XDP programs that tail-call each other by protocol: VLAN tags are taken off, pings are answered from
 * the driver (TX), DNS queries go to another device (REDIRECT), runts are dropped. Totals stand in global data.
 */
#include "packet.h"

#define ICMP_ECHO 8
#define ICMP_ECHOREPLY 0

struct icmp_header {
	__u8 type;
	__u8 code;
	__sum16 checksum;
};

enum stage {
	STAGE_IPV4,
	STAGE_IPV6,
	STAGE_OTHER,
	/* Nothing is put here: the call falls through. */
	STAGE_MISSING,
	STAGES,
};

struct pipeline_config {
	__u32 dns_ifindex;
	__u16 dns_port;
	__u8 answer_pings;
	__u8 strip_vlans;
};

/* Read-only for the program, set before loading. */
const volatile struct pipeline_config config = {
	.dns_ifindex = 1,
	.dns_port = 53,
	.answer_pings = 1,
	.strip_vlans = 1,
};

struct stage_total {
	__u64 packets;
	__u64 bytes;
};

/* Zero at first (.bss): what each stage has seen, and what has become of it. */
struct stage_total totals[STAGES];
__u64 vlans_stripped;
__u64 fallen_through;
/* Not zero at first (.data). */
__u32 shortest = 0xffffffff;
__u32 longest = 1;

int stage_ipv4(struct xdp_md *ctx);
int stage_ipv6(struct xdp_md *ctx);
int stage_other(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, STAGES);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} stages SEC(".maps") = {
	.values = {
		[STAGE_IPV4] = (void *)&stage_ipv4,
		[STAGE_IPV6] = (void *)&stage_ipv6,
		[STAGE_OTHER] = (void *)&stage_other,
	},
};

/* Global, so verified by itself: its argument may be any number. */
__noinline int account(__u32 stage, __u32 bytes)
{
	if (stage >= STAGES)
		return -1;
	totals[stage].packets++;
	totals[stage].bytes += bytes;
	if (bytes < shortest)
		shortest = bytes;
	if (bytes > longest)
		longest = bytes;
	return 0;
}

/* Takes one VLAN tag off: the addresses move up by four bytes over it. */
static __noinline int strip_vlan(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr copy, *eth = data;
	struct vlan_tag *tag = (void *)(eth + 1);

	if ((void *)(tag + 1) > end)
		return -1;
	__builtin_memcpy(&copy, eth, sizeof(copy));
	copy.h_proto = tag->encapsulated;
	if (bpf_xdp_adjust_head(ctx, sizeof(*tag)))
		return -1;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	eth = data;
	if ((void *)(eth + 1) > end)
		return -1;
	__builtin_memcpy(eth, &copy, sizeof(copy));
	vlans_stripped++;
	return 0;
}

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static __always_inline void turn_back(struct ethhdr *eth)
{
	__u8 address[ETH_ALEN];

	__builtin_memcpy(address, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, address, ETH_ALEN);
}

SEC("xdp")
int pipeline(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u32 stage;

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	if (config.strip_vlans && is_vlan(eth->h_proto)) {
		if (strip_vlan(ctx))
			return XDP_ABORTED;
		data = (void *)(long)ctx->data;
		end = (void *)(long)ctx->data_end;
		eth = data;
		if ((void *)(eth + 1) > end)
			return XDP_ABORTED;
	}
	switch (bpf_ntohs(eth->h_proto)) {
	case ETH_P_IP:
		stage = STAGE_IPV4;
		break;
	case ETH_P_IPV6:
		stage = STAGE_IPV6;
		break;
	case ETH_P_LOOPBACK:
		stage = STAGE_MISSING;
		break;
	default:
		stage = STAGE_OTHER;
	}
	bpf_tail_call(ctx, &stages, stage);
	fallen_through++;
	account(STAGE_MISSING, end - data);
	return XDP_DROP;
}

SEC("xdp")
int stage_ipv4(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);

	account(STAGE_IPV4, end - data);
	if ((void *)(ip + 1) > end || ip->ihl < 5)
		return XDP_DROP;
	if (ip->frag_off & bpf_htons(0x1fff))
		return XDP_PASS;
	if (ip->protocol == IPPROTO_ICMP && config.answer_pings) {
		struct icmp_header *icmp = (void *)ip + ip->ihl * 4;
		__be32 address = ip->saddr;

		if ((void *)(icmp + 1) > end || icmp->type != ICMP_ECHO)
			return XDP_PASS;
		icmp->type = ICMP_ECHOREPLY;
		/* One's complement: taking 8 from the type adds it to the checksum. */
		icmp->checksum = fold((__u32)icmp->checksum + bpf_htons(ICMP_ECHO << 8));
		ip->saddr = ip->daddr;
		ip->daddr = address;
		turn_back(eth);
		return XDP_TX;
	}
	if (ip->protocol == IPPROTO_UDP) {
		struct udphdr *udp = (void *)ip + ip->ihl * 4;

		if ((void *)(udp + 1) <= end && udp->dest == bpf_htons(config.dns_port))
			return bpf_redirect(config.dns_ifindex, 0);
	}
	return XDP_PASS;
}

SEC("xdp")
int stage_ipv6(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = data + sizeof(struct ethhdr);

	account(STAGE_IPV6, end - data);
	if ((void *)(ip + 1) > end)
		return XDP_DROP;
	if (ip->nexthdr == IPPROTO_UDP) {
		struct udphdr *udp = (void *)(ip + 1);

		if ((void *)(udp + 1) <= end && udp->dest == bpf_htons(config.dns_port))
			return bpf_redirect(config.dns_ifindex, 0);
	}
	return XDP_PASS;
}

SEC("xdp")
int stage_other(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	account(STAGE_OTHER, end - data);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
