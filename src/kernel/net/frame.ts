/** What the kernel reads off a received Ethernet frame. */
import type { NetDevice } from './device.ts';

const ETH_P_802_3 = 0x0001;
const ETH_P_802_2 = 0x0004;
const ETH_P_802_3_MIN = 0x0600;

/** `pkt_type` of an skb. @see include/uapi/linux/if_packet.h */
const PACKET_HOST = 0;
const PACKET_BROADCAST = 1;
const PACKET_MULTICAST = 2;
export const PACKET_OTHERHOST = 3;

/** What an Ethernet frame carries. @see net/ethernet/eth.c, eth_type_trans */
export function frameProtocol(frame: Uint8Array): number {
  const type = (frame[12]! << 8) | frame[13]!;
  if (type >= ETH_P_802_3_MIN) return type;
  return frame[14] === 0xff && frame[15] === 0xff ? ETH_P_802_3 : ETH_P_802_2;
}

/** Whom the frame is for, as the device sees it. The loopback device's broadcast address is all zero. */
export function packetType(frame: Uint8Array, device: NetDevice): number {
  const to = frame.subarray(0, 6);
  if (to.every((byte, i) => byte === device.address[i])) return PACKET_HOST;
  if ((to[0]! & 1) === 0) return PACKET_OTHERHOST;
  const broadcast = device.name === 'lo' ? 0x00 : 0xff;
  return to.every((byte) => byte === broadcast) ? PACKET_BROADCAST : PACKET_MULTICAST;
}

/** FNV-1a: a hash of the packet's first bytes, never 0. */
export function flowHash(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0 || 1;
}
