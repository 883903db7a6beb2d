import type { LinkType } from './linktype.ts';

/** Where packets were captured. A pcap file has one interface, a pcapng section any number. */
export interface CaptureInterface {
  /** Counts over the whole file from 0; in a pcapng file of several sections it differs from the section's own id. */
  readonly id: number;
  readonly linkType: LinkType;
  /** Most bytes kept of a packet; 0 means no limit. */
  readonly snapLength: number;
  /** Ticks of a time stamp in a second: 1000000, 1000000000, or what `if_tsresol` says. */
  readonly ticksPerSecond: bigint;
  /** Bytes of frame check sequence behind each packet, where the file says so. */
  readonly fcsLength?: number;
  readonly name?: string;
  readonly description?: string;
}

/** One captured packet. */
export interface Packet {
  /** Counts packets from 1, as capture tools show them. */
  readonly number: number;
  /** The captured bytes: a window on what was fed, valid as long as that is. */
  readonly data: Uint8Array;
  /** Bytes that the packet had on the wire. */
  readonly originalLength: number;
  /** Whole seconds since 1970, negative before it. */
  readonly seconds: number;
  /** 0 to 999999999. */
  readonly nanoseconds: number;
  readonly interface: CaptureInterface;
  readonly comment?: string;
  /** `epb_flags`: direction, reception type, FCS length and link errors, where the file has them. */
  readonly flags?: number;
}

/** The time stamp in nanoseconds since 1970. */
export function timestamp(packet: Pick<Packet, 'seconds' | 'nanoseconds'>): bigint {
  return BigInt(packet.seconds) * 1_000_000_000n + BigInt(packet.nanoseconds);
}

/** The two file formats. */
export type CaptureFormat = 'pcap' | 'pcapng';

/** Largest captured length that a packet of any link type but USB and D-Bus may have (libpcap's limit). */
export const MAX_PACKET = 262_144;

/** The same for link types that carry whole transfers. */
export const MAX_TRANSFER = 128 * 1024 * 1024;

const TRANSFERS: readonly string[] = [
  'USB_FREEBSD',
  'USB_LINUX',
  'USB_LINUX_MMAPPED',
  'USBPCAP',
  'DBUS',
  'EBHSCR',
];

/** Most bytes that a packet of a link type can have. */
export function packetLimit(type: LinkType): number {
  return TRANSFERS.includes(type.name) ? MAX_TRANSFER : MAX_PACKET;
}
