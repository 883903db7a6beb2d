// SPDX-License-Identifier: Apache-2.0
/*
 * A socket filter that keeps the headers of IP packets and cuts their payload off, so that a capture holds no
 * contents. What is not IP is dropped. It expects to be attached to a packet socket (data begins at Ethernet).
 */
#include "packet.h"

#define ETH_HLEN_ 14

/* The classic packet loads: big-endian fields, and the program ends with 0 when the packet is too short. */
unsigned long long load_byte(void *skb, unsigned long long offset) asm("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long offset) asm("llvm.bpf.load.half");

enum total {
	TOTAL_PACKETS,
	TOTAL_KEPT,
	TOTAL_CUT,
	TOTALS,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TOTALS);
	__type(key, __u32); /* an enum total */
	__type(value, __u64);
} totals SEC(".maps");

static __always_inline void add(__u32 which, __u64 amount)
{
	__u64 *sum = bpf_map_lookup_elem(&totals, &which);

	if (sum)
		__sync_fetch_and_add(sum, amount);
}

/* Bytes of the transport header at `offset`. */
static __noinline __u32 transport_length(struct __sk_buff *skb, __u32 offset, __u8 protocol)
{
	__u8 words;

	switch (protocol) {
	case IPPROTO_TCP:
		if (bpf_skb_load_bytes(skb, offset + 12, &words, sizeof(words)))
			return 0;
		return (words >> 4) * 4;
	case IPPROTO_UDP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 8;
	default:
		return 0;
	}
}

SEC("socket")
int trim_headers(struct __sk_buff *skb)
{
	__u32 offset = ETH_HLEN_;
	__u16 protocol = load_half(skb, 12);
	__u32 keep;

	if (protocol == ETH_P_8021Q || protocol == ETH_P_8021AD) {
		protocol = load_half(skb, 16);
		offset += sizeof(struct vlan_tag);
	}
	if (protocol == ETH_P_IP) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
			return 0;
		keep = offset + ip.ihl * 4;
		if (!(ip.frag_off & bpf_htons(0x1fff)))
			keep += transport_length(skb, keep, ip.protocol);
	} else if (protocol == ETH_P_IPV6) {
		__u8 next = load_byte(skb, offset + __builtin_offsetof(struct ipv6hdr, nexthdr));

		keep = offset + sizeof(struct ipv6hdr);
		keep += transport_length(skb, keep, next);
	} else {
		return 0;
	}
	if (keep > skb->len)
		keep = skb->len;
	add(TOTAL_PACKETS, 1);
	add(TOTAL_KEPT, keep);
	add(TOTAL_CUT, skb->len - keep);
	return keep;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
