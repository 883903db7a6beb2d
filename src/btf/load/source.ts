/** The records of a BTF that may be wrong in any way: looked at where they lie, without an index of what refers to what. */
import type { Btf } from '../btf.ts';
import { BTF_KIND_BY_ID, type BtfKind } from '../kinds.ts';

/** Bytes of a record without what its kind adds. */
export const RECORD = 12;
/** Bytes of the header that Linux knows. */
export const HEADER = 24;

/** The header's fields; those that a shorter header lacks are 0. */
export interface RawHeader {
  readonly magic: number;
  readonly version: number;
  readonly flags: number;
  readonly length: number;
  readonly types: { readonly offset: number; readonly size: number };
  readonly strings: { readonly offset: number; readonly size: number };
}

/** A type's record. */
export interface RawType {
  readonly id: number;
  /** Offset of the record in the bytes. */
  readonly at: number;
  readonly kind: BtfKind | 'void';
  /** String offset of the name. */
  readonly name: number;
  readonly vlen: number;
  readonly flag: boolean;
  /** The third word: a size or a type id. */
  readonly third: number;
}

const VOID: RawType = { id: 0, at: 0, kind: 'void', name: 0, vlen: 0, flag: false, third: 0 };
const MAX_NAME_OFFSET = 0xff_ffff;
/** KSYM_NAME_LEN. */
const MAX_NAME = 512;
const utf8 = new TextDecoder();

export class BtfSource {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly littleEndian: boolean;
  readonly base: BtfSource | undefined;
  readonly header: RawHeader;
  /** Offset of each own type's record, as far as they were found. */
  readonly starts: number[] = [];
  /** The first own id. */
  readonly firstId: number;

  constructor(bytes: Uint8Array, littleEndian = true, base?: BtfSource) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.littleEndian = littleEndian;
    this.base = base;
    this.firstId = base ? base.endId : 1;
    this.header = this.#readHeader();
  }

  /** The records of a BTF that was read, with those of what it continues. */
  static of(btf: Btf): BtfSource {
    const source = new BtfSource(btf.bytes, btf.littleEndian, btf.base && BtfSource.of(btf.base));
    const { offset } = btf.header.types;
    for (const start of btf.table.starts) source.starts.push(offset + start * 4);
    return source;
  }

  #readHeader(): RawHeader {
    const bytes = new Uint8Array(HEADER);
    const length = this.bytes.length >= 8 ? this.u32(4) : 0;
    bytes.set(this.bytes.subarray(0, Math.min(length, HEADER)));
    const view = new DataView(bytes.buffer);
    const u32 = (at: number): number => view.getUint32(at, this.littleEndian);
    return {
      magic: view.getUint16(0, this.littleEndian),
      version: bytes[2]!,
      flags: bytes[3]!,
      length: u32(4),
      types: { offset: u32(8), size: u32(12) },
      strings: { offset: u32(16), size: u32(20) },
    };
  }

  u32(at: number): number {
    return this.view.getUint32(at, this.littleEndian);
  }

  /** One past the highest id. */
  get endId(): number {
    return this.firstId + this.starts.length;
  }

  /** Where the strings begin, as offset that names have. */
  get #firstString(): number {
    return this.base ? this.base.#stringEnd : 0;
  }
  get #stringEnd(): number {
    return this.#firstString + this.header.strings.size;
  }

  /** The record at an offset. */
  recordAt(at: number, id: number): RawType {
    const info = this.u32(at + 4);
    return {
      id,
      at,
      kind: BTF_KIND_BY_ID[(info >>> 24) & 0x1f] ?? 'void',
      name: this.u32(at),
      vlen: info & 0xffff,
      flag: info >>> 31 === 1,
      third: this.u32(at + 8),
    };
  }

  /** `undefined` for an id that there is not. */
  type(id: number): RawType | undefined {
    if (id === 0) return VOID;
    if (id < this.firstId) return this.base?.type(id);
    const at = this.starts[id - this.firstId];
    return at === undefined ? undefined : this.recordAt(at, id);
  }

  /** A word behind the record's first three. */
  extra(type: RawType, index: number): number {
    const owner = type.id !== 0 && type.id < this.firstId && this.base ? this.base : this;
    return owner.u32(type.at + RECORD + 4 * index);
  }

  isNameOffset(offset: number): boolean {
    return offset <= MAX_NAME_OFFSET && offset < this.#stringEnd;
  }

  /** The bytes of a string without its zero; `undefined` for an offset behind the strings. */
  string(offset: number): Uint8Array | undefined {
    if (this.base && offset < this.#firstString) return this.base.string(offset);
    const own = offset - this.#firstString;
    if (own >= this.header.strings.size) return undefined;
    const start = this.header.length + this.header.strings.offset + own;
    const end = this.bytes.indexOf(0, start);
    return this.bytes.subarray(start, end < 0 ? this.bytes.length : end);
  }

  /** A name as logs have it. */
  shown(offset: number): string {
    if (offset === 0) return '(anon)';
    const bytes = this.string(offset);
    return bytes === undefined ? '(invalid-name-offset)' : utf8.decode(bytes);
  }

  /** A C identifier, in which compilers also put dots. */
  isIdentifier(offset: number): boolean {
    const name = this.string(offset);
    if (name === undefined || name.length === 0 || name.length > MAX_NAME) return false;
    return name.every((byte, i) => isLetter(byte) || isMark(byte) || (i > 0 && isDigit(byte)));
  }

  /** A section's name: printable. */
  isSectionName(offset: number): boolean {
    const name = this.string(offset);
    return name !== undefined && name.length > 0 && name.length <= MAX_NAME && name.every(isPrintable);
  }
}

/** As Linux's tables have it, where bytes are characters of Latin-1. @see lib/ctype.c */
const isLetter = (byte: number): boolean =>
  (byte >= 0x41 && byte <= 0x5a) ||
  (byte >= 0x61 && byte <= 0x7a) ||
  (byte >= 0xc0 && byte !== 0xd7 && byte !== 0xf7);
const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
/** `_` and `.`. */
const isMark = (byte: number): boolean => byte === 0x5f || byte === 0x2e;
const isPrintable = (byte: number): boolean => (byte >= 0x20 && byte < 0x7f) || byte >= 0xa0;
