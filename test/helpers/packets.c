// SPDX-License-Identifier: Apache-2.0
/* Helpers that act on the packet alone. */
#include "out.h"
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>

/* Of newer headers. */
#define DECAP_L3_IPV4 (1ULL << 7)
#define NO_TUNNEL_KEY (1ULL << 4)

static const struct bpf_tunnel_key no_key;

SEC("tc")
int room(struct __sk_buff *skb)
{
	PUT(bpf_skb_adjust_room(skb, 8, BPF_ADJ_ROOM_NET, 0));
	PUT(skb->len);
	PUT(bpf_skb_adjust_room(skb, -8, BPF_ADJ_ROOM_NET, 0));
	PUT(skb->len);
	PUT(bpf_skb_adjust_room(skb, 20, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4));
	PUT(bpf_skb_adjust_room(skb, 20, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4));
	PUT(bpf_skb_adjust_room(skb, 4, 7, 0));
	PUT(bpf_skb_adjust_room(skb, 5000, BPF_ADJ_ROOM_MAC, 0));
	PUT(bpf_skb_adjust_room(skb, -100, BPF_ADJ_ROOM_MAC, 0));
	PUT(bpf_skb_adjust_room(skb, 4, BPF_ADJ_ROOM_MAC, 1ULL << 40));
	PUT(bpf_skb_adjust_room(skb, 4, BPF_ADJ_ROOM_MAC, DECAP_L3_IPV4));
	PUT(bpf_skb_adjust_room(skb, -20, BPF_ADJ_ROOM_MAC, DECAP_L3_IPV4));
	PUT(skb->len);
	PUT(skb->protocol);
	return 0;
}

SEC("tc")
int protocol(struct __sk_buff *skb)
{
	PUT(bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 1));
	PUT(bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0));
	PUT(skb->len);
	PUT(skb->protocol);
	PUT(bpf_skb_change_proto(skb, bpf_htons(ETH_P_ARP), 0));
	PUT(bpf_skb_change_proto(skb, bpf_htons(ETH_P_IP), 0));
	PUT(skb->len);
	PUT(bpf_skb_change_type(skb, 1));
	PUT(bpf_skb_change_type(skb, 9));
	PUT(skb->pkt_type);
	return 0;
}

SEC("tc")
int tunnel(struct __sk_buff *skb)
{
	struct bpf_tunnel_key key = no_key, back = no_key;
	__u32 option[2] = { 1, 2 }, read[3] = {};

	PUT(bpf_skb_get_tunnel_key(skb, &back, sizeof(back), 0));
	PUT(bpf_skb_get_tunnel_opt(skb, read, sizeof(read)));
	key.tunnel_id = 77;
	key.remote_ipv4 = 0x0a000001;
	key.local_ipv4 = 0x0a000002;
	key.tunnel_tos = 3;
	key.tunnel_ttl = 9;
	PUT(bpf_skb_set_tunnel_key(skb, &key, 5, 0));
	PUT(bpf_skb_set_tunnel_key(skb, &key, sizeof(key), 1 << 9));
	PUT(bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX));
	PUT(bpf_skb_get_tunnel_key(skb, &back, sizeof(back), 0));
	PUT(back.tunnel_id);
	PUT(back.remote_ipv4);
	PUT(back.local_ipv4);
	PUT(back.tunnel_tos);
	PUT(back.tunnel_ttl);
	PUT(bpf_skb_get_tunnel_key(skb, &back, sizeof(back), BPF_F_TUNINFO_FLAGS));
	PUT(back.tunnel_flags);
	PUT(bpf_skb_get_tunnel_key(skb, &back, sizeof(back), BPF_F_TUNINFO_IPV6));
	PUT(back.tunnel_id);
	PUT(bpf_skb_get_tunnel_key(skb, &back, 8, 0));
	PUT(bpf_skb_set_tunnel_opt(skb, option, 3));
	PUT(bpf_skb_set_tunnel_opt(skb, option, sizeof(option)));
	PUT(bpf_skb_get_tunnel_opt(skb, read, 4));
	PUT(bpf_skb_get_tunnel_opt(skb, read, sizeof(read)));
	PUT(read[1]);
	PUT(bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6 | NO_TUNNEL_KEY));
	PUT(bpf_skb_get_tunnel_key(skb, &back, sizeof(back), BPF_F_TUNINFO_IPV6 | BPF_F_TUNINFO_FLAGS));
	PUT(back.tunnel_flags);
	PUT(back.remote_ipv6[0]);
	return 0;
}

SEC("tc")
int tags(struct __sk_buff *skb)
{
	__u32 mtu = 0;

	PUT(bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 5));
	PUT(bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021AD), 6));
	PUT(skb->len);
	PUT(skb->vlan_tci);
	PUT(skb->vlan_proto);
	PUT(bpf_skb_vlan_pop(skb));
	PUT(bpf_skb_vlan_pop(skb));
	PUT(bpf_skb_vlan_pop(skb));
	PUT(skb->len);
	PUT(bpf_check_mtu(skb, 0, &mtu, 0, 0));
	PUT(mtu);
	mtu = 70000;
	PUT(bpf_check_mtu(skb, 0, &mtu, 0, 0));
	mtu = 0;
	PUT(bpf_check_mtu(skb, 0, &mtu, 70000, 0));
	PUT(bpf_check_mtu(skb, 12345, &mtu, 0, 0));
	PUT(bpf_check_mtu(skb, 0, &mtu, 0, 8));
	mtu = 0;
	PUT(bpf_check_mtu(skb, 0, &mtu, 3, BPF_MTU_CHK_SEGS));
	PUT(bpf_skb_change_head(skb, 14, 0));
	PUT(bpf_skb_change_head(skb, 14, 1));
	PUT(bpf_skb_change_tail(skb, 200, 0));
	PUT(bpf_skb_change_tail(skb, 1 << 20, 0));
	PUT(skb->len);
	PUT(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
	PUT(bpf_csum_level(skb, BPF_CSUM_LEVEL_INC));
	PUT(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
	PUT(bpf_csum_level(skb, 9));
	PUT(bpf_csum_update(skb, 1));
	PUT(bpf_skb_pull_data(skb, 0));
	PUT(bpf_skb_pull_data(skb, 9999));
	PUT(bpf_skb_set_tstamp(skb, 0, 1));
	PUT(bpf_skb_set_tstamp(skb, 5, 1));
	PUT(skb->tstamp);
	PUT(bpf_skb_set_tstamp(skb, 5, 9));
	PUT(bpf_skb_ecn_set_ce(skb));
	return 0;
}

SEC("tc")
int lookups(struct __sk_buff *skb)
{
	struct bpf_fib_lookup fib = {};
	struct bpf_redir_neigh next = {};

	PUT(bpf_fib_lookup(skb, &fib, sizeof(fib) - 4, 0));
	PUT(bpf_fib_lookup(skb, &fib, sizeof(fib), 1 << 20));
	PUT(bpf_fib_lookup(skb, &fib, sizeof(fib), 0));
	fib.family = 2;
	fib.ifindex = 12345;
	PUT(bpf_fib_lookup(skb, &fib, sizeof(fib), 0));
	PUT(bpf_redirect_neigh(1, 0, 0, 0));
	PUT(bpf_redirect_neigh(1, 0, 0, 1));
	PUT(bpf_redirect_neigh(1, &next, sizeof(next) - 4, 0));
	PUT(bpf_redirect_peer(1, 0));
	PUT(bpf_redirect_peer(1, 1));
	PUT(bpf_redirect(1, 0));
	PUT(bpf_redirect(1, 2));
	PUT(bpf_clone_redirect(skb, 12345, 0));
	PUT(bpf_clone_redirect(skb, 1, 2));
	PUT(bpf_skb_cgroup_classid(skb));
	PUT(bpf_get_cgroup_classid(skb));
	PUT(bpf_get_route_realm(skb));
	return 0;
}

SEC("xdp")
int cookies(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + 14;
	struct tcphdr *tcp = data + 34;
	__s64 cookie;

	if (data + 54 > end)
		return 0;
	tcp->doff = 4;
	PUT(bpf_tcp_raw_gen_syncookie_ipv4(ip, tcp, 20));
	tcp->doff = 5;
	PUT(bpf_tcp_raw_gen_syncookie_ipv4(ip, tcp, 16));
	cookie = bpf_tcp_raw_gen_syncookie_ipv4(ip, tcp, 20);
	PUT(cookie >> 32);
	PUT(bpf_tcp_raw_check_syncookie_ipv4(ip, tcp));
	tcp->ack_seq = bpf_htonl((__u32)cookie + 1);
	tcp->seq = bpf_htonl(bpf_ntohl(tcp->seq) + 1);
	PUT(bpf_tcp_raw_check_syncookie_ipv4(ip, tcp));
	tcp->ack_seq = bpf_htonl((__u32)cookie + 2000);
	PUT(bpf_tcp_raw_check_syncookie_ipv4(ip, tcp));
	return XDP_PASS;
}

SEC("xdp")
int frames(struct xdp_md *ctx)
{
	__u32 mtu = 0;
	char bytes[8] = {};

	PUT(bpf_xdp_get_buff_len(ctx));
	PUT(bpf_xdp_load_bytes(ctx, 60, bytes, 8));
	PUT(bpf_xdp_load_bytes(ctx, 0, bytes, 8));
	PUT(bpf_xdp_store_bytes(ctx, 70000, bytes, 8));
	PUT(bpf_xdp_adjust_head(ctx, -10));
	PUT(bpf_xdp_adjust_head(ctx, 1000));
	PUT(bpf_xdp_adjust_tail(ctx, 10));
	PUT(bpf_xdp_adjust_tail(ctx, -500));
	PUT(bpf_xdp_adjust_meta(ctx, -8));
	PUT(bpf_xdp_adjust_meta(ctx, 3));
	PUT(bpf_xdp_get_buff_len(ctx));
	PUT(bpf_check_mtu(ctx, 0, &mtu, 0, 0));
	PUT(mtu);
	mtu = 0;
	PUT(bpf_check_mtu(ctx, 0, &mtu, 70000, 0));
	PUT(bpf_check_mtu(ctx, 0, &mtu, 0, 1));
	return XDP_PASS;
}
