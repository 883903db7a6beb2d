/** Cuts code sections into functions, and finds what their instructions refer to. */
import { InputError } from '../base/error.ts';
import type { Btf, BtfExt, BtfTypeId } from '../btf/index.ts';
import {
  type ElfReloc,
  type ElfSection,
  type ElfSymbol,
  SECTION_INDEX,
  SYMBOL_BIND,
  SYMBOL_TYPE,
  SYMBOL_VISIBILITY,
} from '../elf/index.ts';
import type { InsnIdx } from '../isa/insn.ts';
import type { ObjectFile, SymbolReloc } from './object-file.ts';
import type { CoreRecord, ExternSpec, FunctionIndex, FunctionSpec, LineRecord, Ref } from './spec.ts';

const SLOT = 8;
/** Opcodes that refer to something: the wide load, `call`, and `callx`. */
const LDIMM64 = 0x18;
const CALL = 0x85;
/** `src_reg` of a call of a subprogram. */
const PSEUDO_CALL = 1;

/** Where a function is, before its references are known. */
interface Place {
  readonly name: string;
  readonly section: ElfSection;
  readonly start: number;
  readonly end: number;
  readonly global: boolean;
}

/** Where a map stands in its section. */
export interface MapPlace {
  readonly map: string;
  readonly section: number;
  readonly offset: number;
  readonly size: number;
}

/** What instructions may refer to. */
export interface Targets {
  readonly maps: readonly MapPlace[];
  /** Sections that maps of global data hold, by index. */
  readonly data: ReadonlyMap<number, string>;
  readonly externs: ReadonlyMap<string, ExternSpec>;
}

/** Finds every function in the object's code sections. */
export function parseFunctions(
  object: ObjectFile,
  targets: Targets,
  btf: Btf | undefined,
  ext: BtfExt | undefined,
): FunctionSpec[] {
  const places = object
    .sectionsOf('programs', 'text')
    .flatMap((section) => placesIn(object, section).map((place) => ({ ...place })));
  const finder = new FunctionFinder(places);
  const linkage = new AddendRule(object);
  const grouped = groupRecords(ext);
  return places.map((place): FunctionSpec => {
    const { section, start, end } = place;
    const insns = littleEndianInsns(section.data.subarray(start, end), object.elf.littleEndian);
    const refs = relocRefs(object, place, targets, finder, linkage);
    const related = new Set<number>(refs.map((r) => r.insn));
    refs.push(...localCalls(object, place, insns, related, finder));
    refs.sort((a, b) => a.insn - b.insn);
    const records = grouped.get(section.name);
    const within = <T extends { readonly insnOffset: number }>(list: readonly T[]) =>
      list.filter((r) => r.insnOffset >= start && r.insnOffset < end);
    const slot = (insnOffset: number) => Math.floor((insnOffset - start) / SLOT) as InsnIdx;
    return {
      name: place.name,
      section: section.name,
      start: (start / SLOT) as InsnIdx,
      insns,
      global: place.global,
      refs,
      btfType: functionType(btf, place, records?.funcs ?? []),
      lines: within(records?.lines ?? []).map(
        ({ insnOffset, ...r }): LineRecord => ({ insn: slot(insnOffset), ...r }),
      ),
      coreRelos: within(records?.core ?? []).map(
        ({ insnOffset, ...r }): CoreRecord => ({
          insn: slot(insnOffset),
          ...r,
        }),
      ),
    };
  });
}

interface Records {
  readonly funcs: { readonly insnOffset: number; readonly type: BtfTypeId }[];
  readonly lines: BtfExt['lineInfo'][number]['records'][number][];
  readonly core: BtfExt['coreRelos'][number]['records'][number][];
}

function groupRecords(ext: BtfExt | undefined): Map<string, Records> {
  const grouped = new Map<string, Records>();
  const of = (section: string): Records => {
    const known = grouped.get(section) ?? { funcs: [], lines: [], core: [] };
    grouped.set(section, known);
    return known;
  };
  for (const { section, records } of ext?.funcInfo ?? []) for (const r of records) of(section).funcs.push(r);
  for (const { section, records } of ext?.lineInfo ?? []) for (const r of records) of(section).lines.push(r);
  for (const { section, records } of ext?.coreRelos ?? []) for (const r of records) of(section).core.push(r);
  return grouped;
}

function functionType(btf: Btf | undefined, place: Place, funcs: Records['funcs']): BtfTypeId | undefined {
  const record = funcs.find((r) => r.insnOffset === place.start);
  if (!btf || !record || btf.kind(record.type) !== 'func') return undefined;
  return record.type;
}

function placesIn(object: ObjectFile, section: ElfSection): Place[] {
  if (section.size % SLOT !== 0) {
    throw new InputError(
      'loader-code-size',
      `${object.where(section)}: ${section.size} bytes of code at offset ${section.offset} are not a multiple of 8`,
    );
  }
  const symbols = object.symbolsIn(section);
  let functions = symbols.filter((s) => s.type === SYMBOL_TYPE.func);
  // Compilers before clang 9, and assembly without .type, leave functions untyped.
  if (functions.length === 0) {
    functions = symbols.filter((s) => s.type === SYMBOL_TYPE.notype && s.bind !== SYMBOL_BIND.local);
  }
  // Another name for the same place is left out.
  const first = functions.filter((s, i) => functions[i - 1]?.value !== s.value);
  return first.map((symbol, i): Place => {
    const fail = (problem: string): never => {
      throw new InputError(
        'loader-function',
        `${object.where(section)}: function ${symbol.name} at offset ${symbol.value} ${problem}`,
      );
    };
    const next = first[i + 1]?.value ?? section.size;
    const end = symbol.size > 0 ? symbol.value + symbol.size : next;
    if (end > section.size || symbol.value >= section.size) {
      fail(`ends at ${end}, past the section's ${section.size} bytes`);
    }
    if (symbol.value % SLOT !== 0 || end % SLOT !== 0)
      fail(`and size ${end - symbol.value} do not fall on 8 bytes`);
    if (end > next) fail(`overlaps function ${first[i + 1]!.name} at offset ${next}`);
    const hidden =
      symbol.visibility === SYMBOL_VISIBILITY.hidden || symbol.visibility === SYMBOL_VISIBILITY.internal;
    return {
      name: symbol.name,
      section,
      start: symbol.value,
      end,
      global: symbol.bind !== SYMBOL_BIND.local && !hidden,
    };
  });
}

/** Instructions as a little-endian machine has them: the fields' bytes, and the nibbles of the registers. */
function littleEndianInsns(code: Uint8Array, littleEndian: boolean): Uint8Array {
  const out = code.slice();
  if (littleEndian) return out;
  const from = new DataView(code.buffer, code.byteOffset, code.length);
  const to = new DataView(out.buffer);
  for (let at = 0; at < out.length; at += SLOT) {
    out[at + 1] = ((out[at + 1]! & 0x0f) << 4) | (out[at + 1]! >> 4);
    to.setInt16(at + 2, from.getInt16(at + 2, false), true);
    to.setInt32(at + 4, from.getInt32(at + 4, false), true);
  }
  return out;
}

/** Finds functions by their place. */
class FunctionFinder {
  readonly #byStart = new Map<string, FunctionIndex>();

  constructor(places: readonly Place[]) {
    for (const [i, place] of places.entries()) {
      this.#byStart.set(`${place.section.index}:${place.start}`, i as FunctionIndex);
    }
  }

  at(section: number, offset: number): FunctionIndex | undefined {
    return this.#byStart.get(`${section}:${offset}`);
  }
}

/**
 * What a REL entry keeps in the place that is relocated. LLVM keeps the addend alone. GNU as 2.40, which gcc-bpf's
 * objects come from, adds the symbol's value to it, in bytes even where it counts slots.
 */
class AddendRule {
  readonly #gnu: boolean;

  constructor(object: ObjectFile) {
    const comment = object.elf.sections.find((s) => s.name === '.comment');
    const gcc = comment !== undefined && new TextDecoder().decode(comment.data).includes('GCC:');
    this.#gnu = gcc && object.sectionsOf('programs', 'text').every((s) => addsSymbolValue(object, s));
  }

  /** Bytes from the symbol to what a wide load loads. */
  ofLoad(imm: number, symbol: ElfSymbol, reloc: ElfReloc): number {
    const inPlace = this.#gnu && symbol.type !== SYMBOL_TYPE.section ? imm - symbol.value : imm;
    return inPlace + Number(reloc.addend ?? 0n);
  }
}

function addsSymbolValue(object: ObjectFile, section: ElfSection): boolean {
  const view = new DataView(section.data.buffer, section.data.byteOffset, section.data.length);
  return object.relocsOf(section).every(({ reloc, symbol }) => {
    if (symbol.type === SYMBOL_TYPE.section || symbol.section === SECTION_INDEX.undef) return true;
    if (reloc.offset + SLOT > section.data.length || section.data[reloc.offset] !== LDIMM64) return true;
    return view.getInt32(reloc.offset + 4, object.elf.littleEndian) >= symbol.value;
  });
}

function relocRefs(
  object: ObjectFile,
  place: Place,
  targets: Targets,
  finder: FunctionFinder,
  addends: AddendRule,
): Ref[] {
  const { section, start, end } = place;
  const view = new DataView(section.data.buffer, section.data.byteOffset, section.data.length);
  const refs: Ref[] = [];
  for (const entry of object.relocsOf(section)) {
    const { reloc, symbol } = entry;
    if (reloc.offset < start || reloc.offset >= end) continue;
    if (reloc.offset % SLOT !== 0) {
      throw new InputError('loader-reloc', `${entry.what}: it does not fall on an instruction's first byte`);
    }
    const insn = ((reloc.offset - start) / SLOT) as InsnIdx;
    const opcode = section.data[reloc.offset]!;
    const imm = view.getInt32(reloc.offset + 4, object.elf.littleEndian);
    if (opcode === CALL) refs.push({ insn, ...callRef(entry, imm, targets, finder) });
    else if (opcode === LDIMM64) {
      if (reloc.offset + 2 * SLOT > end) {
        throw new InputError(
          'loader-reloc',
          `${entry.what}: the 64-bit load has no second half in ${place.name}`,
        );
      }
      refs.push({ insn, ...loadRef(object, entry, addends.ofLoad(imm, symbol, reloc), targets, finder) });
    } else {
      throw new InputError(
        'loader-reloc',
        `${entry.what}: the instruction (opcode 0x${opcode.toString(16)}) is neither a call nor a 64-bit load`,
      );
    }
  }
  return refs;
}

type RefTarget = Ref extends infer R ? (R extends Ref ? Omit<R, 'insn'> : never) : never;

function externRef(entry: SymbolReloc, targets: Targets): ExternSpec {
  const found = targets.externs.get(entry.symbol.name);
  if (found) return found;
  throw new InputError(
    'loader-extern',
    `${entry.what}: the object neither defines ${entry.symbol.name} nor declares it __kconfig or __ksym; ` +
      `if another object has it, link them first (bpftool gen object)`,
  );
}

function callRef(entry: SymbolReloc, imm: number, targets: Targets, finder: FunctionFinder): RefTarget {
  const { symbol } = entry;
  if (symbol.section === SECTION_INDEX.undef) {
    const found = externRef(entry, targets);
    if (found.kind !== 'kfunc')
      throw new InputError('loader-reloc', `${entry.what}: ${symbol.name} is no function`);
    return { kind: 'kfunc', extern: found.name };
  }
  // A static function is named by its section, and the immediate says which slot; a global one by its symbol.
  const offset = symbol.type === SYMBOL_TYPE.section ? symbol.value + (imm + 1) * SLOT : symbol.value;
  const func = finder.at(symbol.section, offset);
  if (func === undefined) {
    throw new InputError(
      'loader-reloc',
      `${entry.what}: no function begins at byte ${offset} of section ${symbol.section}`,
    );
  }
  return { kind: 'call', func };
}

function loadRef(
  object: ObjectFile,
  entry: SymbolReloc,
  addend: number,
  targets: Targets,
  finder: FunctionFinder,
): RefTarget {
  const { symbol } = entry;
  if (symbol.section === SECTION_INDEX.undef) {
    return { kind: 'extern', extern: externRef(entry, targets).name };
  }
  const offset = symbol.value + addend;
  const role = object.role(symbol.section);
  switch (role) {
    case 'text':
    case 'programs': {
      const func = finder.at(symbol.section, offset);
      if (func !== undefined) return { kind: 'func', func };
      throw new InputError(
        'loader-reloc',
        `${entry.what}: no function begins at byte ${offset} of section ${symbol.section}`,
      );
    }
    case 'btf_maps':
    case 'legacy_maps': {
      const map = targets.maps.find(
        (m) => m.section === symbol.section && offset >= m.offset && offset < m.offset + m.size,
      );
      if (map && map.offset === offset) return { kind: 'map', map: map.map };
      throw new InputError(
        'loader-reloc',
        `${entry.what}: no map begins at byte ${offset} of section ${symbol.section}`,
      );
    }
    case 'data':
    case 'rodata':
    case 'bss':
    case 'arena': {
      const map = targets.data.get(symbol.section);
      const size = object.elf.sections[symbol.section]!.size;
      if (map === undefined || offset < 0 || offset > size) {
        throw new InputError(
          'loader-reloc',
          `${entry.what}: byte ${offset} is not in section ${symbol.section} (${size} bytes)`,
        );
      }
      return { kind: 'data', map, off: offset };
    }
    case 'struct_ops':
    case 'other':
      throw new InputError(
        'loader-reloc',
        `${entry.what}: section ${symbol.section} (${object.elf.sections[symbol.section]?.name ?? 'none'}) ` +
          `is neither code, nor maps, nor global data`,
      );
    default:
      throw role satisfies never;
  }
}

/** Calls of functions in the same section have no relocation: the immediate is right as it stands in the section. */
function localCalls(
  object: ObjectFile,
  place: Place,
  insns: Uint8Array,
  related: ReadonlySet<number>,
  finder: FunctionFinder,
): Ref[] {
  const view = new DataView(insns.buffer);
  const refs: Ref[] = [];
  for (let at = 0; at < insns.length; at += SLOT) {
    const slot = at / SLOT;
    if (insns[at] === LDIMM64) {
      at += SLOT;
      continue;
    }
    if (insns[at] !== CALL || insns[at + 1]! >> 4 !== PSEUDO_CALL || related.has(slot)) continue;
    const offset = place.start + at + (view.getInt32(at + 4, true) + 1) * SLOT;
    const func = finder.at(place.section.index, offset);
    if (func === undefined) {
      throw new InputError(
        'loader-call',
        `${object.where(place.section)}: the call at offset ${place.start + at} (${place.name}, instruction ${slot}) ` +
          `goes to byte ${offset}, where no function begins`,
      );
    }
    refs.push({ insn: slot as InsnIdx, kind: 'call', func });
  }
  return refs;
}
