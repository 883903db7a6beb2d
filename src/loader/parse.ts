/**
 * Parses a BPF object file into an {@link ObjectSpec}.
 *
 * Checked: everything that the loader later relies on, down to the instruction that a relocation is for. Not checked:
 * whether a kernel will take the maps and programs.
 */
import { ByteView } from '../base/bytes.ts';
import { InputError } from '../base/error.ts';
import type { Btf } from '../btf/index.ts';
import { findSection, readBpfElf } from '../elf/index.ts';
import { parseBtfMaps } from './btf-maps.ts';
import { parseDataMaps, parseVariables } from './data-maps.ts';
import { kconfigSize, parseExterns } from './externs.ts';
import { parseFunctions, type Targets } from './functions.ts';
import { parseLegacyMaps } from './legacy-maps.ts';
import { completeBtf } from './object-btf.ts';
import { ObjectFile } from './object-file.ts';
import { parseSectionName } from './sections.ts';
import type { FunctionIndex, FunctionSpec, MapSpec, ObjectSpec, ProgramSpec } from './spec.ts';
import { parseStructOps } from './struct-ops.ts';

/**
 * Parses an object file. Pure: the same bytes give the same spec, and the bytes are not kept.
 *
 * @param bytes a relocatable ELF64 file for BPF, of either byte order
 * @param file what messages call it; its last part, without suffix, becomes the object's name
 * @throws InputError whose sentence names the file, the section and the offset of what is wrong
 */
export function parseObject(bytes: Uint8Array, file: string): ObjectSpec {
  const object = new ObjectFile(readBpfElf(bytes, file));
  const name = objectName(file);
  const externs = parseExterns(object);
  const btf = completeBtf(object, externs);

  const declared = parseBtfMaps(object, btf);
  const legacy = parseLegacyMaps(object, name, btf);
  const data = parseDataMaps(object, name, btf, kconfigSize(externs));
  const structOps = parseStructOps(object, btf);
  const maps = new Map<string, MapSpec>();
  for (const map of [...declared.maps, ...legacy.maps, ...data, ...structOps]) {
    if (maps.has(map.name)) throw new InputError('loader-map', `${file}: two maps are named ${map.name}`);
    maps.set(map.name, map);
  }

  const targets: Targets = {
    maps: [...declared.places, ...legacy.places],
    data: new Map(
      object
        .sectionsOf('data', 'rodata', 'bss', 'arena')
        .flatMap((section) => dataMapOf(object, section.index, section.name, maps)),
    ),
    externs,
  };
  const functions = parseFunctions(object, targets, btf, object.ext());
  const programs = parsePrograms(object, functions, btf);
  checkSlots(file, maps, programs);
  return {
    name,
    file,
    littleEndian: object.elf.littleEndian,
    license: parseLicense(object),
    version: parseVersion(object),
    functions,
    programs,
    maps,
    variables: parseVariables(object, data, btf),
    externs,
    btf,
  };
}

/** The file's name without folders, cut at the first dot, as libbpf names an object. */
function objectName(file: string): string {
  const base = file.slice(Math.max(file.lastIndexOf('/'), file.lastIndexOf('\\')) + 1);
  const dot = base.indexOf('.');
  return dot > 0 ? base.slice(0, dot) : base;
}

/** The map that holds a data section; a section of the arena is held by the object's arena map. */
function dataMapOf(
  object: ObjectFile,
  index: number,
  name: string,
  maps: ReadonlyMap<string, MapSpec>,
): [number, string][] {
  if (object.role(index) !== 'arena') return maps.has(name) ? [[index, name]] : [];
  const arena = [...maps.values()].find((map) => map.type === 'arena');
  return arena ? [[index, arena.name]] : [];
}

function parseLicense(object: ObjectFile): string {
  const section = findSection(object.elf, 'license');
  if (!section) return '';
  const end = section.data.indexOf(0);
  return new TextDecoder().decode(end < 0 ? section.data : section.data.subarray(0, end));
}

function parseVersion(object: ObjectFile): number | undefined {
  const section = findSection(object.elf, 'version');
  if (!section) return undefined;
  return new ByteView(section.data, object.where(section), object.elf.littleEndian, section.offset).u32(
    0,
    'version',
  );
}

/** The entry points: global functions in sections other than `.text`; a lone function of `.text` is one too. */
function parsePrograms(
  object: ObjectFile,
  functions: readonly FunctionSpec[],
  btf: Btf | undefined,
): Map<string, ProgramSpec> {
  const isText = (f: FunctionSpec) => f.section === '.text' || f.section.startsWith('.text.');
  const callbacks = exceptionCallbacks(functions, btf);
  const programs = new Map<string, ProgramSpec>();
  for (const [i, func] of functions.entries()) {
    const only = functions.length === 1;
    if (isText(func) ? !only : !func.global) continue;
    const { def, target, autoload } = parseSectionName(func.section);
    const tail = /^(0x[0-9a-f]+|[0-9]+)\/(0x[0-9a-f]+|[0-9]+)$/i.exec(func.section);
    if (programs.has(func.name)) {
      throw new InputError('loader-program', `${object.file}: two programs are named ${func.name}`);
    }
    programs.set(func.name, {
      name: func.name,
      section: func.section,
      type: def?.type,
      attach: def?.attach,
      target,
      sleepable: def?.sleepable ?? false,
      frags: def?.frags ?? false,
      attachBtf: def?.attachBtf ?? false,
      autoload,
      func: i as FunctionIndex,
      exceptionCallback: callbacks.get(i),
      tail: tail ? { id: Number(tail[1]), index: Number(tail[2]) } : undefined,
    });
  }
  return programs;
}

/** Functions whose BTF has a declaration tag `exception_callback:NAME`. */
function exceptionCallbacks(
  functions: readonly FunctionSpec[],
  btf: Btf | undefined,
): Map<number, FunctionIndex> {
  const found = new Map<number, FunctionIndex>();
  if (!btf) return found;
  const prefix = 'exception_callback:';
  for (const id of btf.ids()) {
    if (btf.kind(id) !== 'decl_tag') continue;
    const tag = btf.typeOf(id, 'decl_tag');
    if (!tag.name.startsWith(prefix)) continue;
    const owner = functions.findIndex((f) => f.btfType === tag.type);
    const callback = functions.findIndex((f) => f.name === tag.name.slice(prefix.length));
    if (owner >= 0 && callback >= 0) found.set(owner, callback as FunctionIndex);
  }
  return found;
}

/** What maps are filled with must exist. */
function checkSlots(
  file: string,
  maps: ReadonlyMap<string, MapSpec>,
  programs: ReadonlyMap<string, ProgramSpec>,
): void {
  for (const map of maps.values()) {
    for (const slot of map.slots) {
      if (slot.kind === 'map' ? maps.has(slot.name) : programs.has(slot.name)) continue;
      throw new InputError(
        'loader-map',
        `${file}: map ${map.name} has ${slot.kind} ${slot.name} at index ${slot.index}, which the object lacks`,
      );
    }
  }
}
