/**
 * Values of a BTF type as what TypeScript has for them, compiled once for a type.
 *
 * | C | read as | written from, beside that |
 * |--|--|--|
 * | integer of up to 4 bytes | `number` | `bigint`; 4 bytes: an IPv4 address as text |
 * | integer of 8 or 16 bytes, pointer | `bigint` | `number` |
 * | `_Bool` | `boolean` | 0, 1 |
 * | enum | the enumerator's name; a number (`bigint`) where none has the value | a number |
 * | `float`, `double` | `number` | |
 * | `__be16`, `__be64` | `number`, `bigint`, in the host's order | |
 * | `__be32`, `struct in_addr` | an IPv4 address as text | a number, in the host's order |
 * | `struct in6_addr` | an IPv6 address as text | sixteen bytes |
 * | `char[n]` | text up to the zero; bytes where that is no UTF-8 | |
 * | `unsigned char[n]` | `Uint8Array` | an array; of 4 or 16: an address as text |
 * | other array | array | `Uint8Array` |
 * | struct, union | object; members of anonymous ones stand among the outer ones | |
 * | what the kernel keeps (`bpf_spin_lock`, `bpf_timer`, …) | left out | left out |
 *
 * What is not given is zero; a name that the type lacks is an error.
 */
import { InputError } from '../base/error.ts';
import {
  type Btf,
  type BtfComposite,
  type BtfEnum,
  type BtfEnum64,
  type BtfInt,
  type BtfMember,
  type BtfTypeId,
  INT_BOOL,
  INT_CHAR,
  INT_SIGNED,
  resolveType,
  skipQualifiers,
  trySizeOf,
} from '../btf/index.ts';
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from './address.ts';

/** What a value is read as. */
export type ViewValue =
  | number
  | bigint
  | boolean
  | string
  | Uint8Array
  | readonly ViewValue[]
  | { readonly [name: string]: ViewValue };

/** Reads and writes the values of one type. */
export interface Codec {
  /** Bytes. */
  readonly size: number;
  read(bytes: Uint8Array, view: DataView, offset: number): ViewValue;
  /** @param path of the value, for messages @throws InputError where it does not fit */
  write(bytes: Uint8Array, view: DataView, offset: number, value: unknown, path: string): void;
}

export interface CodecOptions {
  /** Members by name that are addresses, whatever their type says: of 4 bytes IPv4, of 16 IPv6. */
  readonly addresses?: readonly string[];
}

/** Structs that the kernel keeps in values. */
const KEPT: ReadonlySet<string> = new Set([
  'bpf_spin_lock',
  'bpf_res_spin_lock',
  'bpf_timer',
  'bpf_wq',
  'bpf_task_work',
  'bpf_list_head',
  'bpf_list_node',
  'bpf_rb_root',
  'bpf_rb_node',
  'bpf_refcount',
]);

/** Whether the kernel keeps structs of that name in values, so that they are left out. */
export function isKept(struct: string): boolean {
  return KEPT.has(struct);
}

/** @throws InputError where the type has no values */
export function compileCodec(btf: Btf, id: BtfTypeId, options: CodecOptions = {}): Codec {
  return new Compiler(btf, new Set(options.addresses)).type(id);
}

/** Bytes of no known type: they stay bytes. */
export function rawCodec(size: number): Codec {
  return {
    size,
    read: (bytes, _view, offset) => bytes.slice(offset, offset + size),
    write(bytes, _view, offset, value, path) {
      if (!(value instanceof Uint8Array) || value.length !== size) {
        throw misfit(path, value, `it has no type: pass its ${size} bytes as a Uint8Array`);
      }
      bytes.set(value, offset);
    },
  };
}

class Compiler {
  readonly #btf: Btf;
  readonly #addresses: ReadonlySet<string>;

  constructor(btf: Btf, addresses: ReadonlySet<string>) {
    this.#btf = btf;
    this.#addresses = addresses;
  }

  type(id: BtfTypeId): Codec {
    const btf = this.#btf;
    const named = btf.type(skipQualifiers(btf, id));
    if (named.kind === 'typedef') return networkCodec(named.name) ?? this.type(named.type);
    switch (named.kind) {
      case 'int':
        if (named.encoding & INT_BOOL) return boolCodec(named.size);
        return integerCodec(named.size, (named.encoding & INT_SIGNED) !== 0, btf.littleEndian);
      case 'enum':
      case 'enum64':
        return enumCodec(named, integerCodec(named.size, named.signed, btf.littleEndian));
      case 'ptr':
        return integerCodec(8, false, btf.littleEndian);
      case 'float':
        return floatCodec(named.size, btf.littleEndian);
      case 'array':
        return this.#array(named.type, named.length);
      case 'struct':
      case 'union':
        if (named.name === 'in6_addr' && named.size === 16) return IPV6_CODEC;
        if (named.name === 'in_addr' && named.size === 4) return IPV4_CODEC;
        return this.#composite(named);
      case 'var':
        return this.type(named.type);
      default:
        throw new InputError('view-type', `${btf.name}: ${btf.describe(id)} has no values`, {
          errno: 'EINVAL',
        });
    }
  }

  #array(element: BtfTypeId, length: number): Codec {
    const btf = this.#btf;
    const type = resolveType(btf, element);
    if (type.kind === 'int' && type.size === 1 && !(type.encoding & INT_BOOL)) {
      const plain = btf.type(skipQualifiers(btf, element));
      const isChar = plain.kind === 'int' && ((type.encoding & INT_CHAR) !== 0 || type.name === 'char');
      if (isChar) return textCodec(length);
      if (!(type.encoding & INT_SIGNED)) return bytesCodec(length);
    }
    return arrayCodec(this.type(element), length);
  }

  #composite(type: BtfComposite): Codec {
    const fields: Field[] = [];
    this.#fields(type, 0, fields);
    const byName = new Map(fields.map((field) => [field.name, field]));
    const what = type.name === '' ? `the ${type.kind}` : `${type.kind} ${type.name}`;
    return {
      size: type.size,
      read(bytes, view, offset) {
        const out: Record<string, ViewValue> = {};
        for (const { name, at, codec } of fields) out[name] = codec.read(bytes, view, offset + at);
        return out;
      },
      write(bytes, view, offset, value, path) {
        if (
          typeof value !== 'object' ||
          value === null ||
          Array.isArray(value) ||
          value instanceof Uint8Array
        ) {
          throw misfit(
            path,
            value,
            `${what} takes an object of its members: ${[...byName.keys()].join(', ')}`,
          );
        }
        bytes.fill(0, offset, offset + type.size);
        for (const [name, item] of Object.entries(value)) {
          if (item === undefined) continue;
          const field = byName.get(name);
          if (!field) {
            const known = [...byName.keys()].join(', ') || 'none';
            throw misfit(`${path}.${name}`, item, `${what} has no member ${name}; its members: ${known}`);
          }
          field.codec.write(bytes, view, offset + field.at, item, `${path}.${name}`);
        }
      },
    };
  }

  #fields(type: BtfComposite, start: number, out: Field[]): void {
    for (const member of type.members) {
      const inner = resolveType(this.#btf, member.type);
      const at = start + Math.floor(member.bitOffset / 8);
      const composite = inner.kind === 'struct' || inner.kind === 'union';
      if (member.name === '') {
        if (composite) this.#fields(inner, at, out);
        continue;
      }
      if (composite && KEPT.has(inner.name)) continue;
      out.push({ name: member.name, ...this.#field(member, inner, start) });
    }
  }

  #field(member: BtfMember, inner: ReturnType<typeof resolveType>, start: number): Omit<Field, 'name'> {
    const old = inner.kind === 'int' && (inner.bitOffset !== 0 || inner.bits < inner.size * 8);
    if (member.bitSize > 0 || (old && inner.kind === 'int')) return this.#bitfield(member, inner, start);
    const at = start + member.bitOffset / 8;
    const size = trySizeOf(this.#btf, member.type);
    if (this.#addresses.has(member.name)) {
      if (size === 4) return { at, codec: IPV4_CODEC };
      if (size === 16) return { at, codec: IPV6_CODEC };
    }
    return { at, codec: this.type(member.type) };
  }

  #bitfield(member: BtfMember, inner: ReturnType<typeof resolveType>, start: number): Omit<Field, 'name'> {
    const bits = inner.kind === 'int' && member.bitSize === 0 ? inner.bits : member.bitSize;
    const bit =
      start * 8 + member.bitOffset + (inner.kind === 'int' && member.bitSize === 0 ? inner.bitOffset : 0);
    const codec = bitsCodec(bit % 8, bits, inner, this.#btf.littleEndian);
    return {
      at: Math.floor(bit / 8),
      codec: inner.kind === 'enum' || inner.kind === 'enum64' ? enumCodec(inner, codec) : codec,
    };
  }
}

interface Field {
  readonly name: string;
  /** Bytes from the start. */
  readonly at: number;
  readonly codec: Codec;
}

function misfit(path: string, value: unknown, why: string): InputError {
  const shown =
    typeof value === 'string' ? `'${value}'` : typeof value === 'object' ? 'a value' : String(value);
  return new InputError('view-value', `writing ${path}: ${shown} does not fit: ${why}`, { errno: 'EINVAL' });
}

/** What a whole number is written as, checked. */
function toInteger(value: unknown, path: string, bits: number, signed: boolean): bigint {
  let integer: bigint;
  if (typeof value === 'bigint') integer = value;
  else if (typeof value === 'number' && Number.isInteger(value)) integer = BigInt(value);
  else throw misfit(path, value, `a whole number of ${bits} bits is needed`);
  const limit = 1n << BigInt(signed ? bits - 1 : bits);
  if (integer >= limit || integer < (signed ? -limit : 0n)) {
    throw misfit(
      path,
      value,
      `${signed ? 'signed' : 'unsigned'} ${bits} bits hold ${signed ? -limit : 0n} to ${limit - 1n}`,
    );
  }
  return integer;
}

function integerCodec(size: number, signed: boolean, little: boolean): Codec {
  const bits = size * 8;
  const min = signed ? -(2 ** (bits - 1)) : 0;
  const max = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
  const get = READ[signed ? `s${size}` : `u${size}`];
  if (size > 8 || !get)
    return bitsCodec(0, bits, { kind: 'int', size, encoding: signed ? INT_SIGNED : 0 } as BtfInt, little);
  return {
    size,
    read: (_bytes, view, offset) => get(view, offset, little),
    write(bytes, view, offset, value, path) {
      if (typeof value === 'string' && size === 4) {
        const address = parseIpv4(value);
        if (!address) throw misfit(path, value, 'a whole number is needed, or an IPv4 address');
        bytes.set(address, offset);
      } else if (size === 8) {
        view.setBigUint64(offset, BigInt.asUintN(64, toInteger(value, path, 64, signed)), little);
      } else {
        const number = typeof value === 'number' ? value : Number(toInteger(value, path, bits, signed));
        if (!Number.isInteger(number) || number < min || number > max) toInteger(value, path, bits, signed);
        if (size === 4) view.setUint32(offset, number >>> 0, little);
        else if (size === 2) view.setUint16(offset, number & 0xffff, little);
        else view.setUint8(offset, number & 0xff);
      }
    },
  };
}

const READ: Readonly<Record<string, (view: DataView, offset: number, little: boolean) => number | bigint>> = {
  u1: (view, offset) => view.getUint8(offset),
  s1: (view, offset) => view.getInt8(offset),
  u2: (view, offset, little) => view.getUint16(offset, little),
  s2: (view, offset, little) => view.getInt16(offset, little),
  u4: (view, offset, little) => view.getUint32(offset, little),
  s4: (view, offset, little) => view.getInt32(offset, little),
  u8: (view, offset, little) => view.getBigUint64(offset, little),
  s8: (view, offset, little) => view.getBigInt64(offset, little),
};

function bitsCodec(bit: number, bits: number, type: { readonly kind: string }, little: boolean): Codec {
  const int = type.kind === 'int' ? (type as BtfInt) : undefined;
  const enumerated =
    type.kind === 'enum' || type.kind === 'enum64' ? (type as BtfEnum | BtfEnum64) : undefined;
  const signed = int ? (int.encoding & INT_SIGNED) !== 0 : (enumerated?.signed ?? false);
  const bool = ((int?.encoding ?? 0) & INT_BOOL) !== 0;
  const wide = (int?.size ?? enumerated?.size ?? 4) > 4;
  const count = Math.ceil((bit + bits) / 8);
  const shift = BigInt(little ? bit : count * 8 - bit - bits);
  const mask = ((1n << BigInt(bits)) - 1n) << shift;
  const load = (bytes: Uint8Array, offset: number) => {
    let all = 0n;
    for (let i = 0; i < count; i++) all = (all << 8n) | BigInt(bytes[offset + (little ? count - 1 - i : i)]!);
    return all;
  };
  return {
    size: count,
    read(bytes, _view, offset) {
      const raw = (load(bytes, offset) & mask) >> shift;
      if (bool) return raw !== 0n;
      const value = signed ? BigInt.asIntN(bits, raw) : raw;
      return wide ? value : Number(value);
    },
    write(bytes, _view, offset, value, path) {
      const number = typeof value === 'boolean' ? BigInt(value) : toInteger(value, path, bits, signed);
      let all = (load(bytes, offset) & ~mask) | (BigInt.asUintN(bits, number) << shift);
      for (let i = 0; i < count; i++, all >>= 8n)
        bytes[offset + (little ? i : count - 1 - i)] = Number(all & 0xffn);
    },
  };
}

function boolCodec(size: number): Codec {
  return {
    size,
    read: (bytes, _view, offset) => bytes.subarray(offset, offset + size).some((byte) => byte !== 0),
    write(bytes, _view, offset, value, path) {
      if (value !== true && value !== false && value !== 0 && value !== 1) {
        throw misfit(path, value, 'true or false is needed');
      }
      bytes.fill(0, offset, offset + size);
      bytes[offset] = Number(value);
    },
  };
}

function enumCodec(type: BtfEnum | BtfEnum64, number: Codec): Codec {
  const names = new Map<bigint, string>();
  const values = new Map<string, bigint>();
  for (const { name, value } of type.values) {
    const integer = BigInt(value);
    values.set(name, integer);
    if (!names.has(integer)) names.set(integer, name);
  }
  return {
    size: number.size,
    read(bytes, view, offset) {
      const value = number.read(bytes, view, offset) as number | bigint;
      return names.get(BigInt(value)) ?? value;
    },
    write(bytes, view, offset, value, path) {
      const named = typeof value === 'string' ? values.get(value) : undefined;
      if (typeof value === 'string' && named === undefined) {
        throw misfit(path, value, `the enumerators are ${[...values.keys()].join(', ')}`);
      }
      number.write(bytes, view, offset, named ?? value, path);
    },
  };
}

function floatCodec(size: number, little: boolean): Codec {
  if (size !== 4 && size !== 8) return rawCodec(size);
  return {
    size,
    read: (_bytes, view, offset) =>
      size === 8 ? view.getFloat64(offset, little) : view.getFloat32(offset, little),
    write(_bytes, view, offset, value, path) {
      if (typeof value !== 'number') throw misfit(path, value, 'a number is needed');
      if (size === 8) view.setFloat64(offset, value, little);
      else view.setFloat32(offset, value, little);
    },
  };
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function textCodec(length: number): Codec {
  return {
    size: length,
    read(bytes, _view, offset) {
      const all = bytes.slice(offset, offset + length);
      const zero = all.indexOf(0);
      try {
        return utf8.decode(zero < 0 ? all : all.subarray(0, zero));
      } catch {
        return all;
      }
    },
    write(bytes, _view, offset, value, path) {
      const given = typeof value === 'string' ? new TextEncoder().encode(value) : value;
      writeBytes(bytes, offset, length, given, value, path, 'text');
    },
  };
}

function bytesCodec(length: number): Codec {
  const address = length === 4 ? parseIpv4 : length === 16 ? parseIpv6 : undefined;
  return {
    size: length,
    read: (bytes, _view, offset) => bytes.slice(offset, offset + length),
    write(bytes, _view, offset, value, path) {
      const given = typeof value === 'string' ? address?.(value) : value;
      writeBytes(bytes, offset, length, given, value, path, address ? 'bytes or an address' : 'bytes');
    },
  };
}

function writeBytes(
  bytes: Uint8Array,
  offset: number,
  length: number,
  given: unknown,
  value: unknown,
  path: string,
  what: string,
): void {
  const list =
    given instanceof Uint8Array || Array.isArray(given) ? (given as ArrayLike<unknown>) : undefined;
  if (!list || list.length > length)
    throw misfit(path, value, `at most ${length} ${length === 1 ? 'byte' : 'bytes'} fit: ${what}`);
  bytes.fill(0, offset, offset + length);
  for (let i = 0; i < list.length; i++) {
    bytes[offset + i] = Number(toInteger(list[i], `${path}[${i}]`, 8, false));
  }
}

function arrayCodec(element: Codec, length: number): Codec {
  const size = element.size * length;
  const address = size === 16 && element.size === 4 ? parseIpv6 : undefined;
  return {
    size,
    read: (bytes, view, offset) =>
      Array.from({ length }, (_, i) => element.read(bytes, view, offset + i * element.size)),
    write(bytes, view, offset, value, path) {
      const text = typeof value === 'string' ? address?.(value) : undefined;
      if (text) {
        bytes.set(text, offset);
        return;
      }
      const list =
        Array.isArray(value) || value instanceof Uint8Array ? (value as ArrayLike<unknown>) : undefined;
      if (!list || list.length > length) throw misfit(path, value, `an array of at most ${length} is needed`);
      bytes.fill(0, offset, offset + size);
      for (let i = 0; i < list.length; i++) {
        element.write(bytes, view, offset + i * element.size, list[i], `${path}[${i}]`);
      }
    },
  };
}

const IPV4_CODEC: Codec = {
  size: 4,
  read: (bytes, _view, offset) => formatIpv4(bytes, offset),
  write(bytes, view, offset, value, path) {
    const address = typeof value === 'string' ? parseIpv4(value) : value;
    if (address instanceof Uint8Array && address.length === 4) bytes.set(address, offset);
    else if (typeof value === 'string' || value instanceof Uint8Array) {
      throw misfit(path, value, 'an IPv4 address is needed, such as 10.0.0.1');
    } else view.setUint32(offset, Number(toInteger(value, path, 32, false)), false);
  },
};

const IPV6_CODEC: Codec = {
  size: 16,
  read: (bytes, _view, offset) => formatIpv6(bytes, offset),
  write(bytes, _view, offset, value, path) {
    const address = typeof value === 'string' ? parseIpv6(value) : value;
    if (!(address instanceof Uint8Array) || address.length !== 16) {
      throw misfit(path, value, 'an IPv6 address is needed, such as fe80::1');
    }
    bytes.set(address, offset);
  },
};

const BE16_CODEC = integerCodec(2, false, false);
const BE64_CODEC = integerCodec(8, false, false);

/** Typedefs that say what order their bytes are in. */
function networkCodec(typedef: string): Codec | undefined {
  switch (typedef) {
    case '__be16':
      return BE16_CODEC;
    case '__be32':
      return IPV4_CODEC;
    case '__be64':
      return BE64_CODEC;
    default:
      return undefined;
  }
}

/** A 32-bit number: an index, an id, a file descriptor. */
export const U32_CODEC: Codec = integerCodec(4, false, true);
