/** The bytes of a capture, as they are read: a file's, or what comes by standard input or another pipe. */
import { closeSync, createReadStream, fstatSync, openSync, readSync } from 'node:fs';
import type { CaptureSource } from '../../kernel/index.ts';
import { fileError } from '../files.ts';

/** A capture that is a file, as threads of this process are told of it. */
export interface FileSource {
  readonly fd: number;
  readonly path: string;
}

/** @param position `null` goes on where the last read ended @returns bytes read; 0 at the end */
export function readFile({ fd, path }: FileSource, into: Uint8Array, position: number | null): number {
  try {
    return readSync(fd, into, 0, into.length, position);
  } catch (error) {
    throw fileError(error, 'cli-read', `reading capture ${path}`);
  }
}

export class CaptureInput {
  readonly path: string;
  /** Bytes of the file; 0 for what has no length, such as a pipe. */
  readonly size: number;
  /** Of a file; a pipe is a stream. */
  readonly #fd: number | undefined;
  readonly #stream: AsyncIterator<Uint8Array> | undefined;
  /** What came by the stream and was not read yet. */
  #rest: Uint8Array = new Uint8Array();

  private constructor(path: string, from: number | AsyncIterable<Uint8Array>, size: number) {
    this.path = path;
    this.#fd = typeof from === 'number' ? from : undefined;
    this.#stream = typeof from === 'number' ? undefined : from[Symbol.asyncIterator]();
    this.size = size;
  }

  /** @param path `-` for standard input */
  static open(path: string): CaptureInput {
    if (path === '-') return new CaptureInput(path, process.stdin, 0);
    let fd: number | undefined;
    try {
      fd = openSync(path, 'r');
      const stat = fstatSync(fd);
      if (stat.isDirectory()) throw Object.assign(new Error(path), { code: 'EISDIR' });
      if (stat.isFile()) return new CaptureInput(path, fd, stat.size);
    } catch (error) {
      if (fd !== undefined) closeSync(fd);
      throw fileError(error, 'cli-read', `reading capture ${path}`);
    }
    return new CaptureInput(path, createReadStream(path, { fd }), 0);
  }

  /** Whether {@link read} reads at once: a file's bytes are there, those of a stream are waited for first. */
  get immediate(): boolean {
    return this.#fd !== undefined;
  }

  /** What threads read the capture from by themselves: a file. */
  get source(): CaptureSource | undefined {
    if (this.#fd === undefined) return undefined;
    return { size: this.size, from: { fd: this.#fd, path: this.path } satisfies FileSource };
  }

  /** Waits until the stream has something to read, or is at its end. */
  async wait(): Promise<void> {
    while (this.#rest.length === 0) {
      const { value, done } = await this.#stream!.next().catch((error: unknown) => {
        throw this.#failure(error);
      });
      if (done === true) return;
      this.#rest = value as Uint8Array;
    }
  }

  /**
   * Reads what is there. Without a promise: a read from the page cache takes less time than one of Node's thread pool takes
   * to begin, and the system reads ahead by itself.
   * @param into as much as fits
   * @returns bytes read; 0 at the end
   */
  read(into: Uint8Array): number {
    if (this.#fd === undefined) {
      const part = this.#rest.subarray(0, into.length);
      into.set(part);
      this.#rest = this.#rest.subarray(part.length);
      return part.length;
    }
    return readFile({ fd: this.#fd, path: this.path }, into, null);
  }

  async close(): Promise<void> {
    if (this.#fd !== undefined) closeSync(this.#fd);
    await this.#stream?.return?.();
  }

  #failure(error: unknown) {
    return fileError(error, 'cli-read', `reading capture ${this.path}`);
  }
}
