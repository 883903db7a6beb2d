/**
 * `.BTF.ext`: what an object file says about its instructions — which function begins where, which source line each
 * came from, and which of them depend on the kernel's types (CO-RE). Records are grouped by ELF section; instruction
 * offsets are bytes from the start of that section.
 * @see Documentation/bpf/btf.rst §4.2
 */
import { ByteView } from '../base/bytes.ts';
import { InputError } from '../base/error.ts';
import type { Btf } from './btf.ts';
import { byteOrder } from './header.ts';
import { BTF_MAGIC } from './kinds.ts';
import type { BtfStringBuilder } from './strings.ts';
import type { BtfTypeId } from './type.ts';

/** A function begins at an instruction. */
export interface FuncInfo {
  /** Bytes from the section's start. */
  readonly insnOffset: number;
  /** A FUNC. */
  readonly type: BtfTypeId;
}

/** An instruction, and those after it up to the next record, come from a source line. */
export interface LineInfo {
  /** Bytes from the section's start. */
  readonly insnOffset: number;
  readonly file: string;
  /** The line's text as the compiler saw it. */
  readonly text: string;
  /** From 1; 0 is unknown. */
  readonly line: number;
  /** From 1; 0 is unknown. */
  readonly column: number;
  /** String offset of `file`, as the kernel wants it in PROG_LOAD's `line_info`. */
  readonly fileOffset: number;
  /** String offset of `text`. */
  readonly textOffset: number;
}

/** What a CO-RE relocation asks; the index is `enum bpf_core_relo_kind`. The names are those that libbpf logs. */
export const CORE_RELO_KINDS = [
  'byte_off',
  'byte_sz',
  'field_exists',
  'signed',
  'lshift_u64',
  'rshift_u64',
  'local_type_id',
  'target_type_id',
  'type_exists',
  'type_size',
  'enumval_exists',
  'enumval_value',
  'type_matches',
] as const;
export type CoreReloKind = (typeof CORE_RELO_KINDS)[number];

/** An instruction whose operand depends on the target's types. */
export interface CoreRelo {
  /** Bytes from the section's start. */
  readonly insnOffset: number;
  /** The type in the object's own BTF where the access begins. */
  readonly type: BtfTypeId;
  /** Indices from there, `0:1:2`: array element, then member or element at each step; an enumerator's index. */
  readonly access: string;
  readonly kind: CoreReloKind;
}

/** The records about one ELF section. */
export interface BtfExtSection<T> {
  /** ELF section name. */
  readonly section: string;
  readonly records: readonly T[];
}

export interface BtfExt {
  readonly funcInfo: readonly BtfExtSection<FuncInfo>[];
  readonly lineInfo: readonly BtfExtSection<LineInfo>[];
  readonly coreRelos: readonly BtfExtSection<CoreRelo>[];
}

/** Sizes of the records as they are known; a file may have longer ones, whose rest is not read. */
const FUNC_INFO_SIZE = 8;
const LINE_INFO_SIZE = 16;
const CORE_RELO_SIZE = 16;

/** Length of a header without and with CO-RE relocations. */
const HEADER_SIZE = 24;
const HEADER_SIZE_CORE = 32;

/**
 * Parses a `.BTF.ext` section.
 * @param name what the bytes are, for messages (`a.o: section .BTF.ext`)
 * @param btf the object's BTF, which holds the strings
 * @param origin offset of the bytes in their file, for messages
 */
export function parseBtfExt(bytes: Uint8Array, name: string, btf: Btf, origin = 0): BtfExt {
  const view = new ByteView(bytes, name, byteOrder(bytes, name, origin), origin);
  if (view.littleEndian !== btf.littleEndian) {
    throw new InputError('btf-ext', `${name}: its byte order differs from that of ${btf.name}`);
  }
  const version = view.u8(2, 'version');
  if (version !== 1) {
    throw new InputError(
      'btf-ext',
      `${name}: version ${version} at offset ${origin + 2} is unknown (1 is known)`,
    );
  }
  const header = view.u32(4, 'header length');
  if (header < HEADER_SIZE) {
    throw new InputError(
      'btf-ext',
      `${name}: the header length ${header} at offset ${origin + 4} is less than 24`,
    );
  }
  view.check(0, header, 'header');
  const text = (offset: number, at: number): string =>
    btf.strings.get(offset, `the string of the record at offset ${origin + at}`);
  const typeId = (at: number): BtfTypeId => {
    const id = view.u32(at, 'type id');
    if (id >= btf.endId) {
      throw new InputError(
        'btf-ext',
        `${name}: the record at offset ${origin + at} refers to type ${id}, but the highest type id is ${btf.endId - 1}`,
      );
    }
    return id as BtfTypeId;
  };
  const part = <T>(at: number, item: string, known: number, read: (at: number) => T): BtfExtSection<T>[] => {
    const size = view.u32(at + 4, `${item} size`);
    if (size === 0) return [];
    const start = header + view.u32(at, `${item} offset`);
    view.check(start, size, item);
    return readSections(view, { start, end: start + size, item, known }, text, read);
  };
  return {
    funcInfo: part(8, 'func_info', FUNC_INFO_SIZE, (at) => ({
      insnOffset: view.u32(at, 'instruction offset'),
      type: typeId(at + 4),
    })),
    lineInfo: part(16, 'line_info', LINE_INFO_SIZE, (at) => {
      const fileOffset = view.u32(at + 4, 'file name');
      const textOffset = view.u32(at + 8, 'line text');
      const place = view.u32(at + 12, 'line and column');
      return {
        insnOffset: view.u32(at, 'instruction offset'),
        file: text(fileOffset, at),
        text: text(textOffset, at),
        line: place >>> 10,
        column: place & 0x3ff,
        fileOffset,
        textOffset,
      };
    }),
    coreRelos:
      header < HEADER_SIZE_CORE
        ? []
        : part(24, 'CO-RE relocations', CORE_RELO_SIZE, (at) => {
            const kind = CORE_RELO_KINDS[view.u32(at + 12, 'kind')];
            if (kind === undefined) {
              throw new InputError(
                'btf-ext',
                `${name}: the CO-RE relocation at offset ${origin + at} has the unknown kind ${view.u32(at + 12, 'kind')}`,
              );
            }
            return {
              insnOffset: view.u32(at, 'instruction offset'),
              type: typeId(at + 4),
              access: text(view.u32(at + 8, 'access string'), at),
              kind,
            };
          }),
  };
}

interface Part {
  readonly start: number;
  readonly end: number;
  readonly item: string;
  /** Record size that the reader needs. */
  readonly known: number;
}

function readSections<T>(
  view: ByteView,
  { start, end, item, known }: Part,
  text: (offset: number, at: number) => string,
  read: (at: number) => T,
): BtfExtSection<T>[] {
  const fail = (at: number, problem: string): never => {
    throw new InputError('btf-ext', `${view.what}: ${item} at offset ${view.origin + at}: ${problem}`);
  };
  const recordSize = view.u32(start, `${item} record size`);
  if (recordSize < known || recordSize % 4 !== 0) {
    fail(start, `the record size ${recordSize} is not a multiple of 4 that is at least ${known}`);
  }
  const sections: BtfExtSection<T>[] = [];
  for (let at = start + 4; at < end; ) {
    if (at + 8 > end) fail(at, `a section header is cut off by the end at offset ${view.origin + end}`);
    const section = text(view.u32(at, 'section name'), at);
    const count = view.u32(at + 4, 'record count');
    const first = at + 8;
    if (count === 0) fail(at, `section '${section}' has no records`);
    if (first + count * recordSize > end) {
      fail(
        at,
        `the ${count} records of section '${section}' run past the end at offset ${view.origin + end}`,
      );
    }
    const records: T[] = new Array(count);
    for (let i = 0; i < count; i++) records[i] = read(first + i * recordSize);
    sections.push({ section, records });
    at = first + count * recordSize;
  }
  return sections;
}

/**
 * Writes a `.BTF.ext` section; the inverse of {@link parseBtfExt}.
 * @param strings the table that the BTF beside it is written with; strings that it lacks are added. Line records' string
 * offsets are looked up anew by their texts.
 */
export function encodeBtfExt(ext: BtfExt, strings: BtfStringBuilder, littleEndian = true): Uint8Array {
  const words: number[][] = [
    encodeSections(ext.funcInfo, FUNC_INFO_SIZE, strings, (r) => [r.insnOffset, r.type]),
    encodeSections(ext.lineInfo, LINE_INFO_SIZE, strings, (r) => [
      r.insnOffset,
      strings.add(r.file),
      strings.add(r.text),
      ((r.line << 10) | (r.column & 0x3ff)) >>> 0,
    ]),
    encodeSections(ext.coreRelos, CORE_RELO_SIZE, strings, (r) => [
      r.insnOffset,
      r.type,
      strings.add(r.access),
      CORE_RELO_KINDS.indexOf(r.kind),
    ]),
  ];
  const body = words.flat();
  const bytes = new Uint8Array(HEADER_SIZE_CORE + body.length * 4);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, BTF_MAGIC, littleEndian);
  view.setUint8(2, 1);
  view.setUint32(4, HEADER_SIZE_CORE, littleEndian);
  let offset = 0;
  for (const [i, part] of words.entries()) {
    view.setUint32(8 + i * 8, offset, littleEndian);
    view.setUint32(12 + i * 8, part.length * 4, littleEndian);
    offset += part.length * 4;
  }
  for (const [i, word] of body.entries()) view.setUint32(HEADER_SIZE_CORE + i * 4, word, littleEndian);
  return bytes;
}

function encodeSections<T>(
  sections: readonly BtfExtSection<T>[],
  recordSize: number,
  strings: BtfStringBuilder,
  encode: (record: T) => number[],
): number[] {
  const filled = sections.filter(({ records }) => records.length > 0);
  if (filled.length === 0) return [];
  return [
    recordSize,
    ...filled.flatMap(({ section, records }) => [
      strings.add(section),
      records.length,
      ...records.flatMap(encode),
    ]),
  ];
}
