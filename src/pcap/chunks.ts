/**
 * Bytes that arrive in chunks and are read in whole records. A record that lies in one chunk is read where it
 * lies; only one that crosses a boundary is copied.
 */
export class ChunkQueue {
  /** What is read from: `available` bytes from `position` on are the next of the stream. */
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(this.bytes.buffer);
  position = 0;
  /** Bytes of the stream before the current chunk. */
  #before = 0;
  #pending: Uint8Array[] = [];
  #pendingLength = 0;
  /** Whether `bytes` and every pending chunk but the last belong to the queue. */
  #owned = true;

  /** Offset in the stream of the byte at `position`. */
  get offset(): number {
    return this.#before + this.position;
  }

  /** Bytes that have been fed and not been skipped. */
  get remaining(): number {
    return this.bytes.length - this.position + this.#pendingLength;
  }

  feed(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#owned = false;
    this.#pending.push(chunk);
    this.#pendingLength += chunk.length;
  }

  /** Makes the next `size` bytes lie one behind the other from `position` on. False when they have not arrived. */
  ensure(size: number): boolean {
    if (this.bytes.length - this.position >= size) return true;
    if (this.remaining < size) return false;
    const rest = this.bytes.subarray(this.position);
    const first = this.#pending[0]!;
    if (rest.length === 0 && first.length >= size) {
      this.#pending.shift();
      this.#pendingLength -= first.length;
      this.#use(first);
      return true;
    }
    const joined = new Uint8Array(size);
    joined.set(rest);
    let filled = rest.length;
    while (filled < size) {
      const chunk = this.#pending[0]!;
      const part = chunk.subarray(0, size - filled);
      joined.set(part, filled);
      filled += part.length;
      this.#pendingLength -= part.length;
      if (part.length === chunk.length) this.#pending.shift();
      else this.#pending[0] = chunk.subarray(part.length);
    }
    this.#use(joined);
    return true;
  }

  skip(size: number): void {
    this.position += size;
  }

  /** All bytes that have not been read, where they lie in one piece. */
  get piece(): Uint8Array | undefined {
    const [next] = this.#pending;
    if (next === undefined) return this.bytes.subarray(this.position);
    if (this.position < this.bytes.length || this.#pending.length > 1) return undefined;
    this.#pending = [];
    this.#pendingLength = 0;
    this.#use(next);
    return next;
  }

  /** Goes on in other memory. @param bytes begin with those that have not been read, which lay in one piece */
  replace(bytes: Uint8Array): void {
    this.#use(bytes);
    this.#owned = false;
  }

  /** Copies what has not been read, so that the caller may use the memory of the last chunk again. */
  settle(): void {
    if (this.#owned) return;
    // Not slice(): a Node.js Buffer's shares the memory.
    this.#use(new Uint8Array(this.bytes.subarray(this.position)));
    const last = this.#pending.length - 1;
    if (last >= 0) this.#pending[last] = new Uint8Array(this.#pending[last]!);
    this.#owned = true;
  }

  #use(bytes: Uint8Array): void {
    this.#before += this.position;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = 0;
  }
}
