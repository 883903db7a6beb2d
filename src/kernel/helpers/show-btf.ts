/**
 * Values as `bpf_snprintf_btf` writes them: types and names of members in front, zeros left out.
 *
 * @see kernel/bpf/btf.c, btf_show and the functions behind it
 */
import { type Btf, type BtfMember, type BtfTypeId, resolve, trySizeOf } from '../../btf/index.ts';
import { jhashBytes } from '../maps/jhash.ts';

/** `BTF_F_*`. */
export const SHOW = { compact: 1, noName: 2, rawPointers: 4, zeros: 8 } as const;
export const SHOW_FLAGS = SHOW.compact | SHOW.noName | SHOW.rawPointers | SHOW.zeros;

/** Bit of an integer's encoding. */
const INT_SIGNED = 1;
/** Pointers and arrays that a name may have. */
const MAX_SUFFIXES = 10;
const MAX_INDENT = 32;

interface Place {
  readonly offset: number;
  readonly type: BtfTypeId;
  /** Its name is not shown again: the array's is. */
  readonly inArray: boolean;
  readonly member: BtfMember | undefined;
  readonly depth: number;
  /** Bits, for a field that has no whole bytes of its own, and where they begin. */
  readonly bits?: { readonly offset: number; readonly size: number };
}

/** @returns the text, one byte a character */
export function showValue(btf: Btf, type: BtfTypeId, bytes: Uint8Array, flags: number): string {
  const show = new Show(btf, bytes, flags);
  show.value({ offset: 0, type, inArray: false, member: undefined, depth: 0 });
  return show.text;
}

class Show {
  readonly #btf: Btf;
  readonly #bytes: Uint8Array;
  readonly #flags: number;
  text = '';

  constructor(btf: Btf, bytes: Uint8Array, flags: number) {
    this.#btf = btf;
    this.#bytes = bytes;
    this.#flags = flags;
  }

  #has(flag: number): boolean {
    return (this.#flags & flag) !== 0;
  }

  #indent(depth: number): string {
    return this.#has(SHOW.compact) ? '' : ' '.repeat(Math.min(depth, MAX_INDENT));
  }

  get #newline(): string {
    return this.#has(SHOW.compact) ? '' : '\n';
  }

  /** Writes a value. @returns whether anything in it is not zero */
  value(place: Place): boolean {
    const type = this.#btf.type(resolve(this.#btf, place.type));
    switch (type.kind) {
      case 'struct':
      case 'union':
        return this.#aggregate(place, '}', (depth) => this.#members(place, type.members, depth));
      case 'array':
        return this.#aggregate(place, ']', (depth) => this.#elements(place, type.type, type.length, depth));
      case 'ptr':
        return this.#plain(place, this.#read(place.offset, 8), (value) => this.#pointer(value));
      case 'enum':
      case 'enum64': {
        const signed = this.#signed(place.offset, type.size);
        const name = type.values.find((one) => BigInt(one.value) === signed)?.name;
        return this.#plain(place, BigInt.asUintN(64, signed), () => name ?? String(signed));
      }
      case 'int':
        return this.#integer(place, type.size, type.bits, (type.encoding & INT_SIGNED) !== 0);
      default:
        return this.#plain(place, 0n, () => `<unsupported kind:${type.kind}>`);
    }
  }

  #read(offset: number, size: number): bigint {
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#bytes[offset + i] ?? 0);
    return value;
  }

  #signed(offset: number, size: number): bigint {
    return BigInt.asIntN(size * 8, this.#read(offset, size));
  }

  #pointer(value: bigint): string {
    if (this.#has(SHOW.rawPointers) || value === 0n) return `0x${value.toString(16).padStart(16, '0')}`;
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    return `0x${(jhashBytes(bytes, 0) >>> 0).toString(16).padStart(16, '0')}`;
  }

  #integer(place: Place, size: number, bits: number, signed: boolean): boolean {
    const { offset } = place;
    if (place.bits) {
      const whole = this.#read(offset, Math.ceil((place.bits.offset + place.bits.size) / 8));
      const value = BigInt.asUintN(place.bits.size, whole >> BigInt(place.bits.offset));
      return this.#plain(place, value, (own) => `0x${own.toString(16)}`);
    }
    const value = this.#read(offset, size);
    if (bits > 64) return this.#plain(place, value, (own) => `0x${own.toString(16)}`);
    return this.#plain(place, value, () => String(signed ? this.#signed(offset, size) : value));
  }

  /** A value that holds no others: zero is left out, but not where it is all there is. */
  #plain(place: Place, value: bigint, text: (value: bigint) => string): boolean {
    if (value === 0n && !this.#has(SHOW.zeros) && place.depth > 0) return false;
    const delimiter = place.depth === 0 ? '' : ',';
    this.text += `${this.#indent(place.depth)}${this.#name(place)}${text(value)}${delimiter}${this.#newline}`;
    return value !== 0n;
  }

  /** A value that holds others: one of zeros is left out where it is held itself. */
  #aggregate(place: Place, end: string, inside: (depth: number) => boolean): boolean {
    const before = this.text;
    this.text += `${this.#indent(place.depth)}${this.#name(place)}${this.#newline}`;
    const shown = inside(place.depth + 1);
    if (place.depth > 0 && !shown && !this.#has(SHOW.zeros)) {
      this.text = before;
      return false;
    }
    const delimiter = place.depth === 0 ? '' : ',';
    this.text += `${this.#indent(place.depth)}${end}${delimiter}${this.#newline}`;
    return shown;
  }

  #members({ offset, inArray }: Place, members: readonly BtfMember[], depth: number): boolean {
    let shown = false;
    for (const member of members) {
      const { bitOffset, type } = member;
      const size = member.bitSize ?? 0;
      const place = { offset: offset + Math.floor(bitOffset / 8), type, inArray, member, depth };
      const one = size > 0 ? { ...place, bits: { offset: bitOffset % 8, size } } : place;
      if (this.value(one)) shown = true;
    }
    return shown;
  }

  #elements({ offset }: Place, type: BtfTypeId, length: number, depth: number): boolean {
    const size = trySizeOf(this.#btf, type) ?? 0;
    const element = this.#btf.type(resolve(this.#btf, type));
    const chars = size === 1 && element.kind === 'int';
    let shown = false;
    for (let i = 0; i < length; i++) {
      const place = { offset: offset + i * size, type, inArray: true, member: undefined, depth };
      if (chars) {
        const byte = this.#bytes[place.offset] ?? 0;
        if (byte === 0) break;
        const printable = byte >= 0x20 && byte < 0x7f;
        if (printable) {
          this.#plain(place, BigInt(byte), () => `'${String.fromCharCode(byte)}'`);
          shown = true;
          continue;
        }
      }
      if (this.value(place)) shown = true;
    }
    return shown;
  }

  /** `.member = (struct name *[])`, and the bracket that opens what follows. */
  #name({ inArray, member, type }: Place): string {
    if (inArray) return '';
    let id = type;
    let name: string | undefined;
    let pointers = 0;
    let arrays = 0;
    let typedef = false;
    let target = this.#skipQualifiers(id);
    for (let i = 0; i < MAX_SUFFIXES; i++) {
      if (target.kind === 'typedef') {
        name ??= target.name;
        typedef = true;
        id = target.type;
      } else if (target.kind === 'array') {
        arrays += 1;
        id = target.type;
      } else if (target.kind === 'ptr') {
        pointers += 1;
        id = target.type;
      } else break;
      target = this.#skipQualifiers(id);
    }
    const aggregate = target.kind === 'struct' || target.kind === 'union';
    const open = pointers > 0 ? '' : arrays > 0 ? '[' : aggregate ? '{' : '';
    if (this.#has(SHOW.noName)) return open;
    name ??= 'name' in target ? (target.name ?? '') : '';
    const isEnum = target.kind === 'enum' || target.kind === 'enum64';
    const prefix = typedef ? '' : aggregate ? target.kind : isEnum ? 'enum' : '';
    const space = prefix !== '' && name !== '' ? ' ' : '';
    const stars = pointers > 0 ? ` ${'*'.repeat(pointers)}` : '';
    const called = member?.name ? `.${member.name} = ` : '';
    return `${called}(${prefix}${space}${name}${stars}${'[]'.repeat(arrays)})${open}`;
  }

  #skipQualifiers(id: BtfTypeId) {
    let type = this.#btf.type(id);
    while (
      type.kind === 'const' ||
      type.kind === 'volatile' ||
      type.kind === 'restrict' ||
      type.kind === 'type_tag'
    ) {
      type = this.#btf.type(type.type);
    }
    return type;
  }
}
