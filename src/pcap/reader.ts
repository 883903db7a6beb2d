import { Bug, InputError } from '../base/error.ts';
import { ChunkQueue } from './chunks.ts';
import type { CaptureFormat, CaptureInterface, Packet } from './packet.ts';
import { type CaptureDecoder, PCAP_MAGIC, PcapDecoder, type RecordLayout } from './pcap.ts';
import { BLOCK, PcapngDecoder } from './pcapng.ts';

/** What a file that is no capture most likely is, by its first four bytes in big-endian order and a mask. */
const LOOKALIKES: readonly (readonly [magic: number, mask: number, what: string])[] = [
  [0x1f8b0000, 0xffff0000, 'compressed by gzip: decompress it first (gzip -d)'],
  [0x28b52ffd, 0xffffffff, 'compressed by zstd: decompress it first (zstd -d)'],
  [0x04224d18, 0xffffffff, 'compressed by lz4: decompress it first (lz4 -d)'],
  [0xfd377a58, 0xffffffff, 'compressed by xz: decompress it first (xz -d)'],
  [0x7f454c46, 0xffffffff, 'an ELF file: the object goes first, the capture behind --pcap'],
  [0x736e6f6f, 0xffffffff, 'a snoop capture: convert it first (editcap -F pcap IN OUT)'],
  [
    0xa1b2cd34,
    0xffffffff,
    'a pcap variant with 24-byte record headers: convert it first (editcap -F pcap IN OUT)',
  ],
  [
    0x34cdb2a1,
    0xffffffff,
    'a pcap variant with 24-byte record headers: convert it first (editcap -F pcap IN OUT)',
  ],
];

/**
 * Reads a capture, pcap or pcapng, from chunks as they come, in memory that does not grow with the file.
 *
 * Feed a chunk, take packets until there is none, feed the next, and `end()`. A packet's data is a window on the
 * chunk it lies in; once `next()` has answered `undefined` the chunk's memory may be used again.
 *
 * Throws `InputError` naming the file, the record and its offset when the bytes are no capture or a damaged one.
 */
export class CaptureReader {
  readonly #name: string;
  readonly #queue = new ChunkQueue();
  #decoder: CaptureDecoder | undefined;
  #format: CaptureFormat | undefined;

  /** @param name of the file, for messages */
  constructor(name: string) {
    this.#name = name;
  }

  /** Known once the first four bytes have been fed and `next()` has been called. */
  get format(): CaptureFormat | undefined {
    return this.#format;
  }

  /** Interfaces described so far. */
  get interfaces(): readonly CaptureInterface[] {
    return this.#decoder?.interfaces ?? [];
  }

  /** Bytes of the file that have been read. */
  get offset(): number {
    return this.#queue.offset;
  }

  feed(chunk: Uint8Array): void {
    this.#queue.feed(chunk);
  }

  // For who finds packets in the bytes himself and leaves to the reader what is out of the ordinary.

  /** How the next records are laid out, once a packet or an interface was read. */
  get layout(): RecordLayout | undefined {
    return this.#decoder?.layout;
  }

  /** All bytes that were fed and not read, where they lie in one piece of what was fed. */
  get piece(): Uint8Array | undefined {
    return this.#queue.piece;
  }

  /** Goes on in other memory. @param bytes what {@link piece} has, and what follows it in the file */
  replace(bytes: Uint8Array): void {
    this.#queue.replace(bytes);
  }

  /** Passes over bytes of {@link piece} that are whole records of packets. */
  pass(bytes: number, packets: number): void {
    this.#queue.skip(bytes);
    this.#decoder?.passed(packets);
  }

  /** The next packet, or `undefined` when another chunk is needed. */
  next(): Packet | undefined {
    this.#decoder ??= this.#detect();
    const packet = this.#decoder?.next(this.#queue);
    if (packet === undefined) this.#queue.settle();
    return packet;
  }

  /** Says that no chunk follows. Throws when the file is empty or ends inside a record. */
  end(): void {
    const { remaining, offset } = this.#queue;
    if (this.#decoder === undefined) {
      throw new InputError(
        'pcap-truncated',
        remaining === 0
          ? `${this.#name}: the file is empty, which no capture is`
          : `${this.#name}: the file ends after ${remaining} bytes, too few for a capture`,
      );
    }
    const { wanted } = this.#decoder;
    if (wanted === undefined) throw new Bug('CaptureReader.end before next() answered undefined');
    if (remaining > 0 || this.interfaces.length === 0) {
      throw new InputError(
        'pcap-truncated',
        `${this.#name}: ${wanted.item} at offset ${offset} needs ${wanted.size} bytes, but the file ends ` +
          `after ${remaining} of them`,
      );
    }
  }

  #detect(): CaptureDecoder | undefined {
    const queue = this.#queue;
    if (!queue.ensure(4)) return undefined;
    const magic = queue.view.getUint32(queue.position, false);
    if (magic === BLOCK.sectionHeader) {
      this.#format = 'pcapng';
      return new PcapngDecoder(this.#name);
    }
    for (const little of [false, true]) {
      for (const resolution of ['us', 'ns'] as const) {
        if (queue.view.getUint32(queue.position, little) === PCAP_MAGIC[resolution]) {
          this.#format = 'pcap';
          return new PcapDecoder(this.#name, little, resolution);
        }
      }
    }
    const lookalike = LOOKALIKES.find(([value, mask]) => (magic & mask) >>> 0 === value);
    throw new InputError(
      'pcap-magic',
      `${this.#name}: the file begins with 0x${magic.toString(16).padStart(8, '0')} and is neither pcap nor pcapng` +
        (lookalike === undefined ? '' : `; it looks ${describe(lookalike[2])}`),
    );
  }
}

function describe(what: string): string {
  return what.startsWith('compressed') ? what : `like ${what}`;
}

/** The packets of a capture that arrives in chunks. @param name of the file, for messages */
export function* readCapture(
  chunks: Iterable<Uint8Array> | Uint8Array,
  name: string,
): Generator<Packet, CaptureReader> {
  const reader = new CaptureReader(name);
  for (const chunk of chunks instanceof Uint8Array ? [chunks] : chunks) {
    reader.feed(chunk);
    for (let packet = reader.next(); packet !== undefined; packet = reader.next()) yield packet;
  }
  // An input without any chunk has not been looked at yet.
  reader.next();
  reader.end();
  return reader;
}

/** The same from a source that is waited for, such as a Node.js or a web stream. */
export async function* readCaptureStream(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Packet, CaptureReader> {
  const reader = new CaptureReader(name);
  for await (const chunk of chunks) {
    reader.feed(chunk);
    for (let packet = reader.next(); packet !== undefined; packet = reader.next()) yield packet;
  }
  reader.next();
  reader.end();
  return reader;
}
