/**
 * What a register may hold: a base type in the low eight bits and modifier flags above them, one small integer, so
 * that the inner loop compares and masks instead of following pointers. Names are those of Linux's log.
 *
 * @see include/linux/bpf.h, enum bpf_reg_type and enum bpf_type_flag
 */

/** Base types. */
export const NOT_INIT = 0;
export const SCALAR = 1;
export const PTR_TO_CTX = 2;
export const CONST_PTR_TO_MAP = 3;
export const PTR_TO_MAP_VALUE = 4;
export const PTR_TO_MAP_KEY = 5;
export const PTR_TO_STACK = 6;
export const PTR_TO_PACKET_META = 7;
export const PTR_TO_PACKET = 8;
export const PTR_TO_PACKET_END = 9;
export const PTR_TO_FLOW_KEYS = 10;
export const PTR_TO_SOCKET = 11;
export const PTR_TO_SOCK_COMMON = 12;
export const PTR_TO_TCP_SOCK = 13;
export const PTR_TO_TP_BUFFER = 14;
export const PTR_TO_XDP_SOCK = 15;
export const PTR_TO_BTF_ID = 16;
export const PTR_TO_MEM = 17;
export const PTR_TO_ARENA = 18;
export const PTR_TO_BUF = 19;
export const PTR_TO_FUNC = 20;
export const CONST_PTR_TO_DYNPTR = 21;

/** Modifiers. */
export const PTR_MAYBE_NULL = 1 << 8;
export const MEM_RDONLY = 1 << 9;
export const MEM_RINGBUF = 1 << 10;
export const MEM_USER = 1 << 11;
export const MEM_PERCPU = 1 << 12;
export const PTR_UNTRUSTED = 1 << 13;
export const MEM_UNINIT = 1 << 14;
export const MEM_ALLOC = 1 << 15;
export const PTR_TRUSTED = 1 << 16;
export const MEM_RCU = 1 << 17;
export const NON_OWN_REF = 1 << 18;
export const MEM_FIXED_SIZE = 1 << 19;
export const MEM_WRITE = 1 << 20;
/** The pointer's dynptr is over local memory, a ring buffer sample, an skb, an xdp frame, skb metadata or a file. */
export const DYNPTR_TYPE_LOCAL = 1 << 21;
export const DYNPTR_TYPE_RINGBUF = 1 << 22;
export const DYNPTR_TYPE_SKB = 1 << 23;
export const DYNPTR_TYPE_XDP = 1 << 24;
export const DYNPTR_TYPE_SKB_META = 1 << 25;
export const DYNPTR_TYPE_FILE = 1 << 26;

/** A base type with its modifiers. */
export type RegType = number;

const BASE = 0xff;

export function baseType(type: RegType): number {
  return type & BASE;
}

export function typeFlags(type: RegType): number {
  return type & ~BASE;
}

export function mayBeNull(type: RegType): boolean {
  return (type & PTR_MAYBE_NULL) !== 0;
}

/** Names of the base types in the log; a BTF pointer's name goes on with its struct's. */
const BASE_NAMES: Readonly<Record<number, string>> = {
  [NOT_INIT]: '?',
  [SCALAR]: 'scalar',
  [PTR_TO_CTX]: 'ctx',
  [CONST_PTR_TO_MAP]: 'map_ptr',
  [PTR_TO_MAP_VALUE]: 'map_value',
  [PTR_TO_MAP_KEY]: 'map_key',
  [PTR_TO_STACK]: 'fp',
  [PTR_TO_PACKET_META]: 'pkt_meta',
  [PTR_TO_PACKET]: 'pkt',
  [PTR_TO_PACKET_END]: 'pkt_end',
  [PTR_TO_FLOW_KEYS]: 'flow_keys',
  [PTR_TO_SOCKET]: 'sock',
  [PTR_TO_SOCK_COMMON]: 'sock_common',
  [PTR_TO_TCP_SOCK]: 'tcp_sock',
  [PTR_TO_TP_BUFFER]: 'tp_buffer',
  [PTR_TO_XDP_SOCK]: 'xdp_sock',
  [PTR_TO_BTF_ID]: 'ptr_',
  [PTR_TO_MEM]: 'mem',
  [PTR_TO_ARENA]: 'arena',
  [PTR_TO_BUF]: 'buf',
  [PTR_TO_FUNC]: 'func',
  [CONST_PTR_TO_DYNPTR]: 'dynptr_ptr',
};

/** Modifiers that the log writes before the base name, in its order. */
const PREFIXES: readonly (readonly [number, string])[] = [
  [MEM_RDONLY, 'rdonly_'],
  [MEM_RINGBUF, 'ringbuf_'],
  [MEM_USER, 'user_'],
  [MEM_PERCPU, 'percpu_'],
  [MEM_RCU, 'rcu_'],
  [PTR_UNTRUSTED, 'untrusted_'],
  [PTR_TRUSTED, 'trusted_'],
];

/** The type as the log spells it (`rdonly_mem_or_null`). */
export function regTypeName(type: RegType): string {
  const base = baseType(type);
  const prefix = PREFIXES.map(([flag, name]) => ((type & flag) !== 0 ? name : '')).join('');
  const postfix = mayBeNull(type) ? (base === PTR_TO_BTF_ID ? 'or_null_' : '_or_null') : '';
  return `${prefix}${BASE_NAMES[base] ?? '?'}${postfix}`;
}
