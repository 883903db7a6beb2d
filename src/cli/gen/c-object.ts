/** An object as libbpf lists it: what of it has a name in a skeleton. */
import { InputError } from '../../base/error.ts';
import { type Btf, BtfBuilder, type BtfTypeId, type BtfVarInfo } from '../../btf/index.ts';
import { type ElfFile, SYMBOL_VISIBILITY } from '../../elf/index.ts';
import type { MapSpec, ObjectSpec, ProgramSpec } from '../../loader/index.ts';
import type { CEdition } from './c-edition.ts';

/** Bytes of a name in the kernel, the terminating zero among them. */
const NAME_SIZE = 16;
/** Characters that a section's name takes of it, at least. */
const MIN_SUFFIX = 7;
/** Beginnings of the names of data sections, in the order in which they are looked for. */
const DATA_SECTIONS = ['.data', '.rodata', '.bss', '.kconfig'];
const ARENA_SECTION = '.addr_space.1';
/** Characters of a variable's name that a skeleton keeps. */
const MAX_IDENT = 255;

/** A map of the object. */
export interface CMap {
  readonly spec: MapSpec;
  /** What libbpf calls it. */
  readonly name: string;
  /** Its member in the skeleton. */
  readonly ident: string;
  /** The member by which its bytes are seen; `undefined` where they are not. */
  readonly data: string | undefined;
  /** Its variables that can be seen, in the order of their places; `undefined` where the object has no types for it. */
  readonly variables: readonly CVariable[] | undefined;
}

/** A variable that a skeleton shows. */
export interface CVariable {
  readonly name: string;
  readonly ident: string;
  readonly type: BtfTypeId;
  readonly offset: number;
  readonly size: number;
}

export interface CObject {
  /** What the skeleton is called. */
  readonly name: string;
  readonly edition: CEdition;
  readonly maps: readonly CMap[];
  readonly programs: readonly ProgramSpec[];
  readonly btf: Btf | undefined;
}

export interface CNaming {
  /** What the skeleton is called. */
  readonly name: string;
  /** What the names of maps of global data begin with. */
  readonly prefix: string;
}

/**
 * What a libbpf makes of an object.
 * @param elf the object that the spec is of
 * @throws InputError for what that libbpf would not open
 */
export function describeObject(
  spec: ObjectSpec,
  elf: ElfFile,
  { name, prefix }: CNaming,
  edition: CEdition,
): CObject {
  checkOpens(spec, edition);
  const hidden = hiddenSymbols(elf);
  const btf = spec.btf && !edition.allData ? hideVariables(spec.btf, hidden) : spec.btf;
  const reader = new DataReader(btf, edition);
  const maps = [...spec.maps.values()]
    .filter((map) => edition.newSections || isOldSection(map))
    .map((map) => reader.map(map, prefix));
  const programs = [...spec.programs.values()].filter(({ section }) => section !== '.text');
  return { name, edition, maps, programs, btf };
}

/** A name of letters, digits and `_`. */
export function identifier(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_]/g, '_');
}

/** What no libbpf opens, or only a later one. */
function checkOpens(spec: ObjectSpec, { version, newSections }: CEdition): void {
  const later = `which libbpf ${version} does not know; write the skeleton for a later one: --c=1.8`;
  if (!spec.littleEndian && !newSections) throw new InputError('cli-endian', `it is big-endian, ${later}`);
  const legacy = [...spec.maps.values()].find(({ origin }) => origin === 'legacy');
  if (legacy) throw unopened(`its map ${legacy.name} is of the kind that libbpf 1.0 gave up`, 'EOPNOTSUPP');
  if (newSections) return;
  for (const { name, extra } of spec.maps.values()) {
    if (extra > 0xffff_ffffn) {
      throw unopened(`map ${name} has an attribute of more than 32 bits, ${later}`, 'EINVAL');
    }
  }
  for (const { name, refs } of spec.functions) {
    for (const ref of refs) {
      if (ref.kind !== 'data') continue;
      const map = spec.maps.get(ref.map);
      if (map && (map.type === 'arena' || !isOldSection(map))) {
        throw unopened(`${name} uses section ${map.type === 'arena' ? ARENA_SECTION : map.name}, ${later}`);
      }
    }
  }
  for (const { name, structOps } of [...spec.maps.values()].filter(isOldSection)) {
    const found = structOps?.funcs.find(({ program }) => spec.programs.get(program)?.sleepable);
    if (found) throw unopened(`${name} has ${found.program} of section struct_ops.s, ${later}`, 'EINVAL');
  }
}

function unopened(why: string, errno?: 'EINVAL' | 'EOPNOTSUPP'): InputError {
  return new InputError('cli-gen', why, errno === undefined ? {} : { errno });
}

function isOldSection({ origin, name, structOps }: MapSpec): boolean {
  if (structOps) return !structOps.link && structOps.autocreate;
  return origin !== 'data' || !name.startsWith('.bss.');
}

/** Symbols that only the object itself sees. */
function hiddenSymbols(elf: ElfFile): ReadonlySet<string> {
  const { hidden, internal } = SYMBOL_VISIBILITY;
  const found = elf.symbols.filter(({ visibility }) => visibility === hidden || visibility === internal);
  return new Set(found.map(({ name }) => name));
}

/** Variables that only the object itself sees are static to later versions of libbpf. */
function hideVariables(btf: Btf, hidden: ReadonlySet<string>): Btf {
  const builder = BtfBuilder.from(btf);
  let any = false;
  for (const id of btf.ids()) {
    const variable = btf.type(id);
    if (variable.kind !== 'var' || variable.linkage !== 'global' || !hidden.has(variable.name)) continue;
    builder.replace(id, { ...variable, linkage: 'static' });
    any = true;
  }
  return any ? builder.build(btf.name) : btf;
}

class DataReader {
  readonly #btf: Btf | undefined;
  readonly #edition: CEdition;

  constructor(btf: Btf | undefined, edition: CEdition) {
    this.#btf = btf;
    this.#edition = edition;
  }

  map(spec: MapSpec, prefix: string): CMap {
    const { name: own, origin, type } = spec;
    if (origin !== 'data' && origin !== 'kconfig') {
      const variables = this.#edition.newSections && type === 'arena' ? this.#variables('arena') : undefined;
      return { spec, name: own, ident: own, data: variables && 'arena', variables };
    }
    const name = dataMapName(own, prefix);
    const suffix = DATA_SECTIONS.find((one) => name.includes(one)) ?? '';
    const ident = identifier(name.slice(name.indexOf(suffix) + 1));
    const variables = this.#variables(ident);
    const seen = this.#edition.allData || (variables !== undefined && variables.length > 0);
    return { spec, name, ident, data: seen ? ident : undefined, variables };
  }

  /** Those of the first section of data whose member has that name. */
  #variables(ident: string): CVariable[] | undefined {
    const btf = this.#btf;
    if (!btf) return undefined;
    for (const id of btf.ids()) {
      if (btf.kind(id) !== 'datasec') continue;
      const section = btf.typeOf(id, 'datasec');
      if (sectionIdent(section.name) === ident)
        return section.vars.flatMap((info) => this.#variable(btf, info));
    }
    return undefined;
  }

  #variable(btf: Btf, { type: id, offset, size }: BtfVarInfo): CVariable[] {
    const variable = btf.type(id);
    if (variable.kind !== 'var' || variable.linkage === 'static') return [];
    const { name, type } = variable;
    return [{ name, ident: identifier(name.slice(0, MAX_IDENT)), type, offset, size }];
  }
}

/** `syn_coun.rodata` of `.rodata`; sections with a second dot in their names keep them. */
function dataMapName(section: string, prefix: string): string {
  const custom = /^\.(ro)?data\./.test(section);
  if (custom) return section;
  const room = Math.max(0, NAME_SIZE - 1 - Math.max(MIN_SUFFIX, section.length));
  const begin = section.includes('.', 1) ? '' : prefix.slice(0, Math.min(room, NAME_SIZE - 1));
  return `${begin}${section.slice(0, NAME_SIZE - 1)}`.replaceAll(/[^A-Za-z0-9_.]/g, '_');
}

function sectionIdent(name: string): string | undefined {
  if (name === ARENA_SECTION) return 'arena';
  return DATA_SECTIONS.some((one) => name.startsWith(one)) ? identifier(name.slice(1)) : undefined;
}
