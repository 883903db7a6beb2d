// SPDX-License-Identifier: Apache-2.0
/*
 * A packet filter by five-tuple: addresses with prefix lengths, ports and protocol, IPv4 and IPv6. The first rule that
 * matches decides. Rules stand in the map `rules`; a slot that is not in use there falls back to `built_in`.
 */
#include "packet.h"

#define MAX_RULES 8
#define MAX_EXTENSIONS 4

/* Every address is an IPv6 one; IPv4 addresses are mapped (::ffff:10.7.0.1). */
#define words in6_u.u6_addr32
#define MAPPED(address) { .words = { 0, 0, bpf_htonl(0xffff), bpf_htonl(address) } }
#define MASK(a, b, c, d) { .words = { bpf_htonl(a), bpf_htonl(b), bpf_htonl(c), bpf_htonl(d) } }
#define ALL 0xffffffff

enum action {
	ACTION_UNUSED,
	ACTION_ALLOW,
	ACTION_DENY,
};

struct rule {
	enum action action;
	__u8 family; /* 4, 6, or 0 for both */
	__u8 protocol; /* 0 for any */
	__be16 sport; /* 0 for any, as below */
	__be16 dport;
	struct in6_addr saddr;
	struct in6_addr smask;
	struct in6_addr daddr;
	struct in6_addr dmask;
};

struct rule_counter {
	__u64 packets;
	__u64 bytes;
};

struct tuple {
	struct in6_addr saddr;
	struct in6_addr daddr;
	__be16 sport;
	__be16 dport;
	__u8 protocol;
	__u8 family;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_RULES);
	__type(key, __u32);
	__type(value, struct rule);
} rules SEC(".maps");

/* What each rule has decided; the last counts what no rule matched. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_RULES + 1);
	__type(key, __u32);
	__type(value, struct rule_counter);
} rule_counters SEC(".maps");

/* The first packet that each denied flow had: how many bytes, by which rule. */
struct denial {
	__u32 rule;
	__u32 bytes;
	__u64 packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct tuple);
	__type(value, struct denial);
} denied SEC(".maps");

const volatile struct rule built_in[MAX_RULES] = {
	/* DNS over UDP is allowed, whoever asks. */
	{ .action = ACTION_ALLOW, .protocol = IPPROTO_UDP, .dport = bpf_htons(53) },
	/* No pings within 10.7.0.0/24. */
	{
		.action = ACTION_DENY,
		.family = 4,
		.protocol = IPPROTO_ICMP,
		.saddr = MAPPED(0x0a070000),
		.smask = MASK(ALL, ALL, ALL, 0xffffff00),
	},
	/* Nothing from fd07::/64 by TCP to port 8080. */
	{
		.action = ACTION_DENY,
		.family = 6,
		.protocol = IPPROTO_TCP,
		.dport = bpf_htons(8080),
		.saddr = MASK(0xfd070000, 0, 0, 0),
		.smask = MASK(ALL, ALL, 0, 0),
	},
	/* No secure shell. */
	{ .action = ACTION_DENY, .protocol = IPPROTO_TCP, .dport = bpf_htons(22) },
};

static __always_inline int matches_address(const struct in6_addr *have, const volatile struct in6_addr *want,
					   const volatile struct in6_addr *mask)
{
	__u32 difference = 0;

#pragma unroll
	for (int i = 0; i < 4; i++)
		difference |= (have->words[i] ^ want->words[i]) & mask->words[i];
	return !difference;
}

static __noinline int matches(const struct tuple *t, const volatile struct rule *r)
{
	if (r->family && r->family != t->family)
		return 0;
	if (r->protocol && r->protocol != t->protocol)
		return 0;
	if (r->sport && r->sport != t->sport)
		return 0;
	if (r->dport && r->dport != t->dport)
		return 0;
	return matches_address(&t->saddr, &r->saddr, &r->smask) && matches_address(&t->daddr, &r->daddr, &r->dmask);
}

static __always_inline int read_tuple(void *data, void *end, struct tuple *t)
{
	__be16 protocol;
	void *next = network_header(data, end, &protocol);

	if (!next)
		return 0;
	if (protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = next;

		if ((void *)(ip + 1) > end || ip->ihl < 5)
			return 0;
		t->family = 4;
		t->protocol = ip->protocol;
		t->saddr.words[2] = bpf_htonl(0xffff);
		t->saddr.words[3] = ip->saddr;
		t->daddr.words[2] = bpf_htonl(0xffff);
		t->daddr.words[3] = ip->daddr;
		if (ip->frag_off & bpf_htons(0x1fff))
			return 1;
		next += ip->ihl * 4;
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = next;

		if ((void *)(ip + 1) > end)
			return 0;
		t->family = 6;
		t->protocol = ip->nexthdr;
		__builtin_memcpy(&t->saddr, &ip->saddr, sizeof(t->saddr));
		__builtin_memcpy(&t->daddr, &ip->daddr, sizeof(t->daddr));
		next = ip + 1;
		for (int i = 0; i < MAX_EXTENSIONS; i++) {
			struct ipv6_opt_hdr *option = next;

			if (t->protocol != IPPROTO_HOPOPTS && t->protocol != IPPROTO_ROUTING &&
			    t->protocol != IPPROTO_DSTOPTS)
				break;
			if ((void *)(option + 1) > end)
				return 1;
			t->protocol = option->nexthdr;
			next += (option->hdrlen + 1) * 8;
		}
	} else {
		return 0;
	}
	if (t->protocol == IPPROTO_TCP || t->protocol == IPPROTO_UDP) {
		/* Both begin with the two ports. */
		struct udphdr *ports = next;

		if ((void *)(ports + 1) > end)
			return 1;
		t->sport = ports->source;
		t->dport = ports->dest;
	}
	return 1;
}

static __always_inline void count(__u32 rule, __u64 bytes)
{
	struct rule_counter *counter = bpf_map_lookup_elem(&rule_counters, &rule);

	if (!counter)
		return;
	counter->packets++;
	counter->bytes += bytes;
}

SEC("xdp")
int firewall(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct tuple t = {};

	if (!read_tuple(data, end, &t))
		return XDP_PASS;
	for (__u32 i = 0; i < MAX_RULES; i++) {
		struct denial first = { .rule = i, .bytes = end - data, .packets = 1 };
		const volatile struct rule *rule;
		struct denial *known;
		/* A copy: a counter whose address is taken lives on the stack, where the verifier can lose track of it. */
		__u32 key = i;

		rule = bpf_map_lookup_elem(&rules, &key);
		if (!rule)
			break;
		if (rule->action == ACTION_UNUSED)
			rule = &built_in[i];
		if (rule->action == ACTION_UNUSED || !matches(&t, rule))
			continue;
		count(i, end - data);
		if (rule->action == ACTION_ALLOW)
			return XDP_PASS;
		known = bpf_map_lookup_elem(&denied, &t);
		if (known)
			__sync_fetch_and_add(&known->packets, 1);
		else
			bpf_map_update_elem(&denied, &t, &first, BPF_NOEXIST);
		return XDP_DROP;
	}
	count(MAX_RULES, end - data);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
