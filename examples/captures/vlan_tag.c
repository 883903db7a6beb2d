// SPDX-License-Identifier: Apache-2.0
/*
 * Puts what goes to 10.42.0.0/16 into VLAN 42, and takes the tag off what comes in: a VLAN sub-interface for kernels
 * that were built without them. Used by record.sh only.
 */
#include <stddef.h>

#include <linux/pkt_cls.h>

#include "../packet.h"

#define VLAN 42
#define NETWORK 0x0a2a0000
#define MASK 0xffff0000

/* Where ARP for IPv4 has the address that is asked for, from the Ethernet header on. */
#define ARP_TARGET (ETH_HLEN + 24)

SEC("tc/egress")
int push(struct __sk_buff *skb)
{
	__u32 at;
	__be32 address;

	switch (bpf_ntohs(skb->protocol)) {
	case ETH_P_IP:
		at = ETH_HLEN + offsetof(struct iphdr, daddr);
		break;
	case ETH_P_ARP:
		at = ARP_TARGET;
		break;
	default:
		return TC_ACT_OK;
	}
	if (bpf_skb_load_bytes(skb, at, &address, sizeof(address)))
		return TC_ACT_OK;
	if ((bpf_ntohl(address) & MASK) == NETWORK)
		bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), VLAN);
	return TC_ACT_OK;
}

SEC("tc/ingress")
int pop(struct __sk_buff *skb)
{
	if (skb->vlan_present && (skb->vlan_tci & 0xfff) == VLAN)
		bpf_skb_vlan_pop(skb);
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
