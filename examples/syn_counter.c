// SPDX-License-Identifier: Apache-2.0
/*
 * Counts the TCP connections that each IPv4 address tries to open (a SYN without ACK), and drops the attempts of an
 * address that has made more than `syn_limit`.
 */
#include "packet.h"

/* What is known of one source address. */
struct syn_stats {
	__u64 syns;
	__u64 dropped;
	__be16 last_port;
	__u8 last_ttl;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, struct syn_stats);
} syn_counts SEC(".maps");

/* Attempts that one address may make; 0 for no limit. Set before loading. */
const volatile __u64 syn_limit = 100;

SEC("xdp")
int count_syns(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct syn_stats *stats;
	struct tcphdr *tcp;
	struct iphdr *ip;
	__be16 protocol;
	__be32 source;

	ip = network_header(data, end, &protocol);
	if (!ip || protocol != bpf_htons(ETH_P_IP) || (void *)(ip + 1) > end)
		return XDP_PASS;
	if (ip->protocol != IPPROTO_TCP || ip->ihl < 5 || ip->frag_off & bpf_htons(0x1fff))
		return XDP_PASS;
	tcp = (void *)ip + ip->ihl * 4;
	if ((void *)(tcp + 1) > end || !tcp->syn || tcp->ack)
		return XDP_PASS;

	source = ip->saddr;
	stats = bpf_map_lookup_elem(&syn_counts, &source);
	if (!stats) {
		struct syn_stats first = {};

		bpf_map_update_elem(&syn_counts, &source, &first, BPF_NOEXIST);
		stats = bpf_map_lookup_elem(&syn_counts, &source);
		if (!stats)
			return XDP_PASS;
	}
	stats->syns++;
	stats->last_port = tcp->dest;
	stats->last_ttl = ip->ttl;
	if (!syn_limit || stats->syns <= syn_limit)
		return XDP_PASS;
	if (!stats->dropped++)
		bpf_printk("%x: more than %d connection attempts", bpf_ntohl(source), (int)syn_limit);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
