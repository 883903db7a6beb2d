/**
 * Links relocatable BPF objects into one: sections of a name are put together, global symbols are resolved, relocations
 * go with what they belong to. Types (`.BTF`, `.BTF.ext`) are the caller's to merge; what is for debuggers is left out.
 * @see https://docs.kernel.org/bpf/libbpf/libbpf_overview.html (static linking of BPF objects)
 */
import { InputError } from '../base/error.ts';
import { BPF_RELOC, relocName, SECTION_FLAG, SECTION_TYPE, SYMBOL_TYPE } from './facts.ts';
import { LinkedSymbols } from './link-symbols.ts';
import { type ElfFile, type ElfReloc, type ElfRelocSection, type ElfSection, where } from './read.ts';
import { type ElfRelocInput, type ElfSectionInput, writeElf } from './write.ts';

/** Sections that all objects must have alike; one of them is kept. */
const SHARED = new Set(['license', 'version']);
const TYPES = /^\.BTF(\.ext)?$/;
const LINKED_RELOCS: readonly number[] = [
  BPF_RELOC.insn64.code,
  BPF_RELOC.insn32.code,
  BPF_RELOC.abs64.code,
  BPF_RELOC.abs32.code,
];
const SLOT = 8;
/** Opcode of a call. */
const CALL = 0x85;

/** A section of the result while it grows. */
export interface LinkedSection {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly entsize: number;
  align: number;
  size: number;
  data: Uint8Array;
  readonly relocs: ElfRelocInput[];
  /** Index of the symbol that stands for the section, once there is one. */
  symbol: number | undefined;
}

/** Where a file's section went. */
export interface LinkedPlace {
  readonly section: LinkedSection;
  /** Of the file's first byte in the linked section. */
  readonly offset: number;
}

/** Collects objects, in the order in which they are added, and writes them as one. */
export class ElfLinker {
  readonly #sections = new Map<string, LinkedSection>();
  readonly #symbols = new LinkedSymbols();
  #littleEndian: boolean | undefined;

  /** Whether numbers begin with their low byte; that of the first file. */
  get littleEndian(): boolean {
    return this.#littleEndian ?? true;
  }

  get symbols(): Pick<LinkedSymbols, 'definition' | 'owner'> {
    return this.#symbols;
  }

  /**
   * Adds an object.
   * @returns where its sections went, by their names
   * @throws InputError when it does not go together with what was added before; the linker is of no use then
   */
  add(file: ElfFile): ReadonlyMap<string, LinkedPlace> {
    this.#littleEndian ??= file.littleEndian;
    if (file.littleEndian !== this.#littleEndian) {
      throw new InputError(
        'elf-link-order',
        `${file.name}: its byte order is not that of the objects before it`,
      );
    }
    const places = new Map<number, LinkedPlace>();
    for (const section of file.sections) {
      const place = isLinked(section) ? this.#append(file, section) : undefined;
      if (place) places.set(section.index, place);
    }
    const symbols = this.#symbols.add(file, places);
    for (const table of file.relocs) {
      const place = places.get(table.target);
      if (place) relocate(file, table, place, places, symbols);
    }
    return new Map([...places].map(([index, place]) => [file.sections[index]!.name, place]));
  }

  /** @returns nothing where the section is one that all share and that is there already */
  #append(file: ElfFile, section: ElfSection): LinkedPlace | undefined {
    const known = this.#sections.get(section.name);
    const same =
      known?.data.length === section.data.length && known.data.every((b, i) => b === section.data[i]);
    if (known && SHARED.has(section.name)) {
      if (same) return undefined;
      throw new InputError(
        'elf-link-shared',
        `${where(file.name, section)}: it differs from that of the objects before it; objects that are linked have one ${section.name}`,
      );
    }
    const fits =
      !known ||
      (known.type === section.type && known.flags === section.flags && known.entsize === section.entsize);
    if (!fits) {
      throw new InputError(
        'elf-link-section',
        `${where(file.name, section)}: its type and flags are not those of the section ${section.name} of the objects before it`,
      );
    }
    const into = known ?? this.#newSection(section);
    into.align = Math.max(into.align, section.align, 1);
    const offset = Math.ceil(into.size / into.align) * into.align;
    into.size = offset + section.size;
    if (section.type !== SECTION_TYPE.nobits) {
      const data = new Uint8Array(into.size);
      data.set(into.data);
      data.set(section.data, offset);
      into.data = data;
    }
    return { section: into, offset };
  }

  #newSection({ name, type, flags, entsize, align }: ElfSection): LinkedSection {
    const section: LinkedSection = {
      index: this.#sections.size,
      name,
      type,
      flags,
      entsize,
      align,
      size: 0,
      data: new Uint8Array(0),
      relocs: [],
      symbol: undefined,
    };
    this.#sections.set(name, section);
    return section;
  }

  /** The linked section of a name. */
  section(name: string): LinkedSection | undefined {
    return this.#sections.get(name);
  }

  /** Writes the object. @param types sections to stand behind the linked ones */
  write(types: readonly ElfSectionInput[]): Uint8Array {
    const sections = [...this.#sections.values()].map((section) => ({
      ...section,
      align: section.align || 1,
    }));
    return writeElf({
      littleEndian: this.littleEndian,
      sections: [...sections, ...types],
      symbols: this.#symbols.list,
    });
  }
}

/** Code and data; not tables, types, what is for debuggers, and the `.text` that compilers leave empty. */
function isLinked({ name, type, size }: ElfSection): boolean {
  if (type !== SECTION_TYPE.progbits && type !== SECTION_TYPE.nobits) return false;
  return !TYPES.test(name) && !name.startsWith('.debug_') && !(name === '.text' && size === 0);
}

/** Moves a section's relocations, and the addends that its instructions keep. */
function relocate(
  file: ElfFile,
  table: ElfRelocSection,
  { section, offset }: LinkedPlace,
  places: ReadonlyMap<number, LinkedPlace>,
  symbols: ReadonlyMap<number, number>,
): void {
  for (const reloc of table.relocs) {
    const target = file.symbols[reloc.symbol]!;
    const symbol = symbols.get(reloc.symbol);
    const failure = (problem: string) =>
      new InputError(
        'elf-link-reloc',
        `${where(file.name, table.section)}: the relocation of byte ${reloc.offset} of ` +
          `${file.sections[table.target]!.name} ${problem}`,
      );
    if (!LINKED_RELOCS.includes(reloc.type) || reloc.addend !== undefined) {
      throw failure(
        `is ${relocName(reloc.type)}${reloc.addend === undefined ? '' : ' with an addend'}, which can't be linked`,
      );
    }
    if (symbol === undefined) {
      throw failure(
        `is against ${target.name || `symbol ${reloc.symbol}`}, which is in no section that is linked`,
      );
    }
    if (target.type === SYMBOL_TYPE.section) {
      if (!(section.flags & SECTION_FLAG.execinstr))
        throw failure('is one of data against a section; give what it refers to a name');
      moveAddend(file, section.data, offset, reloc, places.get(target.section)?.offset ?? 0);
    }
    section.relocs.push({ offset: offset + reloc.offset, type: reloc.type, symbol });
  }
}

/** A reference to a section keeps the place in it in the instruction: bytes, or slots in a call. */
function moveAddend(file: ElfFile, data: Uint8Array, start: number, reloc: ElfReloc, by: number): void {
  const at = start + reloc.offset;
  if (at + SLOT > data.length) return;
  const view = new DataView(data.buffer, data.byteOffset);
  const moved = data[at] === CALL ? by / SLOT : by;
  view.setInt32(at + 4, view.getInt32(at + 4, file.littleEndian) + moved, file.littleEndian);
}
