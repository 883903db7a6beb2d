import { alignUp } from '../base/layout.ts';
import type { Libc } from './libc.ts';

/** A run of memory that the kernel can be given the address of. */
export interface Region {
  /** Zero stands for no memory, as NULL does in an attribute. */
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

const SIZE = 512 * 1024;
const ATTR_SIZE = 256;
const NOTHING: Region = { address: 0n, bytes: new Uint8Array(0) };

/**
 * The memory of one call: the attribute first, then what it points to. It is allocated once and used again by each call,
 * because allocating per call costs more than most calls do. What does not fit gets a buffer of its own, which lives
 * until the next call.
 */
export class Scratch {
  /** The attribute. */
  readonly attr: Uint8Array;
  readonly view: DataView;
  readonly #libc: Libc;
  readonly #memory: Uint8Array;
  readonly #base: number;
  #end = ATTR_SIZE;
  #extra: Uint8Array[] = [];

  constructor(libc: Libc) {
    const buffer = new ArrayBuffer(SIZE);
    this.#libc = libc;
    this.#memory = new Uint8Array(buffer);
    this.#base = libc.addressOf(this.#memory);
    this.attr = this.#memory.subarray(0, ATTR_SIZE);
    this.view = new DataView(buffer, 0, ATTR_SIZE);
  }

  /** Forgets the call before. Regions that it reserved are void. */
  reset(): void {
    this.#end = ATTR_SIZE;
    if (this.#extra.length > 0) this.#extra = [];
  }

  /** Room that the kernel reads or writes, with whatever is in it. */
  reserve(size: number): Region {
    if (size === 0) return NOTHING;
    const start = this.#end;
    if (start + size <= SIZE) {
      this.#end = alignUp(start + size, 8);
      return { address: BigInt(this.#base + start), bytes: this.#memory.subarray(start, start + size) };
    }
    const bytes = new Uint8Array(new ArrayBuffer(size));
    this.#extra.push(bytes);
    return { address: BigInt(this.#libc.addressOf(bytes)), bytes };
  }

  /** A copy of the bytes. @returns its address, 0 for none */
  put(bytes: Uint8Array | undefined): bigint {
    if (bytes === undefined || bytes.length === 0) return 0n;
    const start = this.#end;
    if (start + bytes.length > SIZE) {
      const region = this.reserve(bytes.length);
      region.bytes.set(bytes);
      return region.address;
    }
    // No view of the copy is made: this is most of what a call on one map element costs here.
    this.#memory.set(bytes, start);
    this.#end = alignUp(start + bytes.length, 8);
    return BigInt(this.#base + start);
  }

  /** A zero-terminated copy of the text. @returns its address */
  putString(text: string): bigint {
    return this.put(encoder.encode(`${text}\0`));
  }
}

const encoder = new TextEncoder();

/** The first `count` 32-bit numbers of a region. */
export function u32s(region: Region, count: number): number[] {
  const view = new DataView(region.bytes.buffer, region.bytes.byteOffset, region.bytes.length);
  return Array.from({ length: count }, (_, i) => view.getUint32(i * 4, true));
}
