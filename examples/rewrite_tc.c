// SPDX-License-Identifier: Apache-2.0
/*
 * A tc classifier that marks web traffic: it sets the DSCP field of IPv4 and IPv6 packets to or from `web_port`,
 * moves `web_port` to `new_port`, lowers the TTL, and keeps every checksum right. A packet whose TTL runs out is shot.
 */
#include <stddef.h>

#include <linux/pkt_cls.h>

#include "packet.h"

struct rewrite_config {
	__u16 web_port;
	__u16 new_port;
	__u8 dscp;
};

const volatile struct rewrite_config config = { .web_port = 8080, .new_port = 80, .dscp = 46 };

/* Kept in .bss: totals since the load. */
__u64 rewritten;
__u64 expired;
__u64 failed;

/* How many packets were marked, by the EtherType and the old DSCP value. */
struct mark {
	__be16 protocol;
	__u8 old_dscp;
	__u8 to_server;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct mark);
	__type(value, __u64);
} marks SEC(".maps");

static __always_inline void count(const struct mark *mark)
{
	__u64 one = 1, *packets = bpf_map_lookup_elem(&marks, mark);

	if (packets)
		__sync_fetch_and_add(packets, 1);
	else
		bpf_map_update_elem(&marks, mark, &one, BPF_ANY);
}

/* Moves the port at `offset` and mends the TCP checksum. */
static __noinline int move_port(struct __sk_buff *skb, __u32 tcp, __u32 offset)
{
	__be16 old = bpf_htons(config.web_port), new = bpf_htons(config.new_port);

	if (bpf_l4_csum_replace(skb, tcp + offsetof(struct tcphdr, check), old, new, sizeof(new)))
		return -1;
	return bpf_skb_store_bytes(skb, tcp + offset, &new, sizeof(new), 0);
}

/* 1 when the ports at `tcp` are those of web traffic, which are then moved; 0 when not; negative on failure. */
static __always_inline int web_ports(struct __sk_buff *skb, __u32 tcp, struct mark *mark)
{
	__be16 ports[2];

	if (bpf_skb_load_bytes(skb, tcp, ports, sizeof(ports)))
		return 0;
	if (ports[1] == bpf_htons(config.web_port)) {
		mark->to_server = 1;
		return move_port(skb, tcp, offsetof(struct tcphdr, dest)) ? -1 : 1;
	}
	if (ports[0] == bpf_htons(config.web_port))
		return move_port(skb, tcp, offsetof(struct tcphdr, source)) ? -1 : 1;
	return 0;
}

static __always_inline int rewrite_ipv4(struct __sk_buff *skb, __u32 offset)
{
	struct mark mark = { .protocol = bpf_htons(ETH_P_IP) };
	__be16 old, new;
	struct iphdr ip;
	__u8 tos, ttl;
	int web;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
		return TC_ACT_OK;
	if (ip.protocol != IPPROTO_TCP || ip.frag_off & bpf_htons(0x1fff))
		return TC_ACT_OK;
	if (ip.ttl <= 1) {
		__sync_fetch_and_add(&expired, 1);
		return TC_ACT_SHOT;
	}
	mark.old_dscp = ip.tos >> 2;
	web = web_ports(skb, offset + ip.ihl * 4, &mark);
	if (web < 0)
		goto failure;
	if (!web)
		return TC_ACT_OK;
	tos = config.dscp << 2 | (ip.tos & 3);
	ttl = ip.ttl - 1;
	/* The first 16-bit word holds version, header length and TOS; the fifth TTL and protocol. */
	old = bpf_htons(ip.version << 12 | ip.ihl << 8 | ip.tos);
	new = bpf_htons(ip.version << 12 | ip.ihl << 8 | tos);
	if (bpf_l3_csum_replace(skb, offset + offsetof(struct iphdr, check), old, new, 2))
		goto failure;
	old = bpf_htons(ip.ttl << 8 | ip.protocol);
	new = bpf_htons(ttl << 8 | ip.protocol);
	if (bpf_l3_csum_replace(skb, offset + offsetof(struct iphdr, check), old, new, 2))
		goto failure;
	if (bpf_skb_store_bytes(skb, offset + offsetof(struct iphdr, tos), &tos, sizeof(tos), 0) ||
	    bpf_skb_store_bytes(skb, offset + offsetof(struct iphdr, ttl), &ttl, sizeof(ttl), 0))
		goto failure;
	count(&mark);
	__sync_fetch_and_add(&rewritten, 1);
	return TC_ACT_OK;
failure:
	__sync_fetch_and_add(&failed, 1);
	return TC_ACT_SHOT;
}

static __always_inline int rewrite_ipv6(struct __sk_buff *skb, __u32 offset)
{
	struct mark mark = { .protocol = bpf_htons(ETH_P_IPV6) };
	struct ipv6hdr ip;
	__be16 first;
	int web;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.nexthdr != IPPROTO_TCP)
		return TC_ACT_OK;
	if (ip.hop_limit <= 1) {
		__sync_fetch_and_add(&expired, 1);
		return TC_ACT_SHOT;
	}
	/* Version, traffic class and the top of the flow label share the first 16 bits; no checksum covers them. */
	__builtin_memcpy(&first, &ip, sizeof(first));
	first = bpf_ntohs(first);
	mark.old_dscp = first >> 6 & 0x3f;
	web = web_ports(skb, offset + sizeof(ip), &mark);
	if (web < 0)
		goto failure;
	if (!web)
		return TC_ACT_OK;
	first = bpf_htons((first & 0xf03f) | config.dscp << 6);
	ip.hop_limit--;
	if (bpf_skb_store_bytes(skb, offset, &first, sizeof(first), 0) ||
	    bpf_skb_store_bytes(skb, offset + offsetof(struct ipv6hdr, hop_limit), &ip.hop_limit, 1, 0))
		goto failure;
	count(&mark);
	__sync_fetch_and_add(&rewritten, 1);
	return TC_ACT_OK;
failure:
	__sync_fetch_and_add(&failed, 1);
	return TC_ACT_SHOT;
}

SEC("tc")
int rewrite(struct __sk_buff *skb)
{
	__be16 protocol;

	if (bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_proto), &protocol, sizeof(protocol)))
		return TC_ACT_OK;
	if (protocol == bpf_htons(ETH_P_IP))
		return rewrite_ipv4(skb, sizeof(struct ethhdr));
	if (protocol == bpf_htons(ETH_P_IPV6))
		return rewrite_ipv6(skb, sizeof(struct ethhdr));
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
