import { InputError } from '../base/error.ts';

const utf8 = new TextDecoder();
const encoder = new TextEncoder();

/** A BTF's string table: NUL-terminated UTF-8, addressed by byte offset. A split BTF's offsets go on after its base's. */
export class BtfStrings {
  readonly bytes: Uint8Array;
  readonly base: BtfStrings | undefined;
  /** Offset of the first own byte. */
  readonly start: number;
  readonly #what: string;
  readonly #decoded = new Map<number, string>();

  constructor(bytes: Uint8Array, what: string, base?: BtfStrings) {
    this.bytes = bytes;
    this.base = base;
    this.start = base ? base.end : 0;
    this.#what = what;
  }

  /** One past the last valid offset. */
  get end(): number {
    return this.start + this.bytes.length;
  }

  /** The table (own or base's) that holds `offset`, and the place in its bytes. */
  locate(offset: number): { readonly bytes: Uint8Array; readonly at: number } {
    let table: BtfStrings = this;
    while (offset < table.start && table.base) table = table.base;
    return { bytes: table.bytes, at: offset - table.start };
  }

  /** The string at an offset. @param item whose string it is, for the message */
  get(offset: number, item: string): string {
    if (offset === 0) return '';
    if (offset < this.start && this.base) return this.base.get(offset, item);
    const known = this.#decoded.get(offset);
    if (known !== undefined) return known;
    const at = offset - this.start;
    if (at >= this.bytes.length) {
      throw new InputError(
        'btf-string',
        `${this.#what}: ${item} is at string offset ${offset}, but the string table ends at ${this.end}`,
      );
    }
    const text = decodeAt(this.bytes, at);
    this.#decoded.set(offset, text);
    return text;
  }
}

function decodeAt(bytes: Uint8Array, at: number): string {
  let end = at;
  let ascii = true;
  for (; end < bytes.length && bytes[end] !== 0; end++) {
    if (bytes[end]! >= 0x80) ascii = false;
  }
  const part = bytes.subarray(at, end);
  return ascii && part.length < 64 ? String.fromCharCode(...part) : utf8.decode(part);
}

/** Builds a string table in which each string stands once. */
export class BtfStringBuilder {
  readonly base: BtfStrings | undefined;
  readonly #start: number;
  readonly #offsets = new Map<string, number>();
  #bytes = new Uint8Array(64);
  #length = 0;

  /**
   * @param keep a table whose strings stay at their offsets, so that what refers to them by offset (`.BTF.ext`) stays
   * valid. Its base is kept too.
   */
  constructor(keep?: BtfStrings, base: BtfStrings | undefined = keep?.base) {
    this.base = base;
    this.#start = base ? base.end : 0;
    if (base) this.#learn(base);
    if (keep) {
      this.#append(keep.bytes);
      this.#learn(keep, false);
    } else if (!base) {
      this.#append(new Uint8Array(1));
    }
    this.#offsets.set('', 0);
  }

  #learn(table: BtfStrings, follow = true): void {
    if (follow && table.base) this.#learn(table.base);
    for (let at = 0; at < table.bytes.length; ) {
      const end = table.bytes.indexOf(0, at);
      const text = decodeAt(table.bytes, at);
      if (!this.#offsets.has(text)) this.#offsets.set(text, table.start + at);
      if (end < 0) break;
      at = end + 1;
    }
  }

  #append(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length) {
      const grown = new Uint8Array(2 * (this.#length + bytes.length));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Offset of a string, which is added unless it is there. */
  add(text: string): number {
    const known = this.#offsets.get(text);
    if (known !== undefined) return known;
    if (text.includes('\0')) {
      throw new InputError(
        'btf-string',
        `adding ${JSON.stringify(text)} to BTF: a name can't contain a zero byte`,
      );
    }
    const offset = this.#start + this.#length;
    this.#append(encoder.encode(`${text}\0`));
    this.#offsets.set(text, offset);
    return offset;
  }

  /** The own part of the table. */
  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}
