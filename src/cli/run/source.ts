/** A capture file as Ethernet frames, read piece by piece. */
import { type FileHandle, open } from 'node:fs/promises';
import { InputError } from '../../base/error.ts';
import {
  type CaptureFormat,
  type CaptureInterface,
  CaptureReader,
  type FrameConversion,
  frameConversion,
  type Packet,
} from '../../pcap/index.ts';
import { fileError } from '../files.ts';

const CHUNK = 256 * 1024;

/** A packet as the program gets it. */
export interface Frame {
  readonly packet: Packet;
  /** Ethernet; for a capture of that link type the packet's own bytes. */
  readonly data: Uint8Array;
}

/** Reads one capture. Frames of one batch are valid until the next is asked for. */
export class FrameSource {
  readonly path: string;
  /** Bytes of the file; 0 for what has no length, such as a pipe. */
  readonly size: number;
  /** `undefined` for standard input. */
  readonly #file: FileHandle | undefined;
  readonly #stdin: AsyncIterator<Uint8Array> | undefined;
  readonly #reader: CaptureReader;
  readonly #chunk = new Uint8Array(CHUNK);
  readonly #conversions = new Map<CaptureInterface, FrameConversion | undefined>();

  private constructor(path: string, file: FileHandle | undefined, size: number) {
    this.path = path;
    this.#file = file;
    this.#stdin = file === undefined ? process.stdin[Symbol.asyncIterator]() : undefined;
    this.size = size;
    this.#reader = new CaptureReader(path);
  }

  /** @param path `-` for standard input */
  static async open(path: string): Promise<FrameSource> {
    if (path === '-') return new FrameSource(path, undefined, 0);
    try {
      const file = await open(path, 'r');
      const stat = await file.stat();
      if (stat.isDirectory()) throw Object.assign(new Error(path), { code: 'EISDIR' });
      return new FrameSource(path, file, stat.isFile() ? stat.size : 0);
    } catch (error) {
      throw fileError(error, 'cli-read', `reading capture ${path}`);
    }
  }

  get format(): CaptureFormat | undefined {
    return this.#reader.format;
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.#reader.offset;
  }

  get interfaces(): readonly CaptureInterface[] {
    return this.#reader.interfaces;
  }

  /** What was done to packets of other link types than Ethernet, by the link type's name. */
  conversions(): ReadonlyMap<string, string> {
    const done = new Map<string, string>();
    for (const [source, conversion] of this.#conversions) {
      if (conversion !== undefined) done.set(source.linkType.name, conversion.what);
    }
    return done;
  }

  /** The frames of the next piece of the file; `undefined` at its end. */
  async next(): Promise<Iterable<Frame> | undefined> {
    const chunk = await this.#read();
    if (chunk !== undefined) {
      this.#reader.feed(chunk);
      return this.#frames();
    }
    // An empty file has not been looked at yet.
    this.#reader.next();
    this.#reader.end();
    return undefined;
  }

  async close(): Promise<void> {
    await this.#file?.close();
    await this.#stdin?.return?.();
  }

  async #read(): Promise<Uint8Array | undefined> {
    try {
      if (this.#file === undefined) {
        const { value, done } = await this.#stdin!.next();
        return done === true ? undefined : (value as Uint8Array);
      }
      const { bytesRead } = await this.#file.read(this.#chunk, 0, CHUNK);
      return bytesRead > 0 ? this.#chunk.subarray(0, bytesRead) : undefined;
    } catch (error) {
      throw fileError(error, 'cli-read', `reading capture ${this.path}`);
    }
  }

  *#frames(): Generator<Frame> {
    for (let packet = this.#reader.next(); packet !== undefined; packet = this.#reader.next()) {
      yield { packet, data: this.#frame(packet) };
    }
  }

  #frame(packet: Packet): Uint8Array {
    const conversion = this.#conversion(packet.interface);
    if (conversion === undefined) return packet.data;
    // A packet without its whole link header reaches the program as it is, and the kernel judges its length.
    return conversion.toEthernet(packet.data) ?? packet.data;
  }

  #conversion(source: CaptureInterface): FrameConversion | undefined {
    if (this.#conversions.has(source)) return this.#conversions.get(source);
    const conversion = frameConversion(source.linkType);
    if (conversion === 'none') {
      throw new InputError(
        'run-link-type',
        `${this.path}: interface ${source.id} has packets of link type ${source.linkType.name}, which can't be ` +
          `made into the Ethernet frames that network programs take`,
      );
    }
    this.#conversions.set(source, conversion);
    return conversion;
  }
}
