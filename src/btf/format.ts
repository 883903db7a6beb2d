/**
 * Prints values by their type: as `bpftool map dump` does (JSON, in its layout), and on one line for people.
 * A value is first made a tree of tokens, so that a caller can set it into a larger JSON text in the same layout.
 */

import { signExtend } from './bits.ts';
import type { Btf } from './btf.ts';
import { INT_BOOL, INT_CHAR, INT_SIGNED } from './kinds.ts';
import { resolve, resolveType, trySizeOf } from './size.ts';
import type { BtfArray, BtfComposite, BtfInt, BtfTypeId } from './type.ts';
import {
  arrayText,
  type BitPlace,
  checkPlace,
  decodeValue,
  enumValue,
  intPlace,
  isCharArray,
  needBytes,
  readPlace,
} from './value.ts';

/** JSON before it is laid out. `raw` is text that stands as it is: bpftool prints numbers in hexadecimal too. */
export type JsonTree =
  | { readonly kind: 'raw'; readonly text: string }
  | { readonly kind: 'array'; readonly items: readonly JsonTree[] }
  | { readonly kind: 'object'; readonly fields: readonly (readonly [name: string, value: JsonTree])[] };

export interface FormatOptions {
  /**
   * Valid JSON, as `bpftool -j` prints it: what is hexadecimal is quoted, pointers are decimal. Without it, as
   * `bpftool map dump` prints BTF values without options.
   */
  readonly json?: boolean;
}

function raw(text: string): JsonTree {
  return { kind: 'raw', text };
}

/** A value as bpftool prints it, not laid out yet. */
export function valueTree(btf: Btf, id: BtfTypeId, bytes: Uint8Array, options: FormatOptions = {}): JsonTree {
  needBytes(btf, id, bytes);
  return treeAt({ btf, bytes, style: options.json ? 'json' : 'plain' }, id, 0);
}

/**
 * A value as `bpftool map dump` prints it.
 * @param indent levels (of four spaces) that the text stands in; absent for one line
 */
export function formatValue(
  btf: Btf,
  id: BtfTypeId,
  bytes: Uint8Array,
  options: FormatOptions & { readonly indent?: number } = {},
): string {
  return writeJson(valueTree(btf, id, bytes, options), options.indent);
}

/**
 * Lays JSON out as bpftool's writer does: each member on its own line, elements of an array side by side.
 * @param indent levels that the text stands in; absent for one line
 */
export function writeJson(tree: JsonTree, indent?: number): string {
  const pretty = indent !== undefined;
  const line = (level: number): string => (pretty ? `\n${'    '.repeat(level)}` : '');
  const write = (node: JsonTree, level: number): string => {
    switch (node.kind) {
      case 'raw':
        return node.text;
      case 'array':
        if (node.items.length === 0) return '[]';
        return `[${node.items.map((item) => write(item, level + 1)).join(',')}${line(level)}]`;
      case 'object': {
        if (node.fields.length === 0) return '{}';
        const members = node.fields.map(
          ([name, value]) =>
            `${line(level + 1)}${JSON.stringify(name)}:${pretty ? ' ' : ''}${write(value, level + 1)}`,
        );
        return `{${members.join(',')}${line(level)}}`;
      }
    }
  };
  return write(tree, indent ?? 0);
}

interface Source {
  readonly btf: Btf;
  readonly bytes: Uint8Array;
  /** `plain` and `json` are bpftool's; `line` is for people. */
  readonly style: 'plain' | 'json' | 'line';
}

function treeAt(source: Source, id: BtfTypeId, bitOffset: number): JsonTree {
  const { btf, bytes, style } = source;
  const json = style === 'json';
  const type = resolveType(btf, id);
  switch (type.kind) {
    case 'int':
      return intTree(source, type, bitOffset);
    case 'enum':
    case 'enum64': {
      const width = type.size * 8;
      const value = enumValue(type, readPlace(btf, { offset: bitOffset, width }, bytes), width);
      return raw(typeof value === 'string' && style !== 'line' ? JSON.stringify(value) : String(value));
    }
    case 'ptr': {
      const value = readPlace(btf, { offset: bitOffset, width: btf.pointerSize * 8 }, bytes);
      if (json) return raw(String(value));
      const address = `0x${value.toString(16)}`;
      return raw(style === 'plain' ? JSON.stringify(value === 0n ? '(nil)' : address) : address);
    }
    case 'float':
      return raw(String(decodeValue(btf, resolve(btf, id), bytes.subarray(bitOffset / 8))));
    case 'array':
      return arrayTree(source, type, bitOffset);
    case 'struct':
    case 'union':
      return { kind: 'object', fields: memberTrees(source, type, bitOffset) };
    case 'var':
      return { kind: 'object', fields: [[type.name, treeAt(source, type.type, bitOffset)]] };
    case 'datasec': {
      const items = type.vars.map(({ type: variable, offset }) =>
        treeAt(source, variable, bitOffset + offset * 8),
      );
      return { kind: 'object', fields: [[type.name, { kind: 'array', items }]] };
    }
    case 'void':
      return raw(json ? '"(unknown)"' : '(unknown)');
    case 'fwd':
      return raw(json ? '"(fwd-kind-invalid)"' : '(fwd-kind-invalid)');
    default:
      return raw(json ? '"(unsupported-kind)"' : '(unsupported-kind)');
  }
}

function hex(value: bigint, style: Source['style']): JsonTree {
  const text = `0x${value.toString(16)}`;
  return raw(style === 'json' ? `"${text}"` : text);
}

/** A number where bpftool would print it in hexadecimal or, with GCC's signed CHAR, not at all. */
function decimal(type: BtfInt, place: BitPlace, value: bigint): JsonTree {
  return raw(String(type.encoding & INT_SIGNED ? signExtend(value, place.width) : value));
}

function intTree({ btf, bytes, style }: Source, type: BtfInt, bitOffset: number): JsonTree {
  const place = intPlace(type, bitOffset, 0);
  const value = readPlace(btf, place, bytes);
  const whole = type.bitOffset === 0 && place.offset % 8 === 0 && [8, 16, 32, 64].includes(place.width);
  if (!whole) return style === 'line' ? decimal(type, place, value) : hex(value, style);
  switch (type.encoding) {
    case 0:
      return raw(String(value));
    case INT_SIGNED:
      return raw(String(signExtend(value, place.width)));
    case INT_CHAR: {
      const code = Number(value & 0xffn);
      if (code >= 0x20 && code < 0x7f) return raw(`"${String.fromCharCode(code)}"`);
      if (style === 'json') return raw(`"\\u00${code.toString(16).padStart(2, '0')}"`);
      return raw(`0x${code.toString(16)}`);
    }
    case INT_BOOL:
      return raw(String(value !== 0n));
    default:
      return decimal(type, place, value);
  }
}

function memberTrees(source: Source, type: BtfComposite, bitOffset: number): (readonly [string, JsonTree])[] {
  return type.members.map((member) => {
    const offset = bitOffset + member.bitOffset;
    return [
      member.name,
      member.bitSize > 0
        ? bitfieldTree(source, member.type, { offset, width: member.bitSize })
        : treeAt(source, member.type, offset),
    ] as const;
  });
}

function bitfieldTree({ btf, bytes, style }: Source, id: BtfTypeId, place: BitPlace): JsonTree {
  const value = readPlace(btf, place, bytes);
  if (style !== 'line') return hex(value, style);
  const type = resolveType(btf, id);
  if (type.kind === 'enum' || type.kind === 'enum64') return raw(String(enumValue(type, value, place.width)));
  return type.kind === 'int' ? decimal(type, place, value) : hex(value, style);
}

function arrayTree(source: Source, type: BtfArray, bitOffset: number): JsonTree {
  const text =
    source.style === 'line'
      ? arrayText(source.btf, type, source.bytes, bitOffset)
      : asciiText(source, type, bitOffset);
  if (text !== undefined) return raw(JSON.stringify(text));
  const size = trySizeOf(source.btf, type.type) ?? 0;
  const length = size === 0 ? 0 : type.length;
  checkPlace(source.btf, { offset: bitOffset, width: length * size * 8 }, source.bytes);
  return {
    kind: 'array',
    items: Array.from({ length }, (_, i) => treeAt(source, type.type, bitOffset + i * size * 8)),
  };
}

/** A `char` array with a zero in it and printable ASCII before that. */
function asciiText({ btf, bytes }: Source, type: BtfArray, bitOffset: number): string | undefined {
  if (type.length === 0 || bitOffset % 8 !== 0 || !isCharArray(btf, type)) return undefined;
  const place = bytes.subarray(bitOffset / 8, bitOffset / 8 + type.length);
  const zero = place.indexOf(0);
  if (zero < 0) return undefined;
  const text = place.subarray(0, zero);
  return text.every((byte) => byte >= 0x20 && byte < 0x7f) ? String.fromCharCode(...text) : undefined;
}

/** Elements, or runs of equal ones, of an array that are shown on one line. */
const SHOWN_ELEMENTS = 16;

/**
 * A value on one line for people: `{saddr: 167772161, comm: "curl", seen: [1, 2, 0 × 14]}`. Enumerators stand without
 * quotes, members of anonymous structs among the outer ones; long arrays are cut, runs of equal elements counted.
 */
export function formatValueLine(btf: Btf, id: BtfTypeId, bytes: Uint8Array): string {
  needBytes(btf, id, bytes);
  return lineOf(treeAt({ btf, bytes, style: 'line' }, id, 0));
}

function lineOf(tree: JsonTree): string {
  switch (tree.kind) {
    case 'raw':
      return tree.text;
    case 'array':
      return `[${runs(tree.items.map(lineOf))}]`;
    case 'object':
      return `{${memberLines(tree.fields).join(', ')}}`;
  }
}

function memberLines(fields: readonly (readonly [string, JsonTree])[]): string[] {
  return fields.flatMap(([name, value]) =>
    name === '' && value.kind === 'object' ? memberLines(value.fields) : [`${name}: ${lineOf(value)}`],
  );
}

function runs(items: readonly string[]): string {
  const parts: string[] = [];
  for (let i = 0; i < items.length; ) {
    if (parts.length === SHOWN_ELEMENTS) return `${parts.join(', ')}, … ${items.length - i} more`;
    let end = i + 1;
    while (end < items.length && items[end] === items[i]) end++;
    if (end - i <= 3) end = i + 1;
    parts.push(end - i > 3 ? `${items[i]} × ${end - i}` : items[i]!);
    i = end;
  }
  return parts.join(', ');
}
