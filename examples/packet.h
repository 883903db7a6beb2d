/* SPDX-License-Identifier: Apache-2.0 */
/* What the examples share: headers that the UAPI does not declare, and finding the network header behind VLAN tags. */
#ifndef SKEP_EXAMPLES_PACKET_H
#define SKEP_EXAMPLES_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_VLAN_TAGS 2

struct vlan_tag {
	__be16 tci;
	__be16 encapsulated;
};

static __always_inline int is_vlan(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

/* The network header and its EtherType; NULL when the packet ends before it. */
static __always_inline void *network_header(void *data, void *end, __be16 *protocol)
{
	struct ethhdr *eth = data;
	void *next = eth + 1;

	if (next > end)
		return NULL;
	*protocol = eth->h_proto;
#pragma unroll
	for (int i = 0; i < MAX_VLAN_TAGS; i++) {
		struct vlan_tag *tag = next;

		if (!is_vlan(*protocol))
			break;
		if ((void *)(tag + 1) > end)
			return NULL;
		*protocol = tag->encapsulated;
		next = tag + 1;
	}
	return next;
}

#endif
