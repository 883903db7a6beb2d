/**
 * Map keys, map values and global variables by their BTF type: as plain data for JSON, and as text for a person.
 *
 * An integer is a number; one beyond 2^53 a string of its digits. What a type's name alone says is honoured:
 * `__be16`, `__be32` and `__be64` are in network order, and a `__be32` is shown as an IPv4 address; `struct in6_addr`
 * is shown as an IPv6 address; `char` arrays that hold a string as that string.
 */
import {
  type Btf,
  type BtfMember,
  type BtfTypeId,
  INT_BOOL,
  INT_CHAR,
  INT_SIGNED,
  sizeOf,
  trySizeOf,
} from '../btf/index.ts';

/** A value as JSON has it. */
export type Plain = string | number | boolean | null | readonly Plain[] | { readonly [name: string]: Plain };

/** What is shown for bytes whose type is not known. */
function hexBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

/** The value of a type, as plain data. Bytes that the type does not cover are ignored. */
export function plainValue(btf: Btf | undefined, type: BtfTypeId, bytes: Uint8Array): Plain {
  if (btf === undefined || type === 0 || (trySizeOf(btf, type) ?? 0) > bytes.length) return hexBytes(bytes);
  return new Reader(btf, bytes).value(type, 0);
}

/** Structs that the kernel owns: their bytes mean nothing to a reader. */
const OPAQUE: ReadonlySet<string> = new Set([
  'bpf_spin_lock',
  'bpf_res_spin_lock',
  'bpf_timer',
  'bpf_wq',
  'bpf_list_head',
  'bpf_list_node',
  'bpf_rb_root',
  'bpf_rb_node',
  'bpf_refcount',
  'bpf_dynptr',
]);

/** Typedefs in network order, by their size in bytes. */
const NETWORK: Readonly<Record<string, number>> = { __be16: 2, __be32: 4, __be64: 8 };

class Reader {
  readonly #btf: Btf;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(btf: Btf, bytes: Uint8Array) {
    this.#btf = btf;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(id: BtfTypeId, offset: number): Plain {
    const type = this.#btf.type(id);
    switch (type.kind) {
      case 'typedef':
        return NETWORK[type.name] === undefined
          ? this.value(type.type, offset)
          : this.#network(type.name, offset);
      case 'const':
      case 'volatile':
      case 'restrict':
      case 'type_tag':
        return this.value(type.type, offset);
      case 'int': {
        const value = this.#integer(offset, type.size, (type.encoding & INT_SIGNED) !== 0);
        if ((type.encoding & INT_BOOL) !== 0) return value !== 0n;
        return number(value);
      }
      case 'enum':
      case 'enum64': {
        const value = this.#integer(offset, type.size, type.signed);
        return type.values.find((item) => BigInt(item.value) === value)?.name ?? number(value);
      }
      case 'ptr':
        return `0x${this.#integer(offset, 8, false).toString(16)}`;
      case 'float':
        return type.size === 8
          ? this.#view.getFloat64(offset, this.#btf.littleEndian)
          : type.size === 4
            ? this.#view.getFloat32(offset, this.#btf.littleEndian)
            : this.#raw(offset, type.size);
      case 'array':
        return this.#array(type.type, type.length, offset);
      case 'struct':
      case 'union':
        if (type.name === 'in6_addr' && type.size === 16) {
          return ipv6(this.#bytes.subarray(offset, offset + 16));
        }
        if (OPAQUE.has(type.name)) return {};
        return Object.fromEntries(this.#members(type.members, offset));
      default:
        return null;
    }
  }

  /** Members by name; those of an anonymous struct or union stand beside the others. */
  #members(members: readonly BtfMember[], offset: number): [string, Plain][] {
    return members.flatMap((member): [string, Plain][] => {
      const at = offset + (member.bitOffset >> 3);
      if (member.bitSize > 0) return [[member.name, this.#bitfield(member, offset)]];
      if (member.name !== '') return [[member.name, this.value(member.type, at)]];
      const inner = this.#btf.type(member.type);
      return inner.kind === 'struct' || inner.kind === 'union' ? this.#members(inner.members, at) : [];
    });
  }

  #bitfield(member: BtfMember, offset: number): Plain {
    let value = 0n;
    for (let bit = member.bitSize - 1; bit >= 0; bit--) {
      const at = member.bitOffset + (this.#btf.littleEndian ? bit : member.bitSize - 1 - bit);
      const shift = this.#btf.littleEndian ? at & 7 : 7 - (at & 7);
      value = (value << 1n) | BigInt((this.#bytes[offset + (at >> 3)]! >> shift) & 1);
    }
    return number(value);
  }

  #array(element: BtfTypeId, length: number, offset: number): Plain {
    const size = sizeOf(this.#btf, element);
    const type = this.#btf.type(element);
    if (
      type.kind === 'int' &&
      type.size === 1 &&
      ((type.encoding & INT_CHAR) !== 0 || type.name === 'char')
    ) {
      const text = printable(this.#bytes.subarray(offset, offset + length));
      if (text !== undefined) return text;
    }
    return Array.from({ length }, (_, i) => this.value(element, offset + i * size));
  }

  #network(name: string, offset: number): Plain {
    const size = NETWORK[name]!;
    if (size === 4) return Array.from(this.#bytes.subarray(offset, offset + 4)).join('.');
    let value = 0n;
    for (let i = 0; i < size; i++) value = (value << 8n) | BigInt(this.#bytes[offset + i]!);
    return number(value);
  }

  #integer(offset: number, size: number, signed: boolean): bigint {
    let value = 0n;
    for (let i = 0; i < size; i++) {
      const at = offset + (this.#btf.littleEndian ? size - 1 - i : i);
      value = (value << 8n) | BigInt(this.#bytes[at]!);
    }
    return signed ? BigInt.asIntN(size * 8, value) : value;
  }

  #raw(offset: number, size: number): string {
    return hexBytes(this.#bytes.subarray(offset, offset + size));
  }
}

function number(value: bigint): number | string {
  const plain = Number(value);
  return Number.isSafeInteger(plain) ? plain : value.toString();
}

/** The text before the first zero, if the rest is zeros and all of it can be shown. */
function printable(bytes: Uint8Array): string | undefined {
  const end = bytes.indexOf(0);
  const text = end < 0 ? bytes : bytes.subarray(0, end);
  if (end >= 0 && bytes.subarray(end).some((byte) => byte !== 0)) return undefined;
  if (text.some((byte) => byte < 0x20 || byte > 0x7e)) return undefined;
  return String.fromCharCode(...text);
}

/** RFC 5952: the longest run of zero groups becomes `::`; a mapped IPv4 address keeps its dots. */
export function ipv6(bytes: Uint8Array): string {
  if (bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff) {
    return `::ffff:${bytes.subarray(12).join('.')}`;
  }
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[i * 2]! << 8) | bytes[i * 2 + 1]!).toString(16));
  let best = { at: 0, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (groups[at + length] === '0') length++;
    if (length > best.length) best = { at, length };
  }
  if (best.length < 2) return groups.join(':');
  return `${groups.slice(0, best.at).join(':')}::${groups.slice(best.at + best.length).join(':')}`;
}

/** Plain data on one line, as a C initialiser would name it: `{syns: 8, last_port: 80}`. */
export function lineOf(value: Plain): string {
  if (Array.isArray(value)) return `[${value.map(lineOf).join(', ')}]`;
  if (value !== null && typeof value === 'object') {
    return `{${Object.entries(value)
      .map(([name, item]) => `${name}: ${lineOf(item)}`)
      .join(', ')}}`;
  }
  return String(value);
}

/** A type as C names it: `struct syn_stats`, `__be32`. */
export function typeLabel(btf: Btf | undefined, id: BtfTypeId): string {
  if (btf === undefined || id === 0) return '';
  const type = btf.type(id);
  switch (type.kind) {
    case 'struct':
    case 'union':
    case 'enum':
      return type.name === '' ? type.kind : `${type.kind} ${type.name}`;
    case 'enum64':
      return type.name === '' ? 'enum' : `enum ${type.name}`;
    case 'const':
    case 'volatile':
    case 'restrict':
    case 'type_tag':
      return typeLabel(btf, type.type);
    case 'array':
      return `${typeLabel(btf, type.type)}[${type.length}]`;
    case 'ptr':
      return 'pointer';
    default:
      return 'name' in type ? type.name : '';
  }
}
