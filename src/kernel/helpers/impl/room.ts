/** Room in the headers of a packet, and its network protocol. @see net/core/filter.c, bpf_skb_adjust_room and behind it */
import type { HelperImpl } from '../../interpreter/environment.ts';
import type { SkBuff } from '../../net/sk-buff.ts';
import { skb } from './skb.ts';
import { err, s32, u16, u32 } from './values.ts';

const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
/** Bytes of a network header without options, by protocol. */
const HEADER: Readonly<Record<number, number>> = { [ETH_P_IP]: 20, [ETH_P_IPV6]: 40 };
const ETH_HLEN = 14;
const MAX_LEN = 16384 - 320;
const MAX_CHANGE = 0xfff;

const NET = 0;
const MAC = 1;
const FIXED_GSO = 1n;
const ENCAP_IPV4 = 2n;
const ENCAP_IPV6 = 4n;
const ENCAP_GRE = 8n;
const ENCAP_UDP = 16n;
const NO_CSUM_RESET = 32n;
const ENCAP_ETH = 64n;
const DECAP_IPV4 = 128n;
const DECAP_IPV6 = 256n;
const INNER_MAC_SHIFT = 56n;
const KNOWN =
  FIXED_GSO |
  ENCAP_IPV4 |
  ENCAP_IPV6 |
  ENCAP_GRE |
  ENCAP_UDP |
  NO_CSUM_RESET |
  ENCAP_ETH |
  DECAP_IPV4 |
  DECAP_IPV6 |
  (0xffn << INNER_MAC_SHIFT);

export const skb_adjust_room: HelperImpl = (run, context, difference, mode, flags) => {
  const packet = skb(run, context);
  const change = s32(difference);
  const bytes = Math.abs(change);
  if (run.program.type === 'sk_skb') return adjustStream(packet, change, u32(mode), flags);
  if (flags & ~KNOWN) return err('EINVAL');
  if (bytes > MAX_CHANGE) return err('EFAULT');
  const base = HEADER[packet.protocol];
  if (base === undefined) return err('ENOTSUPP');
  if (u32(mode) !== NET && u32(mode) !== MAC) return err('ENOTSUPP');
  const offset = packet.linkHeaderLength + (u32(mode) === NET ? base : 0);
  let least = base;
  const decap = flags & (DECAP_IPV4 | DECAP_IPV6);
  if (decap !== 0n) {
    if (change >= 0 || decap === (DECAP_IPV4 | DECAP_IPV6)) return err('EINVAL');
    least = decap === DECAP_IPV4 ? HEADER[ETH_P_IP]! : HEADER[ETH_P_IPV6]!;
  }
  const now = packet.len - packet.networkOffset;
  if (change < 0 ? bytes >= now || now - bytes < least : packet.len + bytes > MAX_LEN && !packet.isGso) {
    return err('ENOTSUPP');
  }
  const status = change < 0 ? shrink(packet, offset, bytes, flags) : grow(packet, offset, bytes, flags);
  if (status === 0 && (flags & NO_CSUM_RESET) === 0n) packet.csumLevel(3n);
  packet.refresh();
  return status;
};

function grow(packet: SkBuff, offset: number, bytes: number, flags: bigint): number {
  const encap = (flags & (ENCAP_IPV4 | ENCAP_IPV6)) !== 0n;
  const innerMac = Number((flags >> INNER_MAC_SHIFT) & 0xffn);
  if (encap) {
    if ((flags & ENCAP_IPV4) !== 0n && (flags & ENCAP_IPV6) !== 0n) return err('EINVAL');
    if ((flags & ENCAP_GRE) !== 0n && (flags & ENCAP_UDP) !== 0n) return err('EINVAL');
    if ((flags & ENCAP_ETH) !== 0n && innerMac < ETH_HLEN) return err('EINVAL');
    if (packet.encapsulated) return err('EALREADY');
    if (innerMac > bytes) return err('EINVAL');
  }
  packet.insertHeader(offset, bytes);
  if (encap) {
    packet.encapsulated = true;
    packet.protocol = (flags & ENCAP_IPV6) !== 0n ? ETH_P_IPV6 : ETH_P_IP;
  }
  return 0;
}

function shrink(packet: SkBuff, offset: number, bytes: number, flags: bigint): number {
  if (flags & ~(FIXED_GSO | DECAP_IPV4 | DECAP_IPV6 | NO_CSUM_RESET)) return err('EINVAL');
  if (!packet.removeHeader(offset, bytes)) return err('ENOMEM');
  if ((flags & DECAP_IPV6) !== 0n) packet.protocol = ETH_P_IPV6;
  else if ((flags & DECAP_IPV4) !== 0n) packet.protocol = ETH_P_IP;
  return 0;
}

/** Of a stream there is only the front. */
function adjustStream(packet: SkBuff, change: number, mode: number, flags: bigint): number {
  if (flags !== 0n || mode !== 0) return err('EINVAL');
  if (Math.abs(change) > MAX_CHANGE) return err('EFAULT');
  if (change >= 0) packet.insertHeader(0, change);
  else if (!packet.removeHeader(0, -change)) return err('ENOMEM');
  packet.refresh();
  return 0;
}

const DIFFERENCE = 20;

export const skb_change_proto: HelperImpl = (run, context, protocol, flags) => {
  if (flags !== 0n) return err('EINVAL');
  const packet = skb(run, context);
  const wanted = u16(protocol);
  const to = ((wanted & 0xff) << 8) | (wanted >> 8);
  const from = packet.protocol;
  let status = err('ENOTSUPP');
  if (from === ETH_P_IP && to === ETH_P_IPV6) {
    packet.insertHeader(packet.linkHeaderLength, DIFFERENCE);
    status = 0;
  } else if (from === ETH_P_IPV6 && to === ETH_P_IP) {
    status = packet.removeHeader(packet.linkHeaderLength, DIFFERENCE) ? 0 : err('ENOMEM');
  }
  if (status === 0) {
    packet.protocol = to;
    packet.clearHash();
  }
  packet.refresh();
  return status;
};

/** Clocks that a time of sending may be of: `BPF_SKB_CLOCK_*`. */
const CLOCKS = 2;

export const skb_set_tstamp: HelperImpl = (run, context, time, type) => {
  const packet = skb(run, context);
  if (HEADER[packet.protocol] === undefined) return err('EOPNOTSUPP');
  const clock = u32(type);
  if (clock > CLOCKS || (clock !== 0 && time === 0n)) return err('EINVAL');
  packet.setTimestamp(time, clock);
  return 0;
};

/** Both bits of congestion: the packet has met some. */
const CONGESTION = 3;

/** @returns 1 when the packet says so now, 0 when its sender does not take part */
export const skb_ecn_set_ce: HelperImpl = (run, context) => {
  const packet = skb(run, context);
  const protocol = packet.networkProtocol();
  const header = HEADER[protocol];
  if (header === undefined) return 0;
  return packet.markCongestion(protocol === ETH_P_IPV6, header, CONGESTION) ? 1 : 0;
};
