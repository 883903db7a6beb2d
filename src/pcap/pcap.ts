/**
 * The classic capture format: one header, then packets of one interface.
 *
 * Reads and writes both byte orders, microseconds and nanoseconds. Does not read the variants with longer record
 * headers that some systems wrote before 2000; it names them.
 *
 * @see draft-ietf-opsawg-pcap, "PCAP Capture File Format"
 */
import { InputError } from '../base/error.ts';
import type { ChunkQueue } from './chunks.ts';
import { linkType } from './linktype.ts';
import { type CaptureFormat, type CaptureInterface, type Packet, packetLimit } from './packet.ts';

export const PCAP_MAGIC = { us: 0xa1b2c3d4, ns: 0xa1b23c4d } as const;
export const FILE_HEADER = 24;
export const RECORD_HEADER = 16;

/** What a decoder says when it needs more bytes: how many, for what. */
export interface Wanted {
  readonly item: string;
  readonly size: number;
}

/** How the records that come next are laid out: what finding packets in them takes. */
export interface RecordLayout {
  readonly format: CaptureFormat;
  readonly littleEndian: boolean;
  /** By the number that records name them by. */
  readonly interfaces: readonly CaptureInterface[];
}

/** Reads the records of one format from a queue. */
export interface CaptureDecoder {
  readonly interfaces: readonly CaptureInterface[];
  /** Known once there is an interface. */
  readonly layout: RecordLayout | undefined;
  /** What the last call of `next` that gave nothing waits for. */
  readonly wanted: Wanted | undefined;
  /** The next packet, or `undefined` until more bytes have come. */
  next(queue: ChunkQueue): Packet | undefined;
  /** Counts packets, a record each, that somebody else took from the queue. */
  passed(packets: number): void;
}

/** The low 16 bits are the link type; the top four count the frame check sequence's 16-bit words when bit 26 is set. */
function fcsLength(field: number): number | undefined {
  return (field & 0x0400_0000) === 0 ? undefined : (field >>> 28) * 2;
}

export class PcapDecoder implements CaptureDecoder {
  readonly interfaces: CaptureInterface[] = [];
  wanted: Wanted | undefined;
  readonly #name: string;
  readonly #littleEndian: boolean;
  readonly #nanosecondsPerTick: number;
  #limit = 0;
  #number = 0;

  /** @param name of the file, for messages */
  constructor(name: string, littleEndian: boolean, resolution: 'us' | 'ns') {
    this.#name = name;
    this.#littleEndian = littleEndian;
    this.#nanosecondsPerTick = resolution === 'ns' ? 1 : 1000;
  }

  next(queue: ChunkQueue): Packet | undefined {
    const source = this.interfaces[0] ?? this.#header(queue);
    if (source === undefined) return undefined;
    if (!queue.ensure(RECORD_HEADER)) return this.#want('header', RECORD_HEADER);
    const little = this.#littleEndian;
    const captured = queue.view.getUint32(queue.position + 8, little);
    if (captured > this.#limit) {
      throw new InputError(
        'pcap-length',
        `${this.#name}: packet ${this.#number + 1} at offset ${queue.offset} claims ${captured} captured bytes, ` +
          `but a packet of link type ${source.linkType.name} has at most ${this.#limit}`,
      );
    }
    if (!queue.ensure(RECORD_HEADER + captured)) return this.#want('data', RECORD_HEADER + captured);
    const { view, position, bytes } = queue;
    const fraction = view.getUint32(position + 4, little) * this.#nanosecondsPerTick;
    const carry = fraction < 1e9 ? 0 : Math.floor(fraction / 1e9);
    const start = position + RECORD_HEADER;
    queue.skip(RECORD_HEADER + captured);
    this.#number++;
    return {
      number: this.#number,
      data: bytes.subarray(start, start + captured),
      originalLength: view.getUint32(position + 12, little),
      seconds: view.getUint32(position, little) + carry,
      nanoseconds: fraction - carry * 1e9,
      interface: source,
    };
  }

  get layout(): RecordLayout | undefined {
    if (this.interfaces.length === 0) return undefined;
    return { format: 'pcap', littleEndian: this.#littleEndian, interfaces: this.interfaces };
  }

  passed(packets: number): void {
    this.#number += packets;
  }

  #want(part: string, size: number): undefined {
    this.wanted = { item: `packet ${this.#number + 1} (its ${part})`, size };
    return undefined;
  }

  #header(queue: ChunkQueue): CaptureInterface | undefined {
    if (!queue.ensure(FILE_HEADER)) {
      this.wanted = { item: 'the file header', size: FILE_HEADER };
      return undefined;
    }
    const { view, position } = queue;
    const little = this.#littleEndian;
    const major = view.getUint16(position + 4, little);
    const minor = view.getUint16(position + 6, little);
    if (major !== 2 || minor < 3) {
      throw new InputError(
        'pcap-version',
        `${this.#name}: the file header says pcap version ${major}.${minor}, and only 2.3 and 2.4 are known`,
      );
    }
    const field = view.getUint32(position + 20, little);
    const fcs = fcsLength(field);
    const source: CaptureInterface = {
      id: 0,
      linkType: linkType(field & 0xffff, `${this.#name}: file header, offset 20`),
      snapLength: view.getUint32(position + 16, little),
      ticksPerSecond: this.#nanosecondsPerTick === 1 ? 1_000_000_000n : 1_000_000n,
      ...(fcs === undefined ? {} : { fcsLength: fcs }),
    };
    this.#limit = packetLimit(source.linkType);
    this.interfaces.push(source);
    queue.skip(FILE_HEADER);
    return source;
  }
}
