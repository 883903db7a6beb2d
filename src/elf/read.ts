/**
 * Reads an ELF64 file of either byte order: header, sections, symbols, relocations.
 *
 * Checked: every table and every section lies inside the file, no two sections share bytes of the file, every
 * link, name, symbol and relocation points at something that exists. Not checked: what the sections hold.
 */
import { ByteView } from '../base/bytes.ts';
import { InputError } from '../base/error.ts';
import { ELF_TYPE, ELF64_SIZE, EM_BPF, EM_NONE, SECTION_INDEX, SECTION_TYPE } from './facts.ts';

/** A section: its header's fields, and its bytes. */
export interface ElfSection {
  readonly index: number;
  readonly name: string;
  /** `SECTION_TYPE`. */
  readonly type: number;
  /** Bits of `SECTION_FLAG`. */
  readonly flags: number;
  /** Address when loaded; 0 in a relocatable object. */
  readonly addr: bigint;
  /** Of the first byte in the file. */
  readonly offset: number;
  /** Bytes; of memory when the section has none in the file (`nobits`). */
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly align: number;
  readonly entsize: number;
  /** The bytes in the file, shared with it; empty for `nobits`. */
  readonly data: Uint8Array;
}

/** A symbol of the file's symbol table. */
export interface ElfSymbol {
  readonly index: number;
  readonly name: string;
  /** In a relocatable object: offset in its section. */
  readonly value: number;
  /** Bytes. */
  readonly size: number;
  /** `SYMBOL_BIND`. */
  readonly bind: number;
  /** `SYMBOL_TYPE`. */
  readonly type: number;
  /** `SYMBOL_VISIBILITY`. */
  readonly visibility: number;
  /** Index of the section that defines it, or one of `SECTION_INDEX`. */
  readonly section: number;
}

/** A relocation: where in the target section, how, against which symbol. */
export interface ElfReloc {
  /** In the target section, in bytes. */
  readonly offset: number;
  readonly type: number;
  /** Index of the symbol. */
  readonly symbol: number;
  /** Of a RELA entry; a REL entry keeps its addend in the place that is relocated. */
  readonly addend: bigint | undefined;
}

/** The relocations of one section. */
export interface ElfRelocSection {
  /** The relocation section itself. */
  readonly section: ElfSection;
  /** Index of the section that is relocated. */
  readonly target: number;
  readonly relocs: readonly ElfReloc[];
}

/** What an ELF file says. */
export interface ElfFile {
  /** For messages. */
  readonly name: string;
  readonly littleEndian: boolean;
  /** `ELF_TYPE`. */
  readonly type: number;
  readonly machine: number;
  readonly flags: number;
  readonly entry: bigint;
  readonly sections: readonly ElfSection[];
  /** Of `.symtab`, or of `.dynsym` where the file has no other. Empty without either. */
  readonly symbols: readonly ElfSymbol[];
  readonly relocs: readonly ElfRelocSection[];
}

/**
 * Reads an ELF64 file.
 *
 * @param name what the file is called in messages
 * @throws InputError whose sentence names the file, the section and the offset of what is wrong
 */
export function readElf(bytes: Uint8Array, name: string): ElfFile {
  const view = identify(bytes, name);
  const half = (at: number) => view.u16(at, 'ELF header');
  const type = half(16);
  const machine = half(18);
  const entry = view.u64(24, 'ELF header');
  const flags = view.u32(48, 'ELF header');
  const sections = readSections(view, name);
  rejectOverlap(sections, view, name);
  const symtab =
    sections.find((s) => s.type === SECTION_TYPE.symtab) ??
    sections.find((s) => s.type === SECTION_TYPE.dynsym);
  const symbols = symtab ? readSymbols(sections, symtab, view) : [];
  const relocatable = type === ELF_TYPE.rel;
  const relocs = sections
    .filter((s) => s.type === SECTION_TYPE.rel || s.type === SECTION_TYPE.rela)
    .filter((s) => relocatable && s.link === symtab?.index)
    .map((s) => readRelocs(s, sections, symbols, view));
  const stray = sections.find(
    (s) =>
      relocatable &&
      (s.type === SECTION_TYPE.rel || s.type === SECTION_TYPE.rela) &&
      s.size > 0 &&
      s.link !== symtab?.index,
  );
  if (stray) {
    throw new InputError(
      'elf-link',
      `${where(name, stray)}: relocations at offset ${stray.offset} link to section ${stray.link}, ` +
        `which is not the symbol table`,
    );
  }
  return { name, littleEndian: view.littleEndian, type, machine, flags, entry, sections, symbols, relocs };
}

/**
 * Reads a relocatable BPF object: {@link readElf}, and the machine and the file type are what they must be.
 *
 * @throws InputError as {@link readElf}, and when the file is for another machine or is not relocatable
 */
export function readBpfElf(bytes: Uint8Array, name: string): ElfFile {
  const view = identify(bytes, name);
  const type = view.u16(16, 'ELF header');
  const machine = view.u16(18, 'ELF header');
  if (machine !== EM_BPF && machine !== EM_NONE) {
    throw new InputError(
      'elf-machine',
      `${name}: ELF header at offset 18: machine ${machine} is not BPF (${EM_BPF}); ` +
        `compile with clang --target=bpf`,
    );
  }
  if (type !== ELF_TYPE.rel) {
    throw new InputError(
      'elf-type',
      `${name}: ELF header at offset 16: file type ${type} is not a relocatable object (${ELF_TYPE.rel}); ` +
        `pass the .o that the compiler wrote`,
    );
  }
  return readElf(bytes, name);
}

/** Finds a section by name. */
export function findSection(elf: ElfFile, name: string): ElfSection | undefined {
  return elf.sections.find((s) => s.name === name);
}

/** How messages call a section: `a.o: section 3 (.text)`. */
export function where(file: string, section: { readonly index: number; readonly name: string }): string {
  return `${file}: section ${section.index}${section.name ? ` (${section.name})` : ''}`;
}

function identify(bytes: Uint8Array, name: string): ByteView {
  if (bytes.length === 0)
    throw new InputError('elf-empty', `${name}: the file is empty (0 bytes at offset 0)`);
  const magic = [0x7f, 0x45, 0x4c, 0x46];
  if (magic.some((byte, i) => i < bytes.length && bytes[i] !== byte)) {
    throw new InputError('elf-magic', `${name}: not an ELF file: the bytes at offset 0 are not 7f 45 4c 46`);
  }
  if (bytes.length < ELF64_SIZE.header) {
    throw new InputError(
      'elf-truncated',
      `${name}: the ELF header needs ${ELF64_SIZE.header} bytes at offset 0, but the file ends at ${bytes.length}`,
    );
  }
  if (bytes[4] !== 2) {
    const what = bytes[4] === 1 ? 'a 32-bit ELF file' : `of ELF class ${bytes[4]}`;
    throw new InputError('elf-class', `${name}: ELF header at offset 4: the file is ${what}; BPF is ELF64`);
  }
  if (bytes[5] !== 1 && bytes[5] !== 2) {
    throw new InputError(
      'elf-byte-order',
      `${name}: ELF header at offset 5: ${bytes[5]} is neither little-endian (1) nor big-endian (2)`,
    );
  }
  if (bytes[6] !== 1) {
    throw new InputError('elf-version', `${name}: ELF header at offset 6: version ${bytes[6]} is not 1`);
  }
  // A plain Uint8Array: slice() of a Node Buffer would share the caller's bytes.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new ByteView(plain, name, bytes[5] === 1);
}

/** A 64-bit field as a number; larger than any file is an error, not a rounding. */
function word(view: ByteView, at: number, item: string): number {
  const value = view.u64(at, item);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new InputError(
      'elf-range',
      `${view.what}: ${item} at offset ${view.origin + at} is ${value}, past any file`,
    );
  }
  return Number(value);
}

function readSections(view: ByteView, file: string): ElfSection[] {
  const tableAt = word(view, 40, 'section table offset');
  const entsize = view.u16(58, 'ELF header');
  let count = view.u16(60, 'ELF header');
  let namesIndex = view.u16(62, 'ELF header');
  if (tableAt === 0) return [];
  if (entsize !== ELF64_SIZE.section) {
    throw new InputError(
      'elf-section-table',
      `${file}: ELF header at offset 58: section headers of ${entsize} bytes, expected ${ELF64_SIZE.section}`,
    );
  }
  // More sections than the header's 16 bits can say: the first section header has the numbers.
  if (count === 0) count = word(view, tableAt + 32, 'section count');
  if (namesIndex === SECTION_INDEX.xindex) namesIndex = view.u32(tableAt + 40, 'section name table');
  view.check(tableAt, count * ELF64_SIZE.section, `section table (${count} sections)`);

  const headers = Array.from({ length: count }, (_, index) => {
    const at = tableAt + index * ELF64_SIZE.section;
    const item = `section header ${index}`;
    return {
      index,
      nameAt: view.u32(at, item),
      type: view.u32(at + 4, item),
      flags: Number(view.u64(at + 8, item) & 0xffffffffn),
      addr: view.u64(at + 16, item),
      offset: word(view, at + 24, `${item}: offset`),
      size: word(view, at + 32, `${item}: size`),
      link: view.u32(at + 40, item),
      info: view.u32(at + 44, item),
      align: word(view, at + 48, `${item}: alignment`),
      entsize: word(view, at + 56, `${item}: entry size`),
    };
  });
  const names = headers[namesIndex];
  if (count > 0 && (!names || names.type !== SECTION_TYPE.strtab)) {
    throw new InputError(
      'elf-link',
      `${file}: ELF header at offset 62: section ${namesIndex}, which should hold the section names, ` +
        (names ? 'is not a string table' : `does not exist (the file has ${count})`),
    );
  }
  const nameTable = names
    ? view.window(names.offset, names.size, `section ${namesIndex} (section names)`)
    : view;
  return headers.map(({ nameAt, ...header }) => {
    const name =
      header.type === SECTION_TYPE.null ? '' : string(nameTable, nameAt, `name of section ${header.index}`);
    const inFile = header.type !== SECTION_TYPE.nobits && header.type !== SECTION_TYPE.null;
    const data = inFile
      ? view.window(header.offset, header.size, `section ${header.index} (${name})`).bytes
      : new Uint8Array(0);
    return { ...header, name, data };
  });
}

function string(table: ByteView, at: number, item: string): string {
  if (at === 0 && table.length === 0) return '';
  if (at >= table.length) {
    throw new InputError(
      'elf-string',
      `${table.what}: ${item}: string offset ${at} is past the table of ${table.length} bytes at offset ${table.origin}`,
    );
  }
  return table.cstring(at, item);
}

function rejectOverlap(sections: readonly ElfSection[], view: ByteView, file: string): void {
  const tableAt = word(view, 40, 'section table offset');
  const places = sections
    .filter((s) => s.data.length > 0)
    .map((s) => ({ what: `section ${s.index} (${s.name})`, from: s.offset, to: s.offset + s.data.length }));
  places.push({ what: 'the ELF header', from: 0, to: ELF64_SIZE.header });
  if (sections.length > 0) {
    const to = tableAt + sections.length * ELF64_SIZE.section;
    places.push({ what: 'the section table', from: tableAt, to });
  }
  places.sort((a, b) => a.from - b.from || a.to - b.to);
  for (const [i, place] of places.entries()) {
    const next = places[i + 1];
    if (next && next.from < place.to) {
      throw new InputError(
        'elf-overlap',
        `${file}: ${next.what} at offset ${next.from} overlaps ${place.what} at offsets ${place.from} to ${place.to}`,
      );
    }
  }
}

/** A window on a section's bytes whose messages name it. */
function windowOf(section: ElfSection, view: ByteView): ByteView {
  return new ByteView(section.data, where(view.what, section), view.littleEndian, section.offset);
}

function stringTable(section: ElfSection, sections: readonly ElfSection[], view: ByteView): ByteView {
  const table = sections[section.link];
  if (table?.type !== SECTION_TYPE.strtab) {
    throw new InputError(
      'elf-link',
      `${where(view.what, section)}: the symbol table at offset ${section.offset} links to section ${section.link}, ` +
        (table ? 'which is not a string table' : 'which does not exist'),
    );
  }
  return windowOf(table, view);
}

function readSymbols(sections: readonly ElfSection[], symtab: ElfSection, view: ByteView): ElfSymbol[] {
  const names = stringTable(symtab, sections, view);
  const entries = windowOf(symtab, view);
  whole(entries, ELF64_SIZE.symbol, 'symbols');
  const extended = sections.find((s) => s.type === SECTION_TYPE.symtabShndx && s.link === symtab.index);
  const extendedView = extended ? windowOf(extended, view) : undefined;
  return Array.from({ length: entries.length / ELF64_SIZE.symbol }, (_, index) => {
    const at = index * ELF64_SIZE.symbol;
    const item = `symbol ${index}`;
    const info = entries.u8(at + 4, item);
    let section = entries.u16(at + 6, item);
    if (section === SECTION_INDEX.xindex && extendedView) section = extendedView.u32(index * 4, item);
    else if (section < SECTION_INDEX.loreserve && section >= sections.length) {
      throw new InputError(
        'elf-symbol',
        `${entries.what}: symbol ${index} at offset ${entries.origin + at} is in section ${section}, ` +
          `but the file has ${sections.length}`,
      );
    }
    return {
      index,
      name: string(names, entries.u32(at, item), `name of ${item}`),
      value: word(entries, at + 8, `${item}: value`),
      size: word(entries, at + 16, `${item}: size`),
      bind: info >> 4,
      type: info & 15,
      visibility: entries.u8(at + 5, item) & 3,
      section,
    };
  });
}

function whole(entries: ByteView, size: number, item: string): void {
  if (entries.length % size !== 0) {
    throw new InputError(
      'elf-table-size',
      `${entries.what}: ${entries.length} bytes of ${item} at offset ${entries.origin} are not a multiple of ${size}`,
    );
  }
}

function readRelocs(
  section: ElfSection,
  sections: readonly ElfSection[],
  symbols: readonly ElfSymbol[],
  view: ByteView,
): ElfRelocSection {
  const target = sections[section.info];
  if (!target || section.info === 0) {
    throw new InputError(
      'elf-link',
      `${where(view.what, section)}: relocations at offset ${section.offset} apply to section ${section.info}, ` +
        `which does not exist`,
    );
  }
  const rela = section.type === SECTION_TYPE.rela;
  const size = rela ? ELF64_SIZE.rela : ELF64_SIZE.rel;
  const entries = windowOf(section, view);
  whole(entries, size, 'relocations');
  const relocs = Array.from({ length: entries.length / size }, (_, index): ElfReloc => {
    const at = index * size;
    const item = `relocation ${index}`;
    const offset = word(entries, at, `${item}: offset`);
    const info = entries.u64(at + 8, item);
    const symbol = Number(info >> 32n);
    const addend = rela ? BigInt.asIntN(64, entries.u64(at + 16, item)) : undefined;
    if (offset >= target.size) {
      throw new InputError(
        'elf-reloc',
        `${entries.what}: ${item} at offset ${entries.origin + at} is for byte ${offset} of section ` +
          `${target.index} (${target.name}), which has ${target.size}`,
      );
    }
    if (symbol >= symbols.length) {
      throw new InputError(
        'elf-reloc',
        `${entries.what}: ${item} at offset ${entries.origin + at} names symbol ${symbol}, ` +
          `but the symbol table has ${symbols.length}`,
      );
    }
    return { offset, type: Number(info & 0xffffffffn), symbol, addend };
  });
  return { section, target: section.info, relocs };
}
