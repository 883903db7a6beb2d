import { InputError } from '../base/error.ts';
import { SECTION_INDEX, SYMBOL_BIND, SYMBOL_TYPE, SYMBOL_VISIBILITY } from './facts.ts';
import type { LinkedPlace, LinkedSection } from './link.ts';
import type { ElfFile, ElfSymbol } from './read.ts';
import type { ElfSymbolInput } from './write.ts';

/** Its symbols have names that files share without meaning the same. */
const JUMP_TABLES = '.jumptables';

type Symbol = { -readonly [K in keyof ElfSymbolInput]: ElfSymbolInput[K] };

/** Where a global symbol is defined. */
export interface LinkedDefinition {
  readonly section: LinkedSection;
  /** In the section, in bytes. */
  readonly value: number;
  readonly size: number;
}

interface GlobalSymbol {
  readonly index: number;
  definition: LinkedDefinition | undefined;
  /** The file that defines it, or that first declares it. */
  owner: ElfFile;
  /** Its definition is not a weak one. */
  strong: boolean;
}

/** The symbols of the objects that are linked: local ones kept apart, global ones resolved by name. */
export class LinkedSymbols {
  readonly #list: Symbol[] = [];
  readonly #globals = new Map<string, GlobalSymbol>();

  get list(): readonly ElfSymbolInput[] {
    return this.#list;
  }

  /** Where a global symbol is; `undefined` for one that no object defines. */
  definition(name: string): LinkedDefinition | undefined {
    return this.#globals.get(name)?.definition;
  }

  /** The file whose global symbol it is: the one that defines it, or the first that declares it. */
  owner(name: string): ElfFile | undefined {
    return this.#globals.get(name)?.owner;
  }

  /**
   * Adds a file's symbols.
   * @param places where its sections went, by their index
   * @returns the symbols' indexes in the result; those of what is left out are missing
   */
  add(file: ElfFile, places: ReadonlyMap<number, LinkedPlace>): ReadonlyMap<number, number> {
    const indexes = new Map<number, number>();
    for (const symbol of file.symbols) {
      const index = symbol.index === 0 ? undefined : this.#add(file, symbol, places);
      if (index !== undefined) indexes.set(symbol.index, index);
    }
    return indexes;
  }

  #add(file: ElfFile, symbol: ElfSymbol, places: ReadonlyMap<number, LinkedPlace>): number | undefined {
    const { name, bind, type, visibility, section } = symbol;
    if (type === SYMBOL_TYPE.file) return undefined;
    const known = bind === SYMBOL_BIND.local || bind === SYMBOL_BIND.global || bind === SYMBOL_BIND.weak;
    const shown = visibility === SYMBOL_VISIBILITY.default || visibility === SYMBOL_VISIBILITY.hidden;
    if (!known || !shown || section >= SECTION_INDEX.loreserve) {
      const what = known ? (shown ? 'section' : 'visibility') : 'binding';
      throw new InputError(
        'elf-link-symbol',
        `${file.name}: symbol ${name} is of a ${what} that can't be linked`,
      );
    }
    if (section === SECTION_INDEX.undef) return this.#global(file, symbol, undefined);
    const place = places.get(section);
    if (!place) return undefined;
    if (type === SYMBOL_TYPE.section) {
      place.section.symbol ??= this.#append(symbol, { section: place.section, value: 0, size: 0 });
      return place.section.symbol;
    }
    const definition = { section: place.section, value: place.offset + symbol.value, size: symbol.size };
    return bind === SYMBOL_BIND.local || place.section.name === JUMP_TABLES
      ? this.#append(symbol, definition)
      : this.#global(file, symbol, definition);
  }

  #append({ name, bind, type, visibility }: ElfSymbol, definition: LinkedDefinition | undefined): number {
    return this.#list.push({ name, bind, type, visibility, ...placed(definition) }) - 1;
  }

  /** Strong goes over weak, the first weak one over later ones, any definition over a declaration. */
  #global(file: ElfFile, symbol: ElfSymbol, definition: LinkedDefinition | undefined): number {
    const { name, type, bind, visibility } = symbol;
    const weak = bind === SYMBOL_BIND.weak;
    const known = this.#globals.get(name);
    if (!known) {
      const index = this.#append(symbol, definition);
      this.#globals.set(name, { index, definition, owner: file, strong: definition !== undefined && !weak });
      return index;
    }
    if (definition && known.strong && !weak) {
      throw new InputError(
        'elf-link-twice',
        `${file.name}: ${name} is defined in ${known.owner.name} already; rename one, or make it static or weak`,
      );
    }
    const symbolOut = this.#list[known.index]!;
    symbolOut.visibility = Math.max(symbolOut.visibility ?? 0, visibility);
    if (definition && (!known.definition || !weak)) {
      Object.assign(symbolOut, { type, ...placed(definition) });
      known.definition = definition;
      known.owner = file;
      known.strong = !weak;
    }
    // Who declares it without `weak` needs it.
    if (!weak) symbolOut.bind = SYMBOL_BIND.global;
    return known.index;
  }
}

function placed(
  definition: LinkedDefinition | undefined,
): Pick<ElfSymbolInput, 'section' | 'value' | 'size'> {
  return definition
    ? { section: definition.section.index, value: definition.value, size: definition.size }
    : {};
}
