import { concatBytes } from '../base/bytes.ts';
import { InputError } from '../base/error.ts';
import { ETHERNET, type LinkType } from './linktype.ts';
import { type CaptureFormat, type CaptureInterface, MAX_PACKET, type Packet } from './packet.ts';
import { FILE_HEADER, PCAP_MAGIC, RECORD_HEADER } from './pcap.ts';
import { BLOCK, BYTE_ORDER_MAGIC, OPTION } from './pcapng.ts';

/** What a written interface is; everything but the link type may be left out. */
export interface InterfaceOptions {
  readonly linkType?: LinkType;
  /** Default 262144. */
  readonly snapLength?: number;
  /** Default microseconds. */
  readonly resolution?: 'us' | 'ns';
  /** Kept by pcapng only. */
  readonly name?: string;
  readonly description?: string;
}

export interface CaptureWriterOptions extends InterfaceOptions {
  /** Default pcap. */
  readonly format?: CaptureFormat;
  /** Default little-endian. */
  readonly littleEndian?: boolean;
}

/** A packet to write. Interface, comment and flags are kept by pcapng only. */
export interface PacketToWrite {
  readonly data: Uint8Array;
  /** Default the data's length. */
  readonly originalLength?: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  /** As {@link CaptureWriter.addInterface} numbered it; default the first. */
  readonly interfaceId?: number;
  readonly comment?: string;
  readonly flags?: number;
}

/**
 * Writes a capture record by record; the caller puts the bytes where they belong, one behind the other.
 *
 * Throws `InputError` for a packet that the format cannot hold (a time before 1970 or past the field's range).
 */
export class CaptureWriter {
  readonly #format: CaptureFormat;
  readonly #little: boolean;
  readonly #ticks: ('us' | 'ns')[] = [];
  readonly #options: CaptureWriterOptions;

  constructor(options: CaptureWriterOptions = {}) {
    this.#options = options;
    this.#format = options.format ?? 'pcap';
    this.#little = options.littleEndian ?? true;
  }

  /** The bytes that a file begins with, the first interface's description included. */
  header(): Uint8Array {
    if (this.#format === 'pcapng') {
      const section = this.#block(BLOCK.sectionHeader, 16, (view) => {
        view.setUint32(8, BYTE_ORDER_MAGIC, this.#little);
        view.setUint16(12, 1, this.#little);
        view.setUint16(14, 0, this.#little);
        view.setBigInt64(16, -1n, this.#little);
      });
      const first = this.addInterface(this.#options).bytes;
      return concatBytes([section, first]);
    }
    const resolution = this.#options.resolution ?? 'us';
    this.#ticks.push(resolution);
    const bytes = new Uint8Array(FILE_HEADER);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, PCAP_MAGIC[resolution], this.#little);
    view.setUint16(4, 2, this.#little);
    view.setUint16(6, 4, this.#little);
    view.setUint32(16, this.#options.snapLength ?? MAX_PACKET, this.#little);
    view.setUint32(20, (this.#options.linkType ?? ETHERNET).id, this.#little);
    return bytes;
  }

  /** Describes one more interface (pcapng). */
  addInterface(options: InterfaceOptions): { readonly id: number; readonly bytes: Uint8Array } {
    if (this.#format !== 'pcapng') {
      throw new InputError(
        'pcap-interface',
        'writing a capture: pcap holds one interface; write pcapng for more',
      );
    }
    const encoder = new TextEncoder();
    const resolution = options.resolution ?? 'us';
    const list: Option[] = [];
    if (options.name !== undefined) list.push([OPTION.name, encoder.encode(options.name)]);
    if (options.description !== undefined) {
      list.push([OPTION.description, encoder.encode(options.description)]);
    }
    if (resolution === 'ns') list.push([OPTION.tsresol, Uint8Array.of(9)]);
    const bytes = this.#block(BLOCK.interfaceDescription, 8 + optionsSize(list), (view) => {
      view.setUint16(8, (options.linkType ?? ETHERNET).id, this.#little);
      view.setUint32(12, options.snapLength ?? MAX_PACKET, this.#little);
      this.#putOptions(view, 16, list);
    });
    const id = this.#ticks.length;
    this.#ticks.push(resolution);
    return { id, bytes };
  }

  /** The bytes of one packet's record. */
  packet(packet: PacketToWrite): Uint8Array {
    return this.#format === 'pcap' ? this.#record(packet) : this.#enhanced(packet);
  }

  #record(packet: PacketToWrite): Uint8Array {
    const { data, seconds, nanoseconds } = packet;
    if (seconds < 0 || seconds > 0xffff_ffff) {
      throw new InputError(
        'pcap-time',
        `writing a packet: its time, ${seconds} s since 1970, does not fit pcap's 32 bits; write pcapng`,
      );
    }
    const bytes = new Uint8Array(RECORD_HEADER + data.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, seconds, this.#little);
    view.setUint32(4, this.#ticks[0] === 'ns' ? nanoseconds : Math.floor(nanoseconds / 1000), this.#little);
    view.setUint32(8, data.length, this.#little);
    view.setUint32(12, packet.originalLength ?? data.length, this.#little);
    bytes.set(data, RECORD_HEADER);
    return bytes;
  }

  #enhanced(packet: PacketToWrite): Uint8Array {
    const { data, seconds, nanoseconds } = packet;
    const id = packet.interfaceId ?? 0;
    const resolution = this.#ticks[id];
    if (resolution === undefined) {
      throw new InputError(
        'pcap-interface',
        `writing a packet: interface ${id} has not been described; ${this.#ticks.length} have`,
      );
    }
    const perSecond = resolution === 'ns' ? 1_000_000_000n : 1_000_000n;
    const fraction = resolution === 'ns' ? nanoseconds : Math.floor(nanoseconds / 1000);
    const ticks = BigInt(seconds) * perSecond + BigInt(fraction);
    if (ticks < 0n || ticks >> 64n !== 0n) {
      throw new InputError(
        'pcap-time',
        `writing a packet: its time, ${seconds} s since 1970, does not fit 64 bits`,
      );
    }
    const list: Option[] = [];
    if (packet.comment !== undefined) list.push([OPTION.comment, new TextEncoder().encode(packet.comment)]);
    if (packet.flags !== undefined) {
      const value = new Uint8Array(4);
      new DataView(value.buffer).setUint32(0, packet.flags, this.#little);
      list.push([OPTION.flags, value]);
    }
    const padded = (data.length + 3) & ~3;
    return this.#block(BLOCK.enhancedPacket, 20 + padded + optionsSize(list), (view, bytes) => {
      view.setUint32(8, id, this.#little);
      view.setUint32(12, Number(ticks >> 32n), this.#little);
      view.setUint32(16, Number(ticks & 0xffff_ffffn), this.#little);
      view.setUint32(20, data.length, this.#little);
      view.setUint32(24, packet.originalLength ?? data.length, this.#little);
      bytes.set(data, 28);
      this.#putOptions(view, 28 + padded, list);
    });
  }

  /** A block with a body of `size` bytes, which `fill` writes at offset 8. */
  #block(type: number, size: number, fill: (view: DataView, bytes: Uint8Array) => void): Uint8Array {
    const bytes = new Uint8Array(size + 12);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, type, this.#little);
    view.setUint32(4, bytes.length, this.#little);
    view.setUint32(bytes.length - 4, bytes.length, this.#little);
    fill(view, bytes);
    return bytes;
  }

  #putOptions(view: DataView, at: number, list: readonly Option[]): void {
    let place = at;
    for (const [code, value] of list) {
      view.setUint16(place, code, this.#little);
      view.setUint16(place + 2, value.length, this.#little);
      new Uint8Array(view.buffer).set(value, place + 4);
      place += 4 + ((value.length + 3) & ~3);
    }
  }
}

type Option = readonly [code: number, value: Uint8Array];

/** Bytes of the options with the end mark, or none when there are none. */
function optionsSize(list: readonly Option[]): number {
  let size = list.length === 0 ? 0 : 4;
  for (const [, value] of list) size += 4 + ((value.length + 3) & ~3);
  return size;
}

/** A whole capture in memory, its interface as in the packets' first. */
export function writeCapture(packets: Iterable<Packet>, options: CaptureWriterOptions = {}): Uint8Array {
  const parts: Uint8Array[] = [];
  let writer: CaptureWriter | undefined;
  const numbers = new Map<CaptureInterface, number>();
  for (const packet of packets) {
    const source = packet.interface;
    const described: InterfaceOptions = {
      linkType: source.linkType,
      snapLength: source.snapLength,
      resolution: source.ticksPerSecond > 1_000_000n ? 'ns' : 'us',
      ...(source.name === undefined ? {} : { name: source.name }),
      ...(source.description === undefined ? {} : { description: source.description }),
    };
    if (writer === undefined) {
      writer = new CaptureWriter({ ...described, ...options });
      parts.push(writer.header());
      numbers.set(source, 0);
    }
    let interfaceId = numbers.get(source);
    if (interfaceId === undefined) {
      const added = writer.addInterface(described);
      parts.push(added.bytes);
      numbers.set(source, added.id);
      interfaceId = added.id;
    }
    parts.push(writer.packet({ ...packet, interfaceId }));
  }
  if (writer === undefined) parts.push(new CaptureWriter(options).header());
  return concatBytes(parts);
}
