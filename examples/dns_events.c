// SPDX-License-Identifier: Apache-2.0
/*
 * Tells user space about every DNS message: a record in a ring buffer, and the packet itself through the perf
 * buffer. How many messages each processor saw stands in a per-CPU hash.
 */
#include "packet.h"

#define DNS_PORT 53
#define SAMPLE 96

struct dns_header {
	__be16 id;
	__be16 flags;
	__be16 questions;
	__be16 answers;
};

struct dns_event {
	__be32 saddr;
	__be32 daddr;
	__be16 id;
	__u8 response;
	/* 0 is success, 3 says that the name does not exist. */
	__u8 code;
	__u16 questions;
	__u16 answers;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 256);
	__type(key, __be32);
	__type(value, __u64);
} messages SEC(".maps");

/* Records that found no room. */
__u64 lost;

SEC("xdp")
int dns_events(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct dns_event event = {};
	__u64 one = 1, *seen, sample;
	struct dns_header *dns;
	struct udphdr *udp;
	struct iphdr *ip;
	__be16 protocol;

	ip = network_header(data, end, &protocol);
	if (!ip || protocol != bpf_htons(ETH_P_IP) || (void *)(ip + 1) > end)
		return XDP_PASS;
	if (ip->protocol != IPPROTO_UDP || ip->ihl != 5 || ip->frag_off & bpf_htons(0x1fff))
		return XDP_PASS;
	udp = (void *)(ip + 1);
	dns = (void *)(udp + 1);
	if ((void *)(dns + 1) > end)
		return XDP_PASS;
	if (udp->source != bpf_htons(DNS_PORT) && udp->dest != bpf_htons(DNS_PORT))
		return XDP_PASS;

	event.saddr = ip->saddr;
	event.daddr = ip->daddr;
	event.id = dns->id;
	event.response = bpf_ntohs(dns->flags) >> 15;
	event.code = bpf_ntohs(dns->flags) & 15;
	event.questions = bpf_ntohs(dns->questions);
	event.answers = bpf_ntohs(dns->answers);

	seen = bpf_map_lookup_elem(&messages, &event.saddr);
	if (seen)
		*seen += 1;
	else
		bpf_map_update_elem(&messages, &event.saddr, &one, BPF_ANY);
	if (bpf_ringbuf_output(&events, &event, sizeof(event), 0))
		__sync_fetch_and_add(&lost, 1);
	sample = end - data;
	if (sample > SAMPLE)
		sample = SAMPLE;
	bpf_perf_event_output(ctx, &samples, sample << 32 | BPF_F_CURRENT_CPU, &event, sizeof(event));
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
