/** An object file while it is being parsed: the ELF, its BTF, and how messages name its places. */
import { InputError } from '../base/error.ts';
import { type Btf, type BtfExt, parseBtf, parseBtfExt } from '../btf/index.ts';
import {
  type ElfFile,
  type ElfReloc,
  type ElfSection,
  type ElfSymbol,
  findSection,
  relocName,
  SECTION_FLAG,
  SECTION_TYPE,
  SYMBOL_TYPE,
  where,
} from '../elf/index.ts';

/** What a section is for. */
export type SectionRole =
  | 'programs'
  | 'text'
  | 'btf_maps'
  | 'legacy_maps'
  | 'data'
  | 'rodata'
  | 'bss'
  | 'arena'
  | 'struct_ops'
  | 'other';

/** Largest section that is read, in bytes: a wild size in a header must not become an allocation. */
const MAX_SECTION = 256 * 2 ** 20;

function named(name: string, stem: string): boolean {
  return name === stem || name.startsWith(`${stem}.`);
}

/** The role that a section's name, type and flags give it. */
export function sectionRole(section: ElfSection): SectionRole {
  const { name } = section;
  const executable = section.type === SECTION_TYPE.progbits && (section.flags & SECTION_FLAG.execinstr) !== 0;
  if (executable) return named(name, '.text') ? 'text' : 'programs';
  if (section.type !== SECTION_TYPE.progbits && section.type !== SECTION_TYPE.nobits) return 'other';
  if (name === '.maps') return 'btf_maps';
  if (name === 'maps' || name.startsWith('maps/')) return 'legacy_maps';
  if (named(name, '.data')) return 'data';
  if (named(name, '.rodata')) return 'rodata';
  if (named(name, '.bss')) return 'bss';
  if (name === '.addr_space.1') return 'arena';
  if (/^\??\.struct_ops(\.link)?$/.test(name)) return 'struct_ops';
  return 'other';
}

/** A relocation with its symbol found. */
export interface SymbolReloc {
  readonly reloc: ElfReloc;
  readonly symbol: ElfSymbol;
  /** For messages: `a.o: section 3 (xdp): relocation R_BPF_64_64 of counts at offset 96`. */
  readonly what: string;
}

/** An object file's parts that all of the parser reads. */
export class ObjectFile {
  readonly elf: ElfFile;
  readonly file: string;
  /** Of the `.BTF` section, as the file has it. */
  readonly rawBtf: Btf | undefined;
  readonly #roles: readonly SectionRole[];
  readonly #relocs = new Map<number, readonly SymbolReloc[]>();

  constructor(elf: ElfFile) {
    this.elf = elf;
    this.file = elf.name;
    const btf = findSection(elf, '.BTF');
    this.rawBtf = btf && parseBtf(btf.data, where(elf.name, btf), undefined, btf.offset);
    this.#roles = elf.sections.map(sectionRole);
    for (const section of elf.sections) {
      const role = this.role(section.index);
      if (role !== 'other' && section.size > MAX_SECTION) {
        throw new InputError(
          'loader-section-size',
          `${this.where(section)}: ${section.size} bytes at offset ${section.offset} are more than the ${MAX_SECTION} that a loader takes`,
        );
      }
    }
  }

  /** The records of `.BTF.ext`, which needs the BTF that its strings are in. */
  ext(): BtfExt | undefined {
    const section = findSection(this.elf, '.BTF.ext');
    if (!section || !this.rawBtf) return undefined;
    return parseBtfExt(section.data, this.where(section), this.rawBtf, section.offset);
  }

  role(section: number): SectionRole {
    return this.#roles[section] ?? 'other';
  }

  where(section: ElfSection): string {
    return where(this.file, section);
  }

  sectionsOf(...roles: readonly SectionRole[]): ElfSection[] {
    return this.elf.sections.filter((s) => roles.includes(this.role(s.index)));
  }

  /** Symbols in a section, sections' own symbols left out, in order of their place. */
  symbolsIn(section: ElfSection): ElfSymbol[] {
    return this.elf.symbols
      .filter(
        (s) =>
          s.section === section.index &&
          s.name !== '' &&
          s.type !== SYMBOL_TYPE.section &&
          s.type !== SYMBOL_TYPE.file,
      )
      .sort((a, b) => a.value - b.value || a.index - b.index);
  }

  /** The relocations of a section, in order of their place. */
  relocsOf(section: ElfSection): readonly SymbolReloc[] {
    const known = this.#relocs.get(section.index);
    if (known) return known;
    const relocs = this.elf.relocs
      .filter((r) => r.target === section.index)
      .flatMap((r) => r.relocs)
      .sort((a, b) => a.offset - b.offset)
      .map((reloc): SymbolReloc => {
        const symbol = this.elf.symbols[reloc.symbol]!;
        const name = symbol.name || `section ${symbol.section}`;
        const place = this.where(section);
        return {
          reloc,
          symbol,
          get what() {
            return `${place}: relocation ${relocName(reloc.type)} against ${name} at offset ${reloc.offset}`;
          },
        };
      });
    this.#relocs.set(section.index, relocs);
    return relocs;
  }
}
