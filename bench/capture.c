// SPDX-License-Identifier: Apache-2.0
/* What skep run is measured with, over a capture of TCP and UDP flows. */
#include "bench.h"

struct flow {
	u32 saddr, daddr;
	u32 ports;
	u32 proto;
};

struct {
	__uint(type, 6 /* percpu_array */);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, u64);
} protocols SEC(".maps");

struct {
	__uint(type, 1 /* hash */);
	__uint(max_entries, 65536);
	__type(key, struct flow);
	__type(value, u64);
} flows SEC(".maps");

/* Ethernet, IPv4 with options, TCP or UDP: the 5-tuple. */
always_inline int parse(struct xdp_md *ctx, struct flow *flow)
{
	u8 *data = (u8 *)(long)ctx->data;
	u8 *end = (u8 *)(long)ctx->data_end;
	u8 *ip = data + 14;
	if (ip + 20 > end || *(u16 *)(data + 12) != 0x0008)
		return -1;
	u32 ihl = (ip[0] & 15) * 4;
	if (ihl < 20)
		return -1;
	u8 *l4 = ip + ihl;
	if (l4 + 4 > end)
		return -1;
	u8 proto = ip[9];
	if (proto != 6 && proto != 17)
		return -1;
	flow->saddr = *(u32 *)(ip + 12);
	flow->daddr = *(u32 *)(ip + 16);
	flow->ports = *(u32 *)l4;
	flow->proto = proto;
	return 0;
}

/* Counts packets by protocol and drops every fourth flow. */
SEC("xdp") int five_tuple(struct xdp_md *ctx)
{
	struct flow flow;
	if (parse(ctx, &flow))
		return 0;
	u64 *count = bpf_map_lookup_elem(&protocols, &flow.proto);
	if (count)
		*count += 1;
	u32 mixed = flow.saddr ^ (flow.daddr * 31) ^ (flow.ports * 17) ^ flow.proto;
	return mixed & 0x30000 ? 2 : 1;
}

/* Counts the packets of each flow. */
SEC("xdp") int count_flows(struct xdp_md *ctx)
{
	struct flow flow;
	u64 one = 1;
	if (parse(ctx, &flow))
		return 0;
	u64 *count = bpf_map_lookup_elem(&flows, &flow);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&flows, &flow, &one, 1 /* BPF_NOEXIST */);
	return 2;
}
