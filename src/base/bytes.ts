import { InputError } from './error.ts';

/**
 * A window on a file's bytes that can't be read past its end. Every failure names the file, what was being read
 * and the absolute offset, so that a person can look at the place.
 */
export class ByteView {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly littleEndian: boolean;
  /** What the bytes are, for messages: `a.o: section .BTF`. */
  readonly what: string;
  /** Offset of the window's first byte in the file. */
  readonly origin: number;

  constructor(bytes: Uint8Array, what: string, littleEndian = true, origin = 0) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.what = what;
    this.littleEndian = littleEndian;
    this.origin = origin;
  }

  get length(): number {
    return this.bytes.length;
  }

  /** Fails when `offset .. offset + size` is not inside the window. @param item what is there (`section header 3`) */
  check(offset: number, size: number, item: string): void {
    if (offset < 0 || size < 0 || offset + size > this.bytes.length) {
      throw new InputError(
        'truncated',
        `${this.what}: ${item} needs ${size} bytes at offset ${this.origin + offset}, ` +
          `but the data ends at ${this.origin + this.bytes.length}`,
      );
    }
  }

  u8(offset: number, item: string): number {
    this.check(offset, 1, item);
    return this.view.getUint8(offset);
  }
  u16(offset: number, item: string): number {
    this.check(offset, 2, item);
    return this.view.getUint16(offset, this.littleEndian);
  }
  u32(offset: number, item: string): number {
    this.check(offset, 4, item);
    return this.view.getUint32(offset, this.littleEndian);
  }
  s32(offset: number, item: string): number {
    this.check(offset, 4, item);
    return this.view.getInt32(offset, this.littleEndian);
  }
  u64(offset: number, item: string): bigint {
    this.check(offset, 8, item);
    return this.view.getBigUint64(offset, this.littleEndian);
  }

  /** A window on a part, sharing the bytes. @param what replaces this window's name in messages */
  window(offset: number, size: number, item: string, what = `${this.what}: ${item}`): ByteView {
    this.check(offset, size, item);
    return new ByteView(
      this.bytes.subarray(offset, offset + size),
      what,
      this.littleEndian,
      this.origin + offset,
    );
  }

  /** A NUL-terminated string of UTF-8. */
  cstring(offset: number, item: string): string {
    this.check(offset, 1, item);
    const end = this.bytes.indexOf(0, offset);
    if (end < 0) {
      throw new InputError(
        'unterminated-string',
        `${this.what}: ${item} at offset ${this.origin + offset} has no terminating zero`,
      );
    }
    return decoder.decode(this.bytes.subarray(offset, end));
  }
}

const decoder = new TextDecoder();

/** Runs of bytes one behind the other, copied. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
