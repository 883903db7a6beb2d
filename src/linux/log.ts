import { LIMITS } from '../sys/index.ts';
import type { Libc } from './libc.ts';

/** Untouched pages of it cost nothing. */
const DEFAULT_BYTES = 16 * 1024 * 1024;

/** Where the kernel writes what the verifier says. One buffer for all calls, made when a log is first wanted. */
export class LogBuffer {
  readonly #libc: Libc;
  #memory = Buffer.alloc(0);
  #address = 0n;

  /** Bytes to offer the kernel at first. */
  readonly firstBytes: number;

  constructor(libc: Libc, firstBytes = DEFAULT_BYTES) {
    this.#libc = libc;
    this.firstBytes = firstBytes;
  }

  /** Its address, for at least so many bytes. What it held is void. */
  reserve(size: number): bigint {
    if (size > this.#memory.length) {
      this.#memory = Buffer.from(new ArrayBuffer(Math.max(size, this.firstBytes)));
      this.#address = BigInt(this.#libc.addressOf(this.#memory));
    }
    this.#memory[0] = 0;
    return this.#address;
  }

  /**
   * The text. It ends at its closing zero, which may come early: the verifier takes back what it wrote of paths that were
   * fine.
   *
   * @param trueSize the most that was ever in it, as the kernel says (since 6.4); 0 for unknown
   */
  read(size: number, trueSize: number): string {
    const most = trueSize > 0 ? Math.min(size, trueSize) : size;
    const end = this.#memory.subarray(0, most).indexOf(0);
    return this.#memory.toString('utf8', 0, end < 0 ? most : end);
  }

  /** A larger size to try when `size` was too small, or `undefined` at the kernel's limit. */
  static grown(size: number, trueSize: number): number | undefined {
    if (size >= LIMITS.BPF_LOG_MAX) return undefined;
    return Math.min(trueSize > size ? trueSize : size * 4, LIMITS.BPF_LOG_MAX);
  }
}
