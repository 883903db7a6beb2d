/** What a program has printed to its standard output (1) and standard error (2), until it is read. */

/** Fewer bytes may wait. @see kernel/bpf/stream.c, BPF_STREAM_MAX_CAPACITY */
const CAPACITY = 100_000;

export class Streams {
  readonly #waiting = new Map<number, Uint8Array[]>();
  readonly #bytes = new Map<number, number>();

  /** @param text one byte a character @returns false when there is no room */
  write(id: number, text: string): boolean {
    const bytes = (this.#bytes.get(id) ?? 0) + text.length;
    if (bytes >= CAPACITY) return false;
    this.#bytes.set(id, bytes);
    const chunk = Uint8Array.from(text, (char) => char.charCodeAt(0));
    const waiting = this.#waiting.get(id);
    if (waiting) waiting.push(chunk);
    else this.#waiting.set(id, [chunk]);
    return true;
  }

  /** Takes up to so many bytes. */
  read(id: number, most: number): Uint8Array {
    const waiting = this.#waiting.get(id) ?? [];
    const taken: number[] = [];
    while (taken.length < most && waiting.length > 0) {
      const chunk = waiting[0]!;
      const part = chunk.subarray(0, most - taken.length);
      taken.push(...part);
      if (part.length === chunk.length) waiting.shift();
      else waiting[0] = chunk.subarray(part.length);
    }
    this.#bytes.set(id, (this.#bytes.get(id) ?? 0) - taken.length);
    return Uint8Array.from(taken);
  }
}
