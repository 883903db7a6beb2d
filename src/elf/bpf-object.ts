/** Writes a relocatable BPF object from instructions that are already encoded. */
import { Bug } from '../base/error.ts';
import { BPF_RELOC, SECTION_FLAG, SECTION_TYPE, SYMBOL_BIND, SYMBOL_TYPE } from './facts.ts';
import { type ElfRelocInput, type ElfSectionInput, type ElfSymbolInput, writeElf } from './write.ts';

/** A function in a program section. */
export interface BpfFunctionInput {
  readonly name: string;
  /** The ELF section, which says the program type (`xdp`), or `.text` for a subprogram. */
  readonly section: string;
  /** Eight bytes a slot, in the object's byte order. */
  readonly insns: Uint8Array;
  /** Static functions are local symbols. */
  readonly static?: boolean;
  readonly relocs?: readonly BpfRelocInput[];
}

/** A place in a function that needs the address of a symbol. */
export interface BpfRelocInput {
  /** Index of the slot in the function. */
  readonly insn: number;
  /** `map`: the 64-bit load of a map; `call`: a call of a function; `func`: the 64-bit load of a function's address. */
  readonly kind: 'map' | 'call' | 'func';
  /** Name of a map, or of a function of the object. */
  readonly symbol: string;
}

/** A map of the legacy `maps` section, in libbpf's layout: it needs no BTF. */
export interface BpfMapInput {
  readonly name: string;
  /** Number of the map type. */
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags?: number;
}

/** Any other section of data (`.rodata`, `.BTF`). */
export interface BpfDataInput {
  readonly name: string;
  readonly data: Uint8Array;
}

/** What {@link writeBpfObject} writes. */
export interface BpfObjectInput {
  /** Default true. */
  readonly littleEndian?: boolean;
  /** Default `GPL`. */
  readonly license?: string;
  readonly functions: readonly BpfFunctionInput[];
  readonly maps?: readonly BpfMapInput[];
  readonly data?: readonly BpfDataInput[];
}

const SLOT = 8;
const MAP_DEF = 20;

/**
 * Writes a BPF object that libbpf, llvm-objdump and skep read: a section for each name that the functions give,
 * a legacy `maps` section, `license`, symbols, and relocations for maps and calls between sections.
 */
export function writeBpfObject(input: BpfObjectInput): Uint8Array {
  const littleEndian = input.littleEndian ?? true;
  const sections: ElfSectionInput[] = [];
  const symbols: ElfSymbolInput[] = [];
  const symbolAt = new Map<string, number>();
  const define = (symbol: ElfSymbolInput) => {
    symbolAt.set(symbol.name, symbols.length);
    symbols.push(symbol);
  };

  const names = [...new Set(input.functions.map((f) => f.section))];
  const placed = names.map((name, section) => {
    let end = 0;
    const functions = input.functions
      .filter((f) => f.section === name)
      .map((f) => {
        const at = end;
        end += f.insns.length;
        define({
          name: f.name,
          section,
          value: at,
          size: f.insns.length,
          type: SYMBOL_TYPE.func,
          bind: f.static ? SYMBOL_BIND.local : SYMBOL_BIND.global,
        });
        return { at, ...f };
      });
    return { name, size: end, functions };
  });
  const maps = input.maps ?? [];
  for (const [i, map] of maps.entries()) {
    define({
      name: map.name,
      section: placed.length,
      value: i * MAP_DEF,
      size: MAP_DEF,
      type: SYMBOL_TYPE.object,
    });
  }

  for (const { name, size, functions } of placed) {
    const data = new Uint8Array(size);
    const view = new DataView(data.buffer);
    const relocs: ElfRelocInput[] = [];
    for (const f of functions) {
      data.set(f.insns, f.at);
      for (const reloc of f.relocs ?? []) {
        const symbol = symbolAt.get(reloc.symbol);
        if (symbol === undefined)
          throw new Bug(`function ${f.name} refers to ${reloc.symbol}, which is not written`);
        const offset = f.at + reloc.insn * SLOT;
        if (reloc.kind === 'call') {
          // BPF_PSEUDO_CALL with an addend of -1 in the immediate, as clang leaves it.
          data[offset + 1] =
            (data[offset + 1]! & (littleEndian ? 0x0f : 0xf0)) | (littleEndian ? 0x10 : 0x01);
          view.setInt32(offset + 4, -1, littleEndian);
        }
        const type = reloc.kind === 'call' ? BPF_RELOC.insn32.code : BPF_RELOC.insn64.code;
        relocs.push({ offset, type, symbol });
      }
    }
    sections.push({
      name,
      flags: SECTION_FLAG.alloc | SECTION_FLAG.execinstr,
      data,
      ...(relocs.length > 0 ? { relocs } : {}),
    });
  }
  if (maps.length > 0) {
    const data = new DataView(new ArrayBuffer(maps.length * MAP_DEF));
    for (const [i, map] of maps.entries()) {
      const fields = [map.type, map.keySize, map.valueSize, map.maxEntries, map.flags ?? 0];
      for (const [n, field] of fields.entries()) data.setUint32(i * MAP_DEF + n * 4, field, littleEndian);
    }
    const flags = SECTION_FLAG.alloc | SECTION_FLAG.write;
    sections.push({ name: 'maps', flags, align: 4, data: new Uint8Array(data.buffer) });
  }
  for (const { name, data } of input.data ?? []) sections.push({ name, data, type: SECTION_TYPE.progbits });
  const license = new TextEncoder().encode(`${input.license ?? 'GPL'}\0`);
  const flags = SECTION_FLAG.alloc | SECTION_FLAG.write;
  symbols.push({
    name: '_license',
    section: sections.length,
    size: license.length,
    type: SYMBOL_TYPE.object,
  });
  sections.push({ name: 'license', flags, align: 1, data: license });
  return writeElf({ littleEndian, sections, symbols });
}
