/** Writes relocatable ELF64 files: the given sections and symbols, and the tables that ELF wants beside them. */
import { concatBytes } from '../base/bytes.ts';
import { Bug } from '../base/error.ts';
import {
  ELF_TYPE,
  ELF64_SIZE,
  EM_BPF,
  SECTION_FLAG,
  SECTION_INDEX,
  SECTION_TYPE,
  SYMBOL_BIND,
  SYMBOL_TYPE,
  SYMBOL_VISIBILITY,
} from './facts.ts';

/** A relocation of a section that is written; REL entries, as clang writes for BPF. */
export interface ElfRelocInput {
  readonly offset: number;
  readonly type: number;
  /** Index into {@link ElfInput.symbols}. */
  readonly symbol: number;
}

/** A section to be written. */
export interface ElfSectionInput {
  readonly name: string;
  /** `SECTION_TYPE`; default `progbits`. */
  readonly type?: number;
  /** Bits of `SECTION_FLAG`; default `alloc`. */
  readonly flags?: number;
  /** Default 8. */
  readonly align?: number;
  readonly entsize?: number;
  readonly data: Uint8Array;
  /** Bytes of memory, for `nobits`. */
  readonly size?: number;
  readonly relocs?: readonly ElfRelocInput[];
}

/** A symbol to be written. */
export interface ElfSymbolInput {
  readonly name: string;
  /** Index into {@link ElfInput.sections}; absent: undefined, to be found elsewhere. */
  readonly section?: number;
  readonly value?: number;
  readonly size?: number;
  /** `SYMBOL_BIND`; default global. */
  readonly bind?: number;
  /** `SYMBOL_TYPE`; default none. */
  readonly type?: number;
  /** `SYMBOL_VISIBILITY`; default the default one. */
  readonly visibility?: number;
}

/** What {@link writeElf} writes. */
export interface ElfInput {
  /** Default true. */
  readonly littleEndian?: boolean;
  /** Default `EM_BPF`. */
  readonly machine?: number;
  readonly sections: readonly ElfSectionInput[];
  readonly symbols: readonly ElfSymbolInput[];
}

interface Placed extends ElfSectionInput {
  readonly link?: number;
  readonly info?: number;
}

/** Collects strings into a table that starts with the empty one. */
class StringTable {
  readonly #at = new Map<string, number>([['', 0]]);
  readonly #chunks: Uint8Array[] = [new Uint8Array(1)];
  #size = 1;

  add(text: string): number {
    const known = this.#at.get(text);
    if (known !== undefined) return known;
    const at = this.#size;
    const chunk = new TextEncoder().encode(`${text}\0`);
    this.#chunks.push(chunk);
    this.#at.set(text, at);
    this.#size += chunk.length;
    return at;
  }

  bytes(): Uint8Array {
    return concatBytes(this.#chunks);
  }
}

/** Writes a relocatable ELF64 object. Local symbols are put first, as ELF wants, and relocations follow them. */
export function writeElf(input: ElfInput): Uint8Array {
  const littleEndian = input.littleEndian ?? true;
  const strings = new StringTable();
  const symtabIndex = input.sections.length + 1;
  const strtabIndex = symtabIndex + 1;

  const order = input.symbols.map((_, i) => i);
  const isLocal = (i: number) => input.symbols[i]!.bind === SYMBOL_BIND.local;
  order.sort((a, b) => Number(isLocal(b)) - Number(isLocal(a)) || a - b);
  const place = new Map(order.map((i, at) => [i, at + 1]));
  const firstGlobal = 1 + order.filter(isLocal).length;

  const symtab = new DataView(new ArrayBuffer(ELF64_SIZE.symbol * (order.length + 1)));
  for (const [i, from] of order.entries()) {
    const symbol = input.symbols[from]!;
    const at = ELF64_SIZE.symbol * (i + 1);
    const bind = symbol.bind ?? SYMBOL_BIND.global;
    symtab.setUint32(at, strings.add(symbol.name), littleEndian);
    symtab.setUint8(at + 4, (bind << 4) | (symbol.type ?? SYMBOL_TYPE.notype));
    symtab.setUint8(at + 5, symbol.visibility ?? SYMBOL_VISIBILITY.default);
    const section = symbol.section === undefined ? SECTION_INDEX.undef : symbol.section + 1;
    symtab.setUint16(at + 6, section, littleEndian);
    symtab.setBigUint64(at + 8, BigInt(symbol.value ?? 0), littleEndian);
    symtab.setBigUint64(at + 16, BigInt(symbol.size ?? 0), littleEndian);
  }

  const sections: Placed[] = [...input.sections];
  sections.push({
    name: '.symtab',
    type: SECTION_TYPE.symtab,
    flags: 0,
    entsize: ELF64_SIZE.symbol,
    data: new Uint8Array(symtab.buffer),
    link: strtabIndex,
    info: firstGlobal,
  });
  const strtabAt = sections.length;
  sections.push({ name: '.strtab', type: SECTION_TYPE.strtab, flags: 0, align: 1, data: new Uint8Array(0) });
  for (const [i, section] of input.sections.entries()) {
    if (!section.relocs?.length) continue;
    const table = new DataView(new ArrayBuffer(ELF64_SIZE.rel * section.relocs.length));
    for (const [n, reloc] of section.relocs.entries()) {
      const symbol = place.get(reloc.symbol);
      if (symbol === undefined)
        throw new Bug(`relocation against symbol ${reloc.symbol}, which is not written`);
      table.setBigUint64(n * ELF64_SIZE.rel, BigInt(reloc.offset), littleEndian);
      const info = (BigInt(symbol) << 32n) | BigInt(reloc.type);
      table.setBigUint64(n * ELF64_SIZE.rel + 8, info, littleEndian);
    }
    sections.push({
      name: `.rel${section.name}`,
      type: SECTION_TYPE.rel,
      flags: SECTION_FLAG.infoLink,
      entsize: ELF64_SIZE.rel,
      data: new Uint8Array(table.buffer),
      link: symtabIndex,
      info: i + 1,
    });
  }
  const names = sections.map((s) => strings.add(s.name));
  sections[strtabAt] = { ...sections[strtabAt]!, data: strings.bytes() };
  return assemble(input, sections, names, strtabIndex, littleEndian);
}

function assemble(
  input: ElfInput,
  sections: readonly Placed[],
  names: readonly number[],
  strtabIndex: number,
  littleEndian: boolean,
): Uint8Array {
  const alignUp = (at: number, align: number) => Math.ceil(at / align) * align;
  let end: number = ELF64_SIZE.header;
  const offsets = sections.map((section) => {
    const at = alignUp(end, section.align ?? 8);
    end = at + section.data.length;
    return at;
  });
  const tableAt = alignUp(end, 8);
  const out = new Uint8Array(tableAt + ELF64_SIZE.section * (sections.length + 1));
  const view = new DataView(out.buffer);
  out.set([0x7f, 0x45, 0x4c, 0x46, 2, littleEndian ? 1 : 2, 1]);
  view.setUint16(16, ELF_TYPE.rel, littleEndian);
  view.setUint16(18, input.machine ?? EM_BPF, littleEndian);
  view.setUint32(20, 1, littleEndian);
  view.setBigUint64(40, BigInt(tableAt), littleEndian);
  view.setUint16(52, ELF64_SIZE.header, littleEndian);
  view.setUint16(58, ELF64_SIZE.section, littleEndian);
  view.setUint16(60, sections.length + 1, littleEndian);
  view.setUint16(62, strtabIndex, littleEndian);
  for (const [i, section] of sections.entries()) {
    const at = tableAt + ELF64_SIZE.section * (i + 1);
    out.set(section.data, offsets[i]!);
    view.setUint32(at, names[i]!, littleEndian);
    view.setUint32(at + 4, section.type ?? SECTION_TYPE.progbits, littleEndian);
    view.setBigUint64(at + 8, BigInt(section.flags ?? SECTION_FLAG.alloc), littleEndian);
    view.setBigUint64(at + 24, BigInt(offsets[i]!), littleEndian);
    view.setBigUint64(at + 32, BigInt(section.size ?? section.data.length), littleEndian);
    view.setUint32(at + 40, section.link ?? 0, littleEndian);
    view.setUint32(at + 44, section.info ?? 0, littleEndian);
    view.setBigUint64(at + 48, BigInt(section.align ?? 8), littleEndian);
    view.setBigUint64(at + 56, BigInt(section.entsize ?? 0), littleEndian);
  }
  return out;
}
