/** Spells types and declarations in C, inside out as C has it: `int (*name[3])(struct foo *)`. */
import { InputError } from '../base/error.ts';
import type { Btf } from './btf.ts';
import { alignOf, trySizeOf } from './size.ts';
import type { BtfComposite, BtfEnum, BtfEnum64, BtfTypedef, BtfTypeId } from './type.ts';

/** What the names of types are in the text. */
export interface CNames {
  /** Of a struct, union or enum; empty if it has none. */
  tag(id: BtfTypeId): string;
  /** Of a typedef. */
  ident(id: BtfTypeId): string;
  /** Of an enumerator, each time that it is defined. */
  enumerator(name: string): string;
}

/** The names as the BTF has them. */
function ownNames(btf: Btf): CNames {
  return { tag: (id) => btf.nameOf(id), ident: (id) => btf.nameOf(id), enumerator: (name) => name };
}

/**
 * A declaration of `name` with that type, without the semicolon: `struct task_struct *parent`. With an empty name, the
 * type alone. An anonymous struct, union or enum is spelled out.
 */
export function declareC(btf: Btf, id: BtfTypeId, name = ''): string {
  return new CDeclarator(btf, ownNames(btf)).declaration(id, name, 0);
}

/** A function's prototype as C, without the semicolon. @param id a FUNC */
export function prototypeC(btf: Btf, id: BtfTypeId): string {
  const func = btf.typeOf(id, 'func');
  return declareC(btf, func.type, func.name);
}

const WORD_QUALIFIERS = ['volatile', 'const', 'restrict'];
const STRIPPED = [...WORD_QUALIFIERS, 'type_tag'];

/** An enum is as large as `int`, or larger if a value needs it; other sizes are asked for. */
const MODE_BYTE = ' __attribute__((mode(byte)))';
const MODE_WORD = ' __attribute__((mode(word)))';

/** Anonymous structs inside each other, by value or behind pointers; C gives each a level of braces. */
const MAX_NESTING = 64;

export class CDeclarator {
  readonly #btf: Btf;
  readonly #names: CNames;
  /** Anonymous structs that contain each other twice at each level would make a text without end. */
  #budget: number;
  readonly #strip: boolean;

  /** @param strip leave out `const`, `volatile`, `restrict` and type tags, wherever they stand */
  constructor(btf: Btf, names: CNames, strip = false) {
    this.#btf = btf;
    this.#names = names;
    this.#strip = strip;
    this.#budget = 1_000_000 + 20 * btf.endId;
  }

  /** `struct foo`. */
  tagged(id: BtfTypeId, keyword: 'struct' | 'union' | 'enum'): string {
    const name = this.#names.tag(id);
    return name === '' ? keyword : `${keyword} ${name}`;
  }

  typedefDefinition(id: BtfTypeId, type: BtfTypedef): string {
    const name = this.#names.ident(id);
    // Old GCC describes it as a typedef of void.
    if (type.type === 0 && name === '__gnuc_va_list') return 'typedef __builtin_va_list __gnuc_va_list';
    return `typedef ${this.declaration(type.type, name, 0)}`;
  }

  enumDefinition(id: BtfTypeId, type: BtfEnum | BtfEnum64, level: number): string {
    const head = this.tagged(id, 'enum');
    if (type.values.length === 0) return head;
    const suffix = type.kind === 'enum64' ? (type.signed ? 'LL' : 'ULL') : '';
    const lines = type.values.map(
      ({ name, value }) => `\n${indent(level + 1)}${this.#names.enumerator(name)} = ${value}${suffix},`,
    );
    let mode = '';
    if (type.size === 1) mode = MODE_BYTE;
    else if (type.size === 8 && this.#btf.pointerSize === 8) {
      const wide =
        type.kind === 'enum64' && type.values.some(({ value }) => BigInt.asUintN(64, value) >> 32n !== 0n);
      if (!wide) mode = MODE_WORD;
    }
    return `${head} {${lines.join('')}\n${indent(level)}}${mode}`;
  }

  structDefinition(id: BtfTypeId, type: BtfComposite, level: number): string {
    const btf = this.#btf;
    if (level > MAX_NESTING) this.#fail(id, `it is nested more than ${MAX_NESTING} deep`);
    const struct = type.kind === 'struct';
    const packed = struct && isPacked(btf, type);
    const align = alignOf(btf, id);
    const text = [`${this.tagged(id, type.kind)} {`];
    const pad = indent(level + 1);
    let end = 0;
    let afterBitfield = false;
    for (const member of type.members) {
      const bitfield = member.bitSize > 0;
      const memberAlign = packed ? 1 : alignOf(btf, member.type);
      for (const line of padding(btf, end, member.bitOffset, memberAlign, afterBitfield && bitfield)) {
        text.push(`\n${pad}${line};`);
      }
      text.push(`\n${pad}${this.declaration(member.type, member.name, level + 1)}`);
      text.push(bitfield ? `: ${member.bitSize};` : ';');
      end = member.bitOffset + (bitfield ? member.bitSize : (trySizeOf(btf, member.type) ?? 0) * 8);
      afterBitfield = bitfield;
    }
    if (struct) {
      for (const line of padding(btf, end, type.size * 8, align, false)) text.push(`\n${pad}${line};`);
    }
    text.push(type.members.length > 0 || type.size > 0 ? `\n${indent(level)}}` : '}');
    if (packed) text.push(' __attribute__((packed))');
    return text.join('');
  }

  /** A declaration of `name`; `level` is the indentation of what is spelled out. */
  declaration(id: BtfTypeId, name: string, level: number): string {
    // From the outermost type (a pointer, say) to the one that is named: C writes them in the reverse order.
    const chain: BtfTypeId[] = [];
    if (this.#budget-- <= 0) this.#fail(id, 'the text has too many members');
    for (let at = id; ; ) {
      const type = this.#btf.type(at);
      if (!this.#strip || !STRIPPED.includes(type.kind)) chain.push(at);
      if (type.kind === 'func_proto') at = type.returns;
      else if (
        type.kind === 'ptr' ||
        type.kind === 'volatile' ||
        type.kind === 'const' ||
        type.kind === 'restrict' ||
        type.kind === 'type_tag' ||
        type.kind === 'array'
      ) {
        at = type.type;
      } else break;
    }
    return this.#spell(chain, name, level);
  }

  #fail(id: BtfTypeId, problem: string): never {
    throw new InputError(
      'btf-nesting',
      `${this.#btf.name}: ${this.#btf.describe(id)} can't be written as C: ${problem}`,
    );
  }

  /** Consumes the chain from its inner end. */
  #spell(chain: BtfTypeId[], name: string, level: number): string {
    let text = '';
    // So that a `*` that begins the text, in parentheses, has no space before it.
    let afterPointer = true;
    const separated = (): string => (name !== '' && !afterPointer ? ` ${name}` : name);
    for (let id = chain.pop(); id !== undefined; id = chain.pop()) {
      const type = this.#btf.type(id);
      switch (type.kind) {
        case 'ptr':
          text += afterPointer ? '*' : ' *';
          break;
        case 'volatile':
        case 'const':
        case 'restrict':
          text += ` ${type.kind}`;
          break;
        case 'type_tag': {
          const attribute = type.attribute ? type.name : `btf_type_tag("${type.name}")`;
          text += `${this.#leadingQualifiers(chain)} __attribute__((${attribute}))`;
          break;
        }
        case 'array': {
          this.#dropQualifiers(chain);
          const dimension = `[${type.length}]`;
          if (chain.length === 0) return `${text}${separated()}${dimension}`;
          const many = this.#btf.kind(chain[chain.length - 1]!) === 'array';
          const space = name !== '' && !afterPointer ? ' ' : '';
          const inner = this.#spell(chain, name, level);
          return `${text}${space}${many ? inner : `(${inner})`}${dimension}`;
        }
        case 'func_proto': {
          this.#dropQualifiers(chain);
          text += chain.length > 0 ? ` (${this.#spell(chain, name, level)})` : separated();
          const last = type.params.length - 1;
          const params = type.params.map((param, i) =>
            i === last && param.type === 0 ? '...' : this.declaration(param.type, param.name, level),
          );
          const none = last < 0 || (last === 0 && type.params[0]!.type === 0);
          return `${text}(${none ? 'void' : params.join(', ')})`;
        }
        default:
          text += this.#leadingQualifiers(chain) + this.#named(id, level);
      }
      afterPointer = type.kind === 'ptr';
    }
    return text + separated();
  }

  #named(id: BtfTypeId, level: number): string {
    const type = this.#btf.type(id);
    switch (type.kind) {
      case 'struct':
      case 'union':
        return type.name === '' ? this.structDefinition(id, type, level) : this.tagged(id, type.kind);
      case 'enum':
      case 'enum64':
        return type.name === '' ? this.enumDefinition(id, type, level) : this.tagged(id, 'enum');
      case 'fwd':
        return `${type.of} ${type.name}`;
      case 'typedef':
        return this.#names.ident(id);
      case 'void':
        return 'void';
      default:
        return 'name' in type ? type.name : '';
    }
  }

  /** Qualifiers of what comes next stand before it, outermost last in the chain. */
  #leadingQualifiers(chain: BtfTypeId[]): string {
    let text = '';
    for (let id = chain.at(-1); id !== undefined; id = chain.at(-1)) {
      const kind = this.#btf.kind(id);
      if (!WORD_QUALIFIERS.includes(kind)) break;
      text += `${kind} `;
      chain.pop();
    }
    return text;
  }

  /** GCC qualifies an array where its elements are qualified, and a function that does not return; C can't say so. */
  #dropQualifiers(chain: BtfTypeId[]): void {
    for (let id = chain.at(-1); id !== undefined; id = chain.at(-1)) {
      const kind = this.#btf.kind(id);
      if (kind !== 'type_tag' && !WORD_QUALIFIERS.includes(kind)) return;
      chain.pop();
    }
  }
}

function indent(level: number): string {
  return '\t'.repeat(level);
}

/** A member stands where C would not put it, or the size is none that C would give. */
function isPacked(btf: Btf, type: BtfComposite): boolean {
  let max = 1;
  for (const member of type.members) {
    const align = alignOf(btf, member.type);
    if (align > 0 && member.bitSize === 0 && member.bitOffset % (8 * align) !== 0) return true;
    max = Math.max(max, align);
  }
  return type.size % max !== 0;
}

/**
 * Unnamed bitfields that fill the gap between two members (`long: 64`), or that move the next one to a boundary
 * (`int: 0`). Where C's own alignment closes the gap there is nothing to say.
 * @param from end of the previous member, in bits
 * @param to start of the next member, in bits
 * @param align of the next member, in bytes
 * @param bitfields whether the gap is between two bitfields, where alignment does nothing
 */
function padding(btf: Btf, from: number, to: number, align: number, bitfields: boolean): string[] {
  if (from >= to) return [];
  const units = [
    { name: 'long', bits: btf.pointerSize * 8 },
    { name: 'int', bits: 32 },
    { name: 'short', bits: 16 },
    { name: 'char', bits: 8 },
  ] as const;
  const lines: string[] = [];
  // The largest unit with a boundary inside the gap.
  const unit = units.find(({ bits }) => roundUp(from, bits) <= to) ?? units[3];
  const boundary = roundUp(from, unit.bits);
  let at = from;
  if (boundary > at && boundary <= to) {
    const natural = boundary === to && roundUp(at, Math.max(align, 1) * 8) === boundary;
    const swallowed = boundary !== to && to - boundary <= boundary - at;
    if (bitfields) lines.push(`${unit.name}: ${boundary - at}`);
    else if ((boundary === to && !natural) || swallowed) lines.push(`${unit.name}: 0`);
    at = boundary;
  }
  if (to - at > MAX_PADDING * unit.bits) {
    throw new InputError(
      'btf-size',
      `${btf.name}: a struct with ${Math.floor((to - at) / 8)} bytes that no member takes is not written as C`,
    );
  }
  for (; to - at >= unit.bits; at += unit.bits) lines.push(`${unit.name}: ${unit.bits}`);
  if (at < to) {
    const rest = units.findLast(({ bits }) => bits >= to - at) ?? units[0];
    lines.push(`${rest.name}: ${to - at}`);
  }
  return lines;
}

/** Padding is a line for each 8 bytes. */
const MAX_PADDING = 65_536;

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
