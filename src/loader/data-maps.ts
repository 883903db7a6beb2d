/** Global data: the maps that hold `.data`, `.rodata`, `.bss` and `.kconfig`, and the variables in them. */
import { InputError } from '../base/error.ts';
import { type Btf, type BtfTypeId, sizeOf, VOID } from '../btf/index.ts';
import { SYMBOL_BIND, SYMBOL_TYPE } from '../elf/index.ts';
import { MAP_CREATE_FLAGS } from '../sys/index.ts';
import type { ObjectFile } from './object-file.ts';
import type { MapSpec } from './spec.ts';
import { Variable, type VariablePlace } from './variable.ts';

const { BPF_F_RDONLY_PROG: RDONLY_PROG, BPF_F_MMAPABLE: MMAPABLE } = MAP_CREATE_FLAGS;

/** Longest name that the kernel takes for a map or program, without the terminating zero. */
export const MAX_NAME = 15;

/** A name with nothing but what the kernel takes in one, cut to its length. */
export function kernelName(name: string): string {
  return name.replace(/[^A-Za-z0-9_.]/g, '_').slice(0, MAX_NAME);
}

/** The kernel's name for a map of global data, as libbpf makes it: `syn_coun.rodata`. */
function dataMapName(objectName: string, section: string): string {
  if (section.slice(1).includes('.')) return kernelName(section);
  const suffix = section.slice(0, Math.max(7, section.length));
  const prefix = objectName.slice(0, Math.max(0, MAX_NAME - Math.max(7, suffix.length)));
  return kernelName(prefix + suffix);
}

/** What all maps of global data have in common. */
function dataMap(objectName: string, name: string, size: number, btf: Btf | undefined): MapSpec {
  const datasec = btf?.find(name, 'datasec');
  const shared =
    btf !== undefined &&
    datasec !== undefined &&
    btf.typeOf(datasec, 'datasec').vars.some(({ type }) => {
      const variable = btf.type(type);
      return variable.kind === 'var' && variable.linkage !== 'static';
    });
  return {
    name,
    kernelName: dataMapName(objectName, name),
    origin: 'data',
    type: 'array',
    keySize: 4,
    valueSize: size,
    maxEntries: 1,
    flags: shared ? MMAPABLE : 0,
    numaNode: undefined,
    extra: 0n,
    keyType: VOID,
    valueType: datasec ?? VOID,
    pin: undefined,
    inner: undefined,
    slots: [],
    data: undefined,
    frozen: false,
    id: 0,
    structOps: undefined,
  };
}

/** The maps of an object's global data. */
export function parseDataMaps(
  object: ObjectFile,
  objectName: string,
  btf: Btf | undefined,
  kconfigBytes: number,
): MapSpec[] {
  const maps = object
    .sectionsOf('data', 'rodata', 'bss')
    .filter((section) => section.size > 0)
    .map((section): MapSpec => {
      const map = dataMap(objectName, section.name, section.size, btf);
      const data = new Uint8Array(section.size);
      data.set(section.data);
      const readonly = object.role(section.index) === 'rodata';
      return { ...map, data, frozen: readonly, flags: map.flags | (readonly ? RDONLY_PROG : 0) };
    });
  const seen = new Set<string>();
  for (const { name } of maps) {
    if (seen.has(name)) {
      throw new InputError('loader-section', `${object.file}: there are two sections named ${name}`);
    }
    seen.add(name);
  }
  if (kconfigBytes > 0) {
    const map = dataMap(objectName, '.kconfig', kconfigBytes, btf);
    const data = new Uint8Array(kconfigBytes);
    maps.push({ ...map, origin: 'kconfig', data, frozen: true, flags: map.flags | RDONLY_PROG });
  }
  return maps;
}

/** The variables in maps of global data, by name. A global variable goes before a static one of its name. */
export function parseVariables(
  object: ObjectFile,
  maps: readonly MapSpec[],
  btf: Btf | undefined,
): Map<string, Variable> {
  const variables = new Map<string, Variable>();
  const ranks = new Map<string, number>();
  const add = (place: VariablePlace, data: Uint8Array, rank: number) => {
    if (place.size <= 0 || place.offset + place.size > data.length) return;
    if ((ranks.get(place.name) ?? -1) >= rank) return;
    ranks.set(place.name, rank);
    variables.set(place.name, new Variable(place, data, object.elf.littleEndian, btf));
  };
  for (const map of maps) {
    const { data } = map;
    if (!data || map.origin !== 'data') continue;
    if (btf && map.valueType !== 0) {
      for (const info of btf.typeOf(map.valueType, 'datasec').vars) {
        const variable = btf.type(info.type);
        if (variable.kind !== 'var') continue;
        const size = info.size || sizeOf(btf, variable.type);
        const place = { name: variable.name, map: map.name, offset: info.offset, size, type: variable.type };
        add(place, data, variable.linkage === 'static' ? 1 : 3);
      }
    }
    const section = object.elf.sections.find((s) => s.name === map.name);
    for (const symbol of section ? object.symbolsIn(section) : []) {
      if (symbol.type !== SYMBOL_TYPE.object) continue;
      const type = 0 as BtfTypeId;
      const place = { name: symbol.name, map: map.name, offset: symbol.value, size: symbol.size, type };
      add(place, data, symbol.bind === SYMBOL_BIND.local ? 0 : 2);
    }
  }
  return variables;
}
