// SPDX-License-Identifier: Apache-2.0
/* 32 tail calls: the entry, then one program again and again until the limit, which it then falls through. */
#include "bench.h"

int hop(struct xdp_md *ctx);

struct {
	__uint(type, 3);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(u32));
	__array(values, int(struct xdp_md *));
} hops SEC(".maps") = {
	.values = { [0] = (void *)&hop },
};

SEC("xdp") int hop(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &hops, 0);
	return 7;
}

SEC("xdp") int tailcalls(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &hops, 0);
	return 1;
}
