/** Writes BTF: the inverse of `parseBtf`. */
import { Bug, InputError } from '../base/error.ts';
import { type Btf, parseBtf } from './btf.ts';
import { BTF_HEADER_SIZE } from './header.ts';
import { BTF_KINDS, BTF_LINKAGES, BTF_MAGIC } from './kinds.ts';
import { BtfStringBuilder } from './strings.ts';
import type { BtfDeclaredType, BtfTypeId } from './type.ts';
import { wordBytes } from './words.ts';

export interface BtfBuilderOptions {
  /** The BTF that the new one continues. */
  readonly base?: Btf;
  /** Byte order of the result; the base's, or little-endian. */
  readonly littleEndian?: boolean;
}

/** Collects types and strings, and writes them as BTF. Ids are given in the order of adding. */
export class BtfBuilder {
  readonly base: Btf | undefined;
  readonly littleEndian: boolean;
  readonly strings: BtfStringBuilder;
  readonly #firstId: number;
  readonly #types: BtfDeclaredType[] = [];
  readonly #interned = new Map<string, BtfTypeId>();

  constructor(options: BtfBuilderOptions = {}, strings?: BtfStringBuilder) {
    this.base = options.base;
    this.littleEndian = options.littleEndian ?? options.base?.littleEndian ?? true;
    this.strings = strings ?? new BtfStringBuilder(undefined, options.base?.strings);
    this.#firstId = options.base?.endId ?? 1;
  }

  /** A builder that already holds a BTF's own types and strings, each at its id and offset. */
  static from(btf: Btf): BtfBuilder {
    const builder = new BtfBuilder(
      { ...(btf.base ? { base: btf.base } : {}), littleEndian: btf.littleEndian },
      new BtfStringBuilder(btf.strings),
    );
    for (const id of btf.ids()) builder.add(btf.type(id) as BtfDeclaredType);
    return builder;
  }

  /** The id that the next added type will get: a type may refer to ones that are added after it. */
  get nextId(): BtfTypeId {
    return (this.#firstId + this.#types.length) as BtfTypeId;
  }

  /** Adds a type. Its references are checked when the BTF is read again, not here. */
  add(type: BtfDeclaredType): BtfTypeId {
    const id = this.nextId;
    this.#types.push(type);
    return id;
  }

  /** The id of a type equal to this one, which is added unless it was interned before. */
  intern(type: BtfDeclaredType): BtfTypeId {
    const key = JSON.stringify(type, (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
    const known = this.#interned.get(key);
    if (known !== undefined) return known;
    const id = this.add(type);
    this.#interned.set(key, id);
    return id;
  }

  /** Replaces a type that was added, for instance a DATASEC whose size is known now. */
  replace(id: BtfTypeId, type: BtfDeclaredType): void {
    const index = id - this.#firstId;
    if (index < 0 || index >= this.#types.length) {
      throw new Bug(`replacing BTF type ${id}, which this builder has not added`);
    }
    this.#types[index] = type;
  }

  /** The BTF as bytes. */
  encode(): Uint8Array {
    const words: number[] = [];
    for (const [index, type] of this.#types.entries()) {
      encodeType(type, this.#firstId + index, this.strings, words);
    }
    const types = wordBytes(Uint32Array.from(words), this.littleEndian);
    const strings = this.strings.bytes();
    const bytes = new Uint8Array(BTF_HEADER_SIZE + types.length + strings.length);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, BTF_MAGIC, this.littleEndian);
    view.setUint8(2, 1);
    for (const [i, word] of [BTF_HEADER_SIZE, 0, types.length, types.length, strings.length].entries()) {
      view.setUint32(4 + i * 4, word, this.littleEndian);
    }
    bytes.set(types, BTF_HEADER_SIZE);
    bytes.set(strings, BTF_HEADER_SIZE + types.length);
    return bytes;
  }

  /** The BTF, read back. @param name what it is, for messages */
  build(name: string): Btf {
    return parseBtf(this.encode(), name, this.base);
  }
}

/**
 * Writes a BTF's own types and strings as bytes. Strings keep their offsets, so a `.BTF.ext` beside it stays valid.
 * @param types instead of the BTF's own types, by position
 */
export function encodeBtf(btf: Btf, types?: readonly BtfDeclaredType[]): Uint8Array {
  if (!types) return BtfBuilder.from(btf).encode();
  const builder = new BtfBuilder(
    { ...(btf.base ? { base: btf.base } : {}), littleEndian: btf.littleEndian },
    new BtfStringBuilder(btf.strings),
  );
  for (const type of types) builder.add(type);
  return builder.encode();
}

function encodeType(type: BtfDeclaredType, id: number, strings: BtfStringBuilder, out: number[]): void {
  const fail = (problem: string): never => {
    const label = BTF_KINDS[type.kind].label;
    throw new InputError(
      'btf-encode',
      `writing BTF type ${id} (${label} ${'name' in type ? type.name : ''}): ${problem}`,
    );
  };
  const start = (name: string, third: number, vlen = 0, flag = false): void => {
    if (vlen > 0xffff) fail(`it has ${vlen} elements; BTF holds up to 65535`);
    const info = ((flag ? 0x80000000 : 0) | (BTF_KINDS[type.kind].id << 24) | vlen) >>> 0;
    out.push(strings.add(name), info, third >>> 0);
  };
  switch (type.kind) {
    case 'int':
      start(type.name, type.size);
      out.push(((type.encoding << 24) | (type.bitOffset << 16) | type.bits) >>> 0);
      return;
    case 'ptr':
    case 'volatile':
    case 'const':
    case 'restrict':
      start('', type.type);
      return;
    case 'array':
      start('', 0);
      out.push(type.type, type.indexType, type.length);
      return;
    case 'struct':
    case 'union':
      start(type.name, type.size, type.members.length, type.bitfields);
      for (const member of type.members) {
        if (!type.bitfields && member.bitSize > 0)
          fail(`member ${member.name} is a bitfield, but 'bitfields' is false`);
        if (type.bitfields && (member.bitOffset > 0xffffff || member.bitSize > 0xff)) {
          fail(`member ${member.name} at bit ${member.bitOffset} is out of range in a struct with bitfields`);
        }
        const offset = type.bitfields ? (member.bitSize << 24) | member.bitOffset : member.bitOffset;
        out.push(strings.add(member.name), member.type, offset >>> 0);
      }
      return;
    case 'enum':
      start(type.name, type.size, type.values.length, type.signed);
      for (const { name, value } of type.values) out.push(strings.add(name), value >>> 0);
      return;
    case 'enum64':
      start(type.name, type.size, type.values.length, type.signed);
      for (const { name, value } of type.values) {
        const raw = BigInt.asUintN(64, value);
        out.push(strings.add(name), Number(raw & 0xffffffffn), Number(raw >> 32n));
      }
      return;
    case 'fwd':
      start(type.name, 0, 0, type.of === 'union');
      return;
    case 'typedef':
      start(type.name, type.type);
      return;
    case 'func':
      start(type.name, type.type, BTF_LINKAGES.indexOf(type.linkage));
      return;
    case 'func_proto':
      start('', type.returns, type.params.length);
      for (const { name, type: id } of type.params) out.push(strings.add(name), id);
      return;
    case 'var':
      start(type.name, type.type);
      out.push(BTF_LINKAGES.indexOf(type.linkage));
      return;
    case 'datasec':
      start(type.name, type.size, type.vars.length);
      for (const { type: id, offset, size } of type.vars) out.push(id, offset, size);
      return;
    case 'float':
      start(type.name, type.size);
      return;
    case 'decl_tag':
      start(type.name, type.type, 0, type.attribute);
      out.push(type.component >>> 0);
      return;
    case 'type_tag':
      start(type.name, type.type, 0, type.attribute);
      return;
    default:
      throw new Bug(`no encoding for BTF kind ${JSON.stringify(type satisfies never)}`);
  }
}
