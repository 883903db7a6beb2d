/**
 * The newer capture format: blocks, in sections of either byte order, of any number of interfaces.
 *
 * Reads section headers, interface descriptions, and enhanced, simple and obsolete packet blocks. Every other block
 * (name resolution, statistics, secrets, custom ones) is skipped, as the specification asks.
 *
 * @see draft-ietf-opsawg-pcapng, "PCAP Now Generic Capture File Format"
 */
import { InputError } from '../base/error.ts';
import type { ChunkQueue } from './chunks.ts';
import { linkType } from './linktype.ts';
import { type CaptureInterface, MAX_TRANSFER, type Packet, packetLimit } from './packet.ts';
import type { CaptureDecoder, RecordLayout, Wanted } from './pcap.ts';

export const BLOCK = {
  sectionHeader: 0x0a0d0d0a,
  interfaceDescription: 1,
  /** The obsolete packet block. */
  packet: 2,
  simplePacket: 3,
  enhancedPacket: 6,
} as const;
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
export const OPTION = {
  comment: 1,
  /** In an interface description. */
  name: 2,
  description: 3,
  tsresol: 9,
  fcslen: 13,
  tsoffset: 14,
  /** In an enhanced packet block. */
  flags: 2,
} as const;

/** Block type, total length, and the total length again at the end. */
const BLOCK_FRAME = 12;
const MAX_BLOCK = MAX_TRANSFER + 65_536;
const decoder = new TextDecoder();

/** How an interface's time stamps become seconds and nanoseconds. */
interface Clock {
  readonly ticksPerSecond: bigint;
  /** Seconds to add. */
  readonly offset: number;
}

export class PcapngDecoder implements CaptureDecoder {
  readonly interfaces: CaptureInterface[] = [];
  wanted: Wanted | undefined;
  readonly #name: string;
  /** Interfaces of the current section, by the section's own numbers. */
  #section: { readonly source: CaptureInterface; readonly clock: Clock }[] = [];
  #littleEndian = true;
  #blocks = 0;
  #number = 0;

  /** @param name of the file, for messages */
  constructor(name: string) {
    this.#name = name;
  }

  get layout(): RecordLayout | undefined {
    if (this.#section.length === 0) return undefined;
    const interfaces = this.#section.map(({ source }) => source);
    return { format: 'pcapng', littleEndian: this.#littleEndian, interfaces };
  }

  passed(packets: number): void {
    this.#number += packets;
    this.#blocks += packets;
  }

  next(queue: ChunkQueue): Packet | undefined {
    for (;;) {
      if (!queue.ensure(8)) return this.#want('its header', 8);
      const little = this.#order(queue);
      if (little === undefined) return this.#want('its byte order', 12);
      const type = queue.view.getUint32(queue.position, little);
      const size = queue.view.getUint32(queue.position + 4, little);
      if (size < BLOCK_FRAME || size % 4 !== 0 || size > MAX_BLOCK) {
        throw this.#fail(
          queue.offset,
          'pcap-length',
          `claims a total length of ${size}, which is not a multiple of 4 from ${BLOCK_FRAME} to ${MAX_BLOCK}`,
        );
      }
      if (!queue.ensure(size)) return this.#want('its body', size);
      const { view, position, bytes } = queue;
      const offset = queue.offset;
      const trailer = view.getUint32(position + size - 4, little);
      if (trailer !== size) {
        throw this.#fail(
          offset,
          'pcap-length',
          `begins with the total length ${size} and ends with ${trailer}`,
        );
      }
      const block = new Block(bytes, view, position, size, offset, little);
      queue.skip(size);
      const packet = this.#block(type, block);
      this.#blocks++;
      if (packet !== undefined) return packet;
    }
  }

  /** Byte order of the next block, which a section header sets; `undefined` until its magic has arrived. */
  #order(queue: ChunkQueue): boolean | undefined {
    if (queue.view.getUint32(queue.position, true) !== BLOCK.sectionHeader) return this.#littleEndian;
    if (!queue.ensure(12)) return undefined;
    const magic = queue.view.getUint32(queue.position + 8, true);
    if (magic === BYTE_ORDER_MAGIC) this.#littleEndian = true;
    else if (queue.view.getUint32(queue.position + 8, false) === BYTE_ORDER_MAGIC) this.#littleEndian = false;
    else {
      throw this.#fail(
        queue.offset,
        'pcap-magic',
        `is a section header with the byte-order magic 0x${magic.toString(16)}, which is neither order's`,
      );
    }
    return this.#littleEndian;
  }

  #want(part: string, size: number): undefined {
    this.wanted = { item: `block ${this.#blocks + 1} (${part})`, size };
    return undefined;
  }

  #fail(offset: number, code: string, problem: string): InputError {
    return new InputError(code, `${this.#name}: block ${this.#blocks + 1} at offset ${offset} ${problem}`);
  }

  #block(type: number, block: Block): Packet | undefined {
    switch (type) {
      case BLOCK.sectionHeader: {
        this.#need(block, 16);
        const major = block.u16(4);
        if (major !== 1) {
          throw this.#fail(
            block.offset,
            'pcap-version',
            `says pcapng version ${major}.${block.u16(6)}, not 1.x`,
          );
        }
        this.#section = [];
        return undefined;
      }
      case BLOCK.interfaceDescription:
        this.#interface(block);
        return undefined;
      case BLOCK.enhancedPacket: {
        this.#need(block, 20);
        return this.#packet(block, {
          id: block.u32(0),
          high: block.u32(4),
          low: block.u32(8),
          captured: block.u32(12),
          original: block.u32(16),
          dataAt: 20,
          flagsOption: OPTION.flags,
        });
      }
      case BLOCK.packet: {
        this.#need(block, 20);
        return this.#packet(block, {
          id: block.u16(0),
          high: block.u32(4),
          low: block.u32(8),
          captured: block.u32(12),
          original: block.u32(16),
          dataAt: 20,
          flagsOption: OPTION.flags,
        });
      }
      case BLOCK.simplePacket: {
        this.#need(block, 4);
        const original = block.u32(0);
        const snap = this.#section[0]?.source.snapLength ?? 0;
        const room = block.length - 4;
        const captured = Math.min(original, snap === 0 ? original : snap, room);
        return this.#packet(block, { id: 0, high: 0, low: 0, captured, original, dataAt: 4 });
      }
      default:
        return undefined;
    }
  }

  #need(block: Block, size: number): void {
    if (block.length < size) {
      throw this.#fail(
        block.offset,
        'pcap-length',
        `has a body of ${block.length} bytes where ${size} are needed`,
      );
    }
  }

  #interface(block: Block): void {
    this.#need(block, 8);
    let ticksPerSecond = 1_000_000n;
    let offset = 0;
    const more: { name?: string; description?: string; fcsLength?: number } = {};
    for (const [code, value] of this.#options(block, 8)) {
      if (code === OPTION.name) more.name = text(value);
      else if (code === OPTION.description) more.description = text(value);
      else if (code === OPTION.tsresol && value.length >= 1) ticksPerSecond = resolution(value[0]!);
      else if (code === OPTION.fcslen && value.length >= 1) more.fcsLength = value[0]!;
      else if (code === OPTION.tsoffset && value.length >= 8) {
        const view = new DataView(value.buffer, value.byteOffset, 8);
        offset = Number(view.getBigInt64(0, this.#littleEndian));
      }
    }
    const source: CaptureInterface = {
      id: this.interfaces.length,
      linkType: linkType(
        block.u16(0),
        `${this.#name}: block ${this.#blocks + 1} at offset ${block.offset} (interface ${this.#section.length})`,
      ),
      snapLength: block.u32(4),
      ticksPerSecond,
      ...more,
    };
    this.interfaces.push(source);
    this.#section.push({ source, clock: { ticksPerSecond, offset } });
  }

  #packet(block: Block, fields: PacketFields): Packet {
    const number = this.#number + 1;
    const itf = this.#section[fields.id];
    if (itf === undefined) {
      throw this.#fail(
        block.offset,
        'pcap-interface',
        `(packet ${number}) names interface ${fields.id}, but its section has described ${this.#section.length}`,
      );
    }
    const room = block.length - fields.dataAt;
    const limit = packetLimit(itf.source.linkType);
    if (fields.captured > room || fields.captured > limit) {
      throw this.#fail(
        block.offset,
        'pcap-length',
        `(packet ${number}) claims ${fields.captured} captured bytes, but ` +
          (fields.captured > room ? `the block has room for ${room}` : `a packet has at most ${limit}`),
      );
    }
    const more: { comment?: string; flags?: number } = {};
    if (fields.flagsOption !== undefined) {
      for (const [code, value] of this.#options(block, fields.dataAt + pad4(fields.captured))) {
        if (code === OPTION.comment) more.comment ??= text(value);
        else if (code === fields.flagsOption && value.length >= 4) {
          more.flags = new DataView(value.buffer, value.byteOffset, 4).getUint32(0, this.#littleEndian);
        }
      }
    }
    this.#number = number;
    return {
      number,
      data: block.bytes(fields.dataAt, fields.captured),
      originalLength: fields.original,
      ...time(fields.high, fields.low, itf.clock),
      interface: itf.source,
      ...more,
    };
  }

  /** The options from `at` to the end of the block or the end-of-options mark. */
  *#options(block: Block, at: number): Generator<readonly [code: number, value: Uint8Array]> {
    for (let place = at; place + 4 <= block.length; ) {
      const code = block.u16(place);
      const size = block.u16(place + 2);
      if (code === 0) return;
      if (place + 4 + size > block.length) {
        throw this.#fail(
          block.offset,
          'pcap-option',
          `has an option ${code} of ${size} bytes at offset ${block.offset + 8 + place} that leaves the block`,
        );
      }
      yield [code, block.bytes(place + 4, size)];
      place += 4 + pad4(size);
    }
  }
}

interface PacketFields {
  readonly id: number;
  readonly high: number;
  readonly low: number;
  readonly captured: number;
  readonly original: number;
  readonly dataAt: number;
  readonly flagsOption?: number;
}

/** One whole block; offsets count from the first byte of its body. */
class Block {
  /** Bytes of the body. */
  readonly length: number;
  /** Of the block, in the file. */
  readonly offset: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #start: number;
  readonly #littleEndian: boolean;

  constructor(
    bytes: Uint8Array,
    view: DataView,
    position: number,
    size: number,
    offset: number,
    littleEndian: boolean,
  ) {
    this.#bytes = bytes;
    this.#view = view;
    this.#start = position + 8;
    this.length = size - BLOCK_FRAME;
    this.offset = offset;
    this.#littleEndian = littleEndian;
  }

  u16(at: number): number {
    return this.#view.getUint16(this.#start + at, this.#littleEndian);
  }
  u32(at: number): number {
    return this.#view.getUint32(this.#start + at, this.#littleEndian);
  }
  bytes(at: number, size: number): Uint8Array {
    return this.#bytes.subarray(this.#start + at, this.#start + at + size);
  }
}

function pad4(size: number): number {
  return (size + 3) & ~3;
}

function text(value: Uint8Array): string {
  return decoder.decode(value);
}

/** Ticks per second: a negative power of ten, or of two when the top bit is set. */
function resolution(value: number): bigint {
  return value & 0x80 ? 2n ** BigInt(value & 0x7f) : 10n ** BigInt(value);
}

function time(high: number, low: number, clock: Clock): { seconds: number; nanoseconds: number } {
  // Microseconds since 1970 fit a double exactly until the year 2255; everything else takes the long way.
  if (clock.ticksPerSecond === 1_000_000n && high < 0x20_0000) {
    const ticks = high * 0x1_0000_0000 + low;
    const seconds = Math.floor(ticks / 1e6);
    return { seconds: seconds + clock.offset, nanoseconds: (ticks - seconds * 1e6) * 1000 };
  }
  const ticks = (BigInt(high) << 32n) | BigInt(low);
  const seconds = ticks / clock.ticksPerSecond;
  const nanoseconds = ((ticks % clock.ticksPerSecond) * 1_000_000_000n) / clock.ticksPerSecond;
  return { seconds: Number(seconds) + clock.offset, nanoseconds: Number(nanoseconds) };
}
