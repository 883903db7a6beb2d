/**
 * Values of a BTF type as plain JavaScript, read from and written to memory.
 *
 * | C | JavaScript |
 * |--|--|
 * | integer, bitfield of up to 4 bytes of storage | number |
 * | larger integer | bigint |
 * | `_Bool` | boolean |
 * | enum | the enumerator's name; a number or bigint where none has the value |
 * | pointer | `0x…` |
 * | float, double | number |
 * | `char[n]` | the text up to the zero, where it is text; else an array |
 * | array | array |
 * | struct, union | object; members of anonymous ones stand among the outer ones |
 * | variable, section | the variable's value; an object by variable name |
 */
import { InputError } from '../base/error.ts';
import { readBits, signExtend, writeBits } from './bits.ts';
import type { Btf } from './btf.ts';
import { INT_BOOL, INT_CHAR, INT_SIGNED } from './kinds.ts';
import { resolve, resolveType, sizeOf, skipQualifiers, trySizeOf } from './size.ts';
import type { BtfArray, BtfComposite, BtfEnum, BtfEnum64, BtfInt, BtfMember, BtfTypeId } from './type.ts';

/** A value that {@link decodeValue} gives. */
export type BtfValue =
  | number
  | bigint
  | boolean
  | string
  | null
  | readonly BtfValue[]
  | { readonly [name: string]: BtfValue };

/** A value that {@link encodeValue} takes: what was decoded, numbers as text, bytes for an array, objects in part. */
export type BtfValueInput =
  | BtfValue
  | Uint8Array
  | readonly BtfValueInput[]
  | { readonly [name: string]: BtfValueInput };

/** The place of an integer in memory. */
export interface BitPlace {
  readonly offset: number;
  readonly width: number;
}

/**
 * Reads a value of a type.
 * @param bytes at least as many as the type is large; what follows is ignored
 * @throws InputError if the type has no values or the bytes are too few
 */
export function decodeValue(btf: Btf, id: BtfTypeId, bytes: Uint8Array): BtfValue {
  needBytes(btf, id, bytes);
  return decodeAt(btf, id, bytes, 0, 0);
}

/** Fails unless the bytes hold a value of the type. */
export function needBytes(btf: Btf, id: BtfTypeId, bytes: Uint8Array): void {
  const size = sizeOf(btf, id);
  if (bytes.length < size) {
    throw new InputError(
      'btf-value',
      `${btf.name}: a value of ${btf.describe(resolve(btf, id))} takes ${size} bytes, but there are ${bytes.length}`,
    );
  }
}

/** Where the bits of an integer member are. Old compilers say a bitfield's place in its INT. */
export function intPlace(type: BtfInt, bitOffset: number, bitSize: number): BitPlace {
  return bitSize > 0
    ? { offset: bitOffset, width: bitSize }
    : { offset: bitOffset + type.bitOffset, width: Math.min(type.bits, type.size * 8) };
}

/** Fails unless a part lies inside its value: sizes and members of BTF that no compiler made can disagree. */
export function checkPlace(btf: Btf, { offset, width }: BitPlace, bytes: Uint8Array): void {
  if (offset + width > bytes.length * 8) {
    throw new InputError(
      'btf-value',
      `${btf.name}: a member at bit ${offset} (${width} bits) lies outside the ${bytes.length} bytes of its value`,
    );
  }
}

/** The bits of an integer or enum, unsigned. */
export function readPlace(btf: Btf, place: BitPlace, bytes: Uint8Array): bigint {
  checkPlace(btf, place, bytes);
  return readBits(bytes, place.offset, place.width, btf.littleEndian);
}

function decodeAt(btf: Btf, id: BtfTypeId, bytes: Uint8Array, bitOffset: number, bitSize: number): BtfValue {
  const type = resolveType(btf, id);
  switch (type.kind) {
    case 'int': {
      const place = intPlace(type, bitOffset, bitSize);
      const raw = readPlace(btf, place, bytes);
      if (type.encoding & INT_BOOL) return raw !== 0n;
      const value = type.encoding & INT_SIGNED ? signExtend(raw, place.width) : raw;
      return type.size > 4 ? value : Number(value);
    }
    case 'enum':
    case 'enum64': {
      const width = bitSize > 0 ? bitSize : type.size * 8;
      return enumValue(type, readPlace(btf, { offset: bitOffset, width }, bytes), width);
    }
    case 'ptr': {
      const place = { offset: bitOffset, width: btf.pointerSize * 8 };
      return `0x${readPlace(btf, place, bytes).toString(16)}`;
    }
    case 'float':
      return readFloat(btf, type.size, readPlace(btf, { offset: bitOffset, width: type.size * 8 }, bytes));
    case 'array': {
      const text = arrayText(btf, type, bytes, bitOffset);
      if (text !== undefined) return text;
      const size = trySizeOf(btf, type.type) ?? 0;
      if (size === 0) return [];
      checkPlace(btf, { offset: bitOffset, width: type.length * size * 8 }, bytes);
      return Array.from({ length: type.length }, (_, i) =>
        decodeAt(btf, type.type, bytes, bitOffset + i * size * 8, 0),
      );
    }
    case 'struct':
    case 'union': {
      const fields: [string, BtfValue][] = [];
      decodeMembers(btf, type, bytes, bitOffset, fields);
      return Object.fromEntries(fields);
    }
    case 'var':
      return decodeAt(btf, type.type, bytes, bitOffset, 0);
    case 'datasec':
      return Object.fromEntries(
        type.vars.map(({ type: variable, offset }) => [
          btf.nameOf(variable),
          decodeAt(btf, variable, bytes, bitOffset + offset * 8, 0),
        ]),
      );
    default:
      return null;
  }
}

function decodeMembers(
  btf: Btf,
  type: BtfComposite,
  bytes: Uint8Array,
  bitOffset: number,
  out: [string, BtfValue][],
): void {
  for (const member of type.members) {
    const offset = bitOffset + member.bitOffset;
    if (member.name !== '') {
      out.push([member.name, decodeAt(btf, member.type, bytes, offset, member.bitSize)]);
      continue;
    }
    const inner = resolveType(btf, member.type);
    if (inner.kind === 'struct' || inner.kind === 'union') decodeMembers(btf, inner, bytes, offset, out);
  }
}

/** An enum's value by name, from its bits. */
export function enumValue(type: BtfEnum | BtfEnum64, raw: bigint, width: number): string | number | bigint {
  const value = type.signed ? signExtend(raw, width) : raw;
  const found =
    type.kind === 'enum'
      ? type.values.find((v) => BigInt(v.value) === value)
      : type.values.find((v) => v.value === value);
  if (found) return found.name;
  return type.size > 4 ? value : Number(value);
}

function readFloat(btf: Btf, size: number, raw: bigint): BtfValue {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, raw);
  if (size === 8) return view.getFloat64(0);
  if (size === 4) return view.getFloat32(4);
  throw new InputError('btf-value', `${btf.name}: a FLOAT of ${size} bytes can't be read as a number`);
}

/** An array of `char` itself; a typedef of `char` makes numbers. */
export function isCharArray(btf: Btf, type: BtfArray): boolean {
  const element = btf.type(skipQualifiers(btf, type.type));
  return (
    element.kind === 'int' && element.size === 1 && (element.encoding === INT_CHAR || element.name === 'char')
  );
}

const strict = new TextDecoder('utf-8', { fatal: true });

/** The text in a `char` array: printable up to the first zero. */
export function arrayText(
  btf: Btf,
  type: BtfArray,
  bytes: Uint8Array,
  bitOffset: number,
): string | undefined {
  if (type.length === 0 || bitOffset % 8 !== 0 || !isCharArray(btf, type)) return undefined;
  const place = bytes.subarray(bitOffset / 8, bitOffset / 8 + type.length);
  const zero = place.indexOf(0);
  const text = zero < 0 ? place : place.subarray(0, zero);
  if (text.some((byte) => (byte < 0x20 && byte !== 9 && byte !== 10 && byte !== 13) || byte === 0x7f))
    return undefined;
  try {
    return strict.decode(text);
  } catch {
    return undefined;
  }
}

/** Bytes of the largest value that is made in memory; Linux's own bound on a map's value is lower. */
const MAX_VALUE = 256 * 1024 * 1024;

/**
 * Writes a value of a type. Members that are not given are zero.
 * @param into bytes to change instead of new ones; then members that are not given stay as they are
 * @throws InputError naming the member and the value that does not fit
 */
export function encodeValue(btf: Btf, id: BtfTypeId, value: BtfValueInput, into?: Uint8Array): Uint8Array {
  if (into) needBytes(btf, id, into);
  const size = sizeOf(btf, id);
  if (size > MAX_VALUE) {
    throw new InputError(
      'btf-value',
      `${btf.name}: a value of ${btf.describe(id)} takes ${size} bytes, too many to hold`,
    );
  }
  const bytes = into ?? new Uint8Array(size);
  encodeAt({ btf, bytes, path: '' }, id, value, 0, 0);
  return bytes;
}

interface Target {
  readonly btf: Btf;
  readonly bytes: Uint8Array;
  /** Members from the outermost value, for messages. */
  readonly path: string;
}

function failValue(target: Target, id: BtfTypeId, value: unknown, problem: string): never {
  const shown = typeof value === 'object' && value !== null ? 'the value' : `${String(value)}`;
  const place = target.path === '' ? '' : ` at '${target.path.replace(/^\./, '')}'`;
  throw new InputError(
    'btf-value',
    `${target.btf.name}: writing ${target.btf.describe(resolve(target.btf, id))}${place}: ${shown} ${problem}`,
  );
}

function encodeAt(
  target: Target,
  id: BtfTypeId,
  value: BtfValueInput,
  bitOffset: number,
  bitSize: number,
): void {
  const { btf, bytes } = target;
  const type = resolveType(btf, id);
  switch (type.kind) {
    case 'int': {
      const place = intPlace(type, bitOffset, bitSize);
      const number =
        type.size === 1 && typeof value === 'string' && value.length === 1 && !/\d/.test(value)
          ? BigInt(value.charCodeAt(0))
          : integer(target, id, value);
      store(target, id, place, number, (type.encoding & INT_SIGNED) !== 0);
      return;
    }
    case 'enum':
    case 'enum64': {
      const width = bitSize > 0 ? bitSize : type.size * 8;
      const named = type.values.find(({ name }) => name === value);
      store(
        target,
        id,
        { offset: bitOffset, width },
        named ? BigInt(named.value) : integer(target, id, value),
        type.signed,
      );
      return;
    }
    case 'ptr':
      store(target, id, { offset: bitOffset, width: btf.pointerSize * 8 }, integer(target, id, value), false);
      return;
    case 'float': {
      if (typeof value !== 'number' || (type.size !== 4 && type.size !== 8)) {
        failValue(target, id, value, 'is not a number of that type');
      }
      const view = new DataView(new ArrayBuffer(8));
      if (type.size === 8) view.setFloat64(0, value);
      else view.setFloat32(4, value);
      store(target, id, { offset: bitOffset, width: type.size * 8 }, view.getBigUint64(0), false);
      return;
    }
    case 'array':
      encodeArray(target, id, type, value, bitOffset);
      return;
    case 'struct':
    case 'union':
      encodeMembers(target, id, type, value, bitOffset);
      return;
    case 'var':
      encodeAt(target, type.type, value, bitOffset, 0);
      return;
    case 'datasec': {
      const given = entries(target, id, value);
      for (const [name, item] of given) {
        const variable = type.vars.find((v) => btf.nameOf(v.type) === name);
        if (!variable) failValue(target, id, value, `has no variable '${name}'`);
        encodeAt({ btf, bytes, path: name }, variable.type, item, bitOffset + variable.offset * 8, 0);
      }
      return;
    }
    default:
      failValue(target, id, value, 'can not be written: the type has no values');
  }
}

function integer(target: Target, id: BtfTypeId, value: BtfValueInput): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'boolean') return value ? 1n : 0n;
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
  if (typeof value === 'string' && /^-?(0x[\da-f]+|\d+)$/i.test(value)) {
    return value.startsWith('-') ? -BigInt(value.slice(1)) : BigInt(value);
  }
  return failValue(target, id, value, 'is not an integer');
}

/** Accepts what either signedness of that width can hold: hexadecimal numbers are written for signed types too. */
function store(target: Target, id: BtfTypeId, place: BitPlace, value: bigint, signed: boolean): void {
  const limit = 1n << BigInt(place.width);
  if (value >= limit || value < (signed ? -limit / 2n : 0n)) {
    failValue(target, id, value, `does not fit ${signed ? 'signed' : 'unsigned'} ${place.width} bits`);
  }
  checkPlace(target.btf, place, target.bytes);
  writeBits(target.bytes, place.offset, place.width, value, target.btf.littleEndian);
}

function encodeArray(
  target: Target,
  id: BtfTypeId,
  type: BtfArray,
  value: BtfValueInput,
  bitOffset: number,
): void {
  const { btf, bytes } = target;
  const size = sizeOf(btf, type.type);
  if (typeof value === 'string' && size === 1) {
    const text = new TextEncoder().encode(value);
    if (text.length > type.length) failValue(target, id, value, `is longer than ${type.length} bytes`);
    checkPlace(btf, { offset: bitOffset, width: type.length * 8 }, bytes);
    bytes.fill(0, bitOffset / 8, bitOffset / 8 + type.length);
    bytes.set(text, bitOffset / 8);
    return;
  }
  if (!Array.isArray(value) && !(value instanceof Uint8Array))
    failValue(target, id, value, 'is not an array');
  if (value.length > type.length) {
    failValue(target, id, value, `has ${value.length} elements; the array has ${type.length}`);
  }
  for (const [i, item] of (value as readonly BtfValueInput[]).entries()) {
    encodeAt({ ...target, path: `${target.path}[${i}]` }, type.type, item, bitOffset + i * size * 8, 0);
  }
}

function entries(target: Target, id: BtfTypeId, value: BtfValueInput): [string, BtfValueInput][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    return failValue(target, id, value, 'is not an object of members');
  }
  return Object.entries(value);
}

function encodeMembers(
  target: Target,
  id: BtfTypeId,
  type: BtfComposite,
  value: BtfValueInput,
  bitOffset: number,
): void {
  const { btf } = target;
  const given = new Map(entries(target, id, value));
  const write = (composite: BtfComposite, start: number): void => {
    for (const member of composite.members) {
      const offset = start + member.bitOffset;
      const inner = anonymous(btf, member);
      if (inner) write(inner, offset);
      const item = member.name === '' ? undefined : given.get(member.name);
      if (item === undefined) continue;
      given.delete(member.name);
      encodeAt(
        { ...target, path: `${target.path}.${member.name}` },
        member.type,
        item,
        offset,
        member.bitSize,
      );
    }
  };
  write(type, bitOffset);
  for (const name of given.keys()) failValue(target, id, value, `has a member '${name}' that the type lacks`);
}

function anonymous(btf: Btf, member: BtfMember): BtfComposite | undefined {
  if (member.name !== '') return undefined;
  const type = resolveType(btf, member.type);
  return type.kind === 'struct' || type.kind === 'union' ? type : undefined;
}
