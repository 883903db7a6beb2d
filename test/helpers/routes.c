// SPDX-License-Identifier: Apache-2.0
/* Asks the routing table that the kernel was given: 10.9.9.9 from the first device. */
#include "out.h"
#include <bpf/bpf_endian.h>

SEC("tc")
int ask(struct __sk_buff *skb)
{
	struct bpf_fib_lookup fib = {};

	fib.family = 2;
	fib.ifindex = 1;
	fib.tot_len = skb->mark;
	fib.ipv4_dst = bpf_htonl(0x0a090909);
	PUT(bpf_fib_lookup(skb, &fib, sizeof(fib), 0));
	PUT(fib.ifindex);
	PUT(bpf_ntohl(fib.ipv4_dst));
	PUT(fib.mtu_result);
	PUT(fib.dmac[5]);
	PUT(fib.smac[5]);
	fib.ipv4_dst = bpf_htonl(0x0a080808);
	fib.ifindex = 1;
	fib.tot_len = 0;
	PUT(bpf_fib_lookup(skb, &fib, sizeof(fib), 0));
	fib.ifindex = 1;
	PUT(bpf_fib_lookup(skb, &fib, sizeof(fib), BPF_FIB_LOOKUP_SKIP_NEIGH));
	fib.ipv4_dst = bpf_htonl(0x0b000001);
	fib.ifindex = 1;
	PUT(bpf_fib_lookup(skb, &fib, sizeof(fib), 0));
	fib.ipv4_dst = bpf_htonl(0xc0a80001);
	fib.ifindex = 1;
	PUT(bpf_fib_lookup(skb, &fib, sizeof(fib), 0));
	return 0;
}
