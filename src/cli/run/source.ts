/** A capture as Ethernet frames, read piece by piece. */
import {
  type CaptureFormat,
  type CaptureInterface,
  CaptureReader,
  FrameConverter,
  type Packet,
} from '../../pcap/index.ts';
import type { CaptureInput } from './input.ts';

const CHUNK = 256 * 1024;

/** A packet as the program gets it. */
export interface Frame {
  readonly packet: Packet;
  /** Ethernet; for a capture of that link type the packet's own bytes. */
  readonly data: Uint8Array;
}

/** Reads one capture. Frames of one batch are valid until the next is asked for. */
export class FrameSource {
  readonly #input: CaptureInput;
  readonly #reader: CaptureReader;
  readonly #frames: FrameConverter;
  readonly #chunk = new Uint8Array(CHUNK);

  constructor(input: CaptureInput) {
    this.#input = input;
    this.#reader = new CaptureReader(input.path);
    this.#frames = new FrameConverter(input.path);
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
  get conversions(): ReadonlyMap<string, string> {
    return this.#frames.done;
  }

  /** The frames of the next piece of the file; `undefined` at its end. */
  async next(): Promise<Iterable<Frame> | undefined> {
    if (!this.#input.immediate) await this.#input.wait();
    const size = this.#input.read(this.#chunk);
    if (size > 0) {
      this.#reader.feed(this.#chunk.subarray(0, size));
      return this.#take();
    }
    // An empty file has not been looked at yet.
    this.#reader.next();
    this.#reader.end();
    return undefined;
  }

  *#take(): Generator<Frame> {
    for (let packet = this.#reader.next(); packet !== undefined; packet = this.#reader.next()) {
      yield { packet, data: this.#frames.frame(packet) };
    }
  }
}
