/** Helpers over packets, messages, routes and checksums. */
import {
  ANY,
  type Arg,
  BTF_SOCK,
  CTX,
  KEY,
  MAP,
  type Prototypes,
  READ_MEM,
  READ_MEM_OR_NULL,
  readFixed,
  SIZE,
  SIZE_OR_ZERO,
  UNINIT_MEM,
  WRITE_MEM,
} from './prototypes-arg.ts';

/** `sizeof` of the headers that the raw SYN cookie helpers read. */
const IPV4_HEADER = readFixed(20);
const IPV6_HEADER = readFixed(40);
const TCP_HEADER = readFixed(20);
const MTU = { kind: 'mem', access: 'write', size: 4, aligned: true } as const satisfies Arg;

/** Takes the context and numbers. */
const numbers = (count: number) =>
  ({ args: [CTX, ...new Array<Arg>(count).fill(ANY)], ret: 'integer' }) as const;
/** As {@link numbers}, and packet pointers are invalid afterwards. */
const changes = (count: number) => ({ ...numbers(count), changesPacket: true }) as const;

export const PACKET_PROTOTYPES = {
  skb_store_bytes: { args: [CTX, ANY, READ_MEM, SIZE, ANY], ret: 'integer', changesPacket: true },
  l3_csum_replace: changes(4),
  l4_csum_replace: changes(4),
  clone_redirect: changes(2),
  skb_vlan_push: changes(2),
  skb_vlan_pop: changes(0),
  skb_get_tunnel_key: { args: [CTX, UNINIT_MEM, SIZE, ANY], ret: 'integer' },
  skb_set_tunnel_key: { args: [CTX, READ_MEM, SIZE, ANY], ret: 'integer' },
  redirect: { args: [ANY, ANY], ret: 'integer' },
  get_route_realm: numbers(0),
  skb_load_bytes: { args: [CTX, ANY, UNINIT_MEM, SIZE], ret: 'integer' },
  csum_diff: {
    args: [READ_MEM_OR_NULL, SIZE_OR_ZERO, READ_MEM_OR_NULL, SIZE_OR_ZERO, ANY],
    ret: 'integer',
    packetAccess: true,
  },
  skb_get_tunnel_opt: { args: [CTX, UNINIT_MEM, SIZE], ret: 'integer' },
  skb_set_tunnel_opt: { args: [CTX, READ_MEM, SIZE], ret: 'integer' },
  skb_change_proto: changes(2),
  skb_change_type: numbers(1),
  skb_under_cgroup: { args: [CTX, MAP, ANY], ret: 'integer' },
  get_hash_recalc: numbers(0),
  skb_change_tail: changes(2),
  skb_pull_data: changes(1),
  csum_update: numbers(1),
  set_hash_invalid: numbers(0),
  skb_change_head: changes(2),
  xdp_adjust_head: changes(1),
  set_hash: numbers(1),
  skb_adjust_room: changes(3),
  redirect_map: { args: [MAP, ANY, ANY], ret: 'integer' },
  sk_redirect_map: { args: [CTX, MAP, ANY, ANY], ret: 'integer' },
  xdp_adjust_meta: changes(1),
  msg_redirect_map: { args: [CTX, MAP, ANY, ANY], ret: 'integer' },
  msg_apply_bytes: numbers(1),
  msg_cork_bytes: numbers(1),
  msg_pull_data: changes(3),
  xdp_adjust_tail: changes(1),
  skb_get_xfrm_state: { args: [CTX, ANY, UNINIT_MEM, SIZE, ANY], ret: 'integer' },
  skb_load_bytes_relative: { args: [CTX, ANY, UNINIT_MEM, SIZE, ANY], ret: 'integer' },
  fib_lookup: { args: [CTX, WRITE_MEM, SIZE, ANY], ret: 'integer', gplOnly: true },
  msg_redirect_hash: { args: [CTX, MAP, KEY, ANY], ret: 'integer' },
  sk_redirect_hash: { args: [CTX, MAP, KEY, ANY], ret: 'integer' },
  lwt_push_encap: { args: [CTX, ANY, READ_MEM, SIZE], ret: 'integer', changesPacket: true },
  lwt_seg6_store_bytes: { args: [CTX, ANY, READ_MEM, SIZE], ret: 'integer', changesPacket: true },
  lwt_seg6_adjust_srh: changes(2),
  lwt_seg6_action: { args: [CTX, ANY, READ_MEM, SIZE], ret: 'integer', changesPacket: true },
  skb_cgroup_id: numbers(0),
  skb_ancestor_cgroup_id: numbers(1),
  msg_push_data: changes(3),
  msg_pop_data: changes(3),
  skb_ecn_set_ce: numbers(0),
  csum_level: numbers(1),
  skb_cgroup_classid: numbers(0),
  redirect_neigh: { args: [ANY, READ_MEM_OR_NULL, SIZE_OR_ZERO, ANY], ret: 'integer' },
  redirect_peer: { args: [ANY, ANY], ret: 'integer' },
  check_mtu: { args: [CTX, ANY, MTU, ANY, ANY], ret: 'integer', gplOnly: true },
  xdp_get_buff_len: numbers(0),
  xdp_load_bytes: { args: [CTX, ANY, UNINIT_MEM, SIZE], ret: 'integer' },
  xdp_store_bytes: { args: [CTX, ANY, READ_MEM, SIZE], ret: 'integer' },
  skb_set_tstamp: numbers(2),
  tcp_check_syncookie: {
    args: [BTF_SOCK, READ_MEM, SIZE, READ_MEM, SIZE],
    ret: 'integer',
    gplOnly: true,
    packetAccess: true,
  },
  tcp_gen_syncookie: {
    args: [BTF_SOCK, READ_MEM, SIZE, READ_MEM, SIZE],
    ret: 'integer',
    gplOnly: true,
    packetAccess: true,
  },
  tcp_raw_gen_syncookie_ipv4: {
    args: [IPV4_HEADER, READ_MEM, SIZE_OR_ZERO],
    ret: 'integer',
    gplOnly: true,
    packetAccess: true,
  },
  tcp_raw_gen_syncookie_ipv6: {
    args: [IPV6_HEADER, READ_MEM, SIZE_OR_ZERO],
    ret: 'integer',
    gplOnly: true,
    packetAccess: true,
  },
  tcp_raw_check_syncookie_ipv4: {
    args: [IPV4_HEADER, TCP_HEADER],
    ret: 'integer',
    gplOnly: true,
    packetAccess: true,
  },
  tcp_raw_check_syncookie_ipv6: {
    args: [IPV6_HEADER, TCP_HEADER],
    ret: 'integer',
    gplOnly: true,
    packetAccess: true,
  },
} as const satisfies Prototypes;
