/** Merges what objects that are linked say about types (`.BTF`) and instructions (`.BTF.ext`). */
import { InputError } from '../../base/error.ts';
import {
  type Btf,
  BtfBuilder,
  type BtfDeclaredType,
  type BtfExt,
  type BtfExtSection,
  type BtfType,
  type BtfTypeId,
  type BtfVarInfo,
  encodeBtfExt,
  withReferences,
} from '../../btf/index.ts';
import type { ElfFile, ElfSectionInput } from '../../elf/index.ts';
import type { ElfLinker, LinkedPlace } from '../../elf/link.ts';
import { mapDifference, type TypeSource, typeDifference } from './compatible.ts';
import { uniqueTypes } from './unique-types.ts';

const MAPS = '.maps';
const PARTS = ['funcInfo', 'lineInfo', 'coreRelos'] as const;

/** An object, and where the linker put it. */
export interface LinkedFile {
  readonly elf: ElfFile;
  readonly btf: Btf;
  readonly ext: BtfExt | undefined;
  /** By the names of its sections. */
  readonly places: ReadonlyMap<string, LinkedPlace>;
}

/** Collects the types of the objects that a linker was given, in the same order. */
export class TypeLinker implements TypeSource {
  readonly #linker: ElfLinker;
  /** The first has id 1; sections are added at the end. */
  readonly #types: BtfDeclaredType[] = [];
  /** Global variables and functions by name. */
  readonly #globals = new Map<string, BtfTypeId>();
  readonly #sections = new Map<string, Map<BtfTypeId, BtfVarInfo>>();
  readonly #records = { funcInfo: new Map(), lineInfo: new Map(), coreRelos: new Map() } as {
    readonly [K in (typeof PARTS)[number]]: Map<string, BtfExt[K][number]['records'][number][]>;
  };

  constructor(linker: ElfLinker) {
    this.#linker = linker;
  }

  type(id: BtfTypeId): BtfType {
    return id === 0 ? { kind: 'void' } : this.#types[id - 1]!;
  }

  /** @throws InputError for a global symbol whose types don't go together with those of the objects before */
  add(file: LinkedFile): void {
    const ids = this.#addTypes(file);
    for (const id of file.btf.ids()) {
      if (file.btf.kind(id) === 'datasec') this.#addSection(file, id, ids);
    }
    if (file.ext) this.#addRecords(file, file.ext, ids);
  }

  #addTypes({ elf, btf }: LinkedFile): ReadonlyMap<BtfTypeId, BtfTypeId> {
    const { symbols } = this.#linker;
    const ids = new Map<BtfTypeId, BtfTypeId>([[0 as BtfTypeId, 0 as BtfTypeId]]);
    /** What this file says of places in the result. */
    const said: [id: BtfTypeId, type: BtfDeclaredType][] = [];
    for (const old of btf.ids()) {
      const type = btf.type(old) as BtfDeclaredType;
      if (type.kind === 'datasec') continue;
      const name = isGlobal(type) ? type.name : undefined;
      const owner = name === undefined ? undefined : symbols.owner(name);
      // A variable of a section that is left out.
      if (type.kind === 'var' && name !== undefined && !owner) continue;
      const known = owner && name !== undefined ? this.#globals.get(name) : undefined;
      if (known === undefined || name === undefined) {
        const id = this.#types.push(type) as BtfTypeId;
        ids.set(old, id);
        said.push([id, type]);
        if (owner && name !== undefined) this.#globals.set(name, id);
        continue;
      }
      this.#checkAlike(name, known, { from: btf, id: old }, elf);
      ids.set(old, known);
      if (owner === elf) said.push([known, type]);
    }
    for (const [id, type] of said) {
      // The tag of a variable that is left out ends as one of void, which nothing asks for.
      this.#types[id - 1] = withReferences(type, (old) => ids.get(old) ?? (0 as BtfTypeId));
    }
    return ids;
  }

  #checkAlike(name: string, known: BtfTypeId, given: { from: Btf; id: BtfTypeId }, elf: ElfFile): void {
    const isMap =
      this.#linker.symbols.definition(name)?.section.name === MAPS || this.#sections.get(MAPS)?.has(known);
    const compare = isMap ? mapDifference : typeDifference;
    const difference = compare({ from: this, id: known }, given);
    if (difference === undefined) return;
    throw new InputError(
      'link-types',
      `${elf.name}: what it says of the ${isMap ? 'map' : 'symbol'} ${name} is not what an object before it says: ${difference}`,
    );
  }

  #addSection({ elf, btf, places }: LinkedFile, id: BtfTypeId, ids: ReadonlyMap<BtfTypeId, BtfTypeId>): void {
    const { name, vars } = btf.typeOf(id, 'datasec');
    const place = places.get(name);
    if (!place && elf.sections.some((section) => section.name === name)) return;
    const section = this.#sections.get(name) ?? new Map<BtfTypeId, BtfVarInfo>();
    this.#sections.set(name, section);
    for (const info of vars) {
      const type = ids.get(info.type);
      if (type === undefined) continue;
      const owned = this.#linker.symbols.owner(btf.nameOf(info.type)) === elf;
      if (owned || !section.has(type))
        section.set(type, { ...info, type, offset: info.offset + (place?.offset ?? 0) });
    }
  }

  #addRecords({ elf, places }: LinkedFile, ext: BtfExt, ids: ReadonlyMap<BtfTypeId, BtfTypeId>): void {
    const move = <T extends { readonly insnOffset: number }>(
      sections: readonly BtfExtSection<T>[],
      into: Map<string, T[]>,
    ): void => {
      for (const { section, records } of sections) {
        const place = places.get(section);
        if (!place) {
          throw new InputError(
            'link-records',
            `${elf.name}: section .BTF.ext has records of the section ${section}, which is not there`,
          );
        }
        const all = into.get(section) ?? [];
        into.set(section, all);
        for (const record of records) {
          const moved = { ...record, insnOffset: record.insnOffset + place.offset };
          all.push('type' in moved ? { ...moved, type: ids.get(moved.type as BtfTypeId) ?? 0 } : moved);
        }
      }
    };
    move(ext.funcInfo, this.#records.funcInfo);
    move(ext.lineInfo, this.#records.lineInfo);
    move(ext.coreRelos, this.#records.coreRelos);
  }

  /** The variables of a section, those that are in it after all. */
  #section(name: string, vars: ReadonlyMap<BtfTypeId, BtfVarInfo>): BtfDeclaredType | undefined {
    const linked = this.#linker.section(name);
    const kept = [...vars.values()].flatMap((info): BtfVarInfo[] => {
      const type = this.type(info.type);
      if (!isGlobal(type)) return [info];
      const definition = this.#linker.symbols.definition(type.name);
      if (!definition) return [info];
      return definition.section.name === name && type.kind === 'var'
        ? [{ ...info, offset: definition.value }]
        : [];
    });
    if (!linked && kept.length === 0) return undefined;
    kept.sort((a, b) => a.offset - b.offset);
    return { kind: 'datasec', name, size: linked?.size ?? 0, vars: kept };
  }

  /** The sections `.BTF` and `.BTF.ext` of the result; none where no object had types. */
  write(): ElfSectionInput[] {
    if (this.#types.length === 0) return [];
    const rank = (name: string): number => this.#linker.section(name)?.index ?? Number.POSITIVE_INFINITY;
    const sections = [...this.#sections]
      .sort(([a], [b]) => (rank(a) < rank(b) ? -1 : 1))
      .flatMap(([name, vars]) => this.#section(name, vars) ?? []);
    const { types, id } = uniqueTypes([...this.#types, ...sections]);
    const { littleEndian } = this.#linker;
    const builder = new BtfBuilder({ littleEndian });
    for (const type of types) builder.add(type);
    const { funcInfo, lineInfo, coreRelos } = this.#records;
    const ext: BtfExt = {
      funcInfo: sectionsOf(funcInfo, (record) => ({ ...record, type: id(record.type) })),
      lineInfo: sectionsOf(lineInfo, (record) => record),
      coreRelos: sectionsOf(coreRelos, (record) => ({ ...record, type: id(record.type) })),
    };
    const records = PARTS.some((part) => ext[part].length > 0);
    const extBytes = records ? encodeBtfExt(ext, builder.strings, littleEndian) : undefined;
    return [
      { name: '.BTF', flags: 0, data: builder.encode() },
      ...(extBytes ? [{ name: '.BTF.ext', flags: 0, data: extBytes }] : []),
    ];
  }
}

/** What the linker knows by its name. */
function isGlobal(type: BtfType): type is BtfType & { readonly kind: 'var' | 'func' } {
  return (type.kind === 'var' || type.kind === 'func') && type.linkage !== 'static';
}

function sectionsOf<T>(
  records: ReadonlyMap<string, readonly T[]>,
  turn: (record: T) => T,
): BtfExtSection<T>[] {
  return [...records].map(([section, all]) => ({ section, records: all.map(turn) }));
}
