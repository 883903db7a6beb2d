/** The capture that `--out` writes: beside its place until it is whole, so that nobody ever sees half of it. */
import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type CaptureInterface, CaptureWriter, ETHERNET, type InterfaceOptions } from '../../pcap/index.ts';
import { fileError } from '../files.ts';
import type { Frame } from './source.ts';

const BUFFER = 256 * 1024;

export class OutFile {
  readonly path: string;
  /** Packets written. */
  packets = 0;
  readonly #temporary: string;
  #fd: number | undefined;
  #writer: CaptureWriter | undefined;
  readonly #interfaces = new Map<CaptureInterface, number>();
  readonly #ng: boolean;
  #buffer: Uint8Array[] = [];
  #buffered = 0;

  /** A name that ends in `.pcapng` gives that format. */
  constructor(path: string) {
    this.path = path;
    this.#ng = path.endsWith('.pcapng');
    this.#temporary = join(dirname(path), `.${basename(path)}.skep-${process.pid}`);
    try {
      this.#fd = openSync(this.#temporary, 'wx');
    } catch (error) {
      throw fileError(error, 'cli-write', `writing ${path}`);
    }
  }

  /** @param data the frame as the program left it @param originalLength its length on the wire */
  write(frame: Frame, data: Uint8Array, originalLength: number): void {
    const { packet } = frame;
    const interfaceId = this.#interface(packet.interface);
    const writer = this.#writer!;
    const { seconds, nanoseconds, comment, flags } = packet;
    this.#put(
      writer.packet({
        data,
        originalLength,
        seconds,
        nanoseconds,
        interfaceId,
        ...(comment === undefined ? {} : { comment }),
        ...(flags === undefined ? {} : { flags }),
      }),
    );
    this.packets++;
  }

  /** Puts the whole file in its place. */
  commit(): void {
    if (this.#writer === undefined)
      this.#put(new CaptureWriter({ format: this.#ng ? 'pcapng' : 'pcap' }).header());
    this.#flush();
    try {
      closeSync(this.#fd!);
      this.#fd = undefined;
      renameSync(this.#temporary, this.path);
    } catch (error) {
      throw fileError(error, 'cli-write', `writing ${this.path}`);
    }
  }

  /** Leaves nothing behind, unless it has been committed. */
  discard(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    rmSync(this.#temporary, { force: true });
  }

  #interface(source: CaptureInterface): number {
    const known = this.#interfaces.get(source);
    if (known !== undefined) return known;
    const options: InterfaceOptions = {
      linkType: ETHERNET,
      resolution: source.ticksPerSecond > 1_000_000n ? 'ns' : 'us',
      ...(source.name === undefined ? {} : { name: source.name }),
      ...(source.description === undefined ? {} : { description: source.description }),
    };
    let id = 0;
    if (this.#writer === undefined) {
      this.#writer = new CaptureWriter({ ...options, format: this.#ng ? 'pcapng' : 'pcap' });
      this.#put(this.#writer.header());
    } else if (this.#ng) {
      const added = this.#writer.addInterface(options);
      this.#put(added.bytes);
      id = added.id;
    }
    this.#interfaces.set(source, id);
    return id;
  }

  #put(bytes: Uint8Array): void {
    this.#buffer.push(bytes);
    this.#buffered += bytes.length;
    if (this.#buffered >= BUFFER) this.#flush();
  }

  #flush(): void {
    try {
      const all = Buffer.concat(this.#buffer);
      for (let at = 0; at < all.length; ) at += writeSync(this.#fd!, all, at);
    } catch (error) {
      throw fileError(error, 'cli-write', `writing ${this.path}`);
    }
    this.#buffer = [];
    this.#buffered = 0;
  }
}
