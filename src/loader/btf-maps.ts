/** Maps declared by types in `.maps`: a variable of a struct type whose members' types are the attributes. */
import { InputError } from '../base/error.ts';
import { type Btf, type BtfTypeId, resolve, resolveType, sizeOf, VOID } from '../btf/index.ts';
import { type ElfSection, SECTION_INDEX, SYMBOL_TYPE } from '../elf/index.ts';
import type { MapType } from '../sys/index.ts';
import { mapTypeName } from '../sys/index.ts';
import { kernelName } from './data-maps.ts';
import type { MapPlace } from './functions.ts';
import type { ObjectFile } from './object-file.ts';
import type { MapSpec, SlotSpec } from './spec.ts';

/** Map types whose elements are other maps. */
const MAPS_OF_MAPS: ReadonlySet<MapType> = new Set(['array_of_maps', 'hash_of_maps']);
/** `LIBBPF_PIN_BY_NAME`. */
const PIN_BY_NAME = 1;

/** What {@link parseBtfMaps} finds. */
export interface BtfMaps {
  readonly maps: MapSpec[];
  readonly places: MapPlace[];
}

/** A map declaration as its members say it. */
interface Attributes {
  type: number;
  keySize: number | undefined;
  keyType: BtfTypeId;
  valueSize: number | undefined;
  valueType: BtfTypeId;
  maxEntries: number;
  flags: number;
  numaNode: number | undefined;
  extra: bigint;
  pin: boolean;
  inner: MapSpec | undefined;
  /** Byte in the struct at which the `values` array begins. */
  valuesAt: number | undefined;
}

/** Reads the maps of an object's `.maps` section. */
export function parseBtfMaps(object: ObjectFile, btf: Btf | undefined): BtfMaps {
  const maps: MapSpec[] = [];
  const places: MapPlace[] = [];
  for (const section of object.sectionsOf('btf_maps')) {
    const id = btf?.find('.maps', 'datasec');
    if (!btf || id === undefined) {
      throw new InputError(
        'loader-map-btf',
        `${object.where(section)}: maps at offset ${section.offset} are declared by BTF, but the object has none for ` +
          `them; compile with -g`,
      );
    }
    for (const info of btf.typeOf(id, 'datasec').vars) {
      const variable = btf.typeOf(info.type, 'var');
      const what = `${object.where(section)}: map ${variable.name} at offset ${info.offset}`;
      if (info.offset + info.size > section.size) {
        throw new InputError('loader-map', `${what} of ${info.size} bytes does not fit into ${section.size}`);
      }
      const attributes = parseAttributes(btf, variable.type, variable.name, what, false);
      const slots =
        attributes.valuesAt === undefined
          ? []
          : parseSlots(object, section, info.offset + attributes.valuesAt, info.offset + info.size, what);
      maps.push(mapSpec(variable.name, attributes, slots, what));
      places.push({ map: variable.name, section: section.index, offset: info.offset, size: info.size });
    }
  }
  return { maps, places };
}

function mapSpec(name: string, a: Attributes, slots: readonly SlotSpec[], what: string): MapSpec {
  const type = mapTypeName(a.type);
  if (type === undefined) {
    throw new InputError(
      'loader-map-type',
      `${what}: map type ${a.type} ${a.type === 0 ? 'is missing' : 'is unknown'}`,
    );
  }
  const holder = MAPS_OF_MAPS.has(type) || type === 'prog_array';
  if (a.valuesAt !== undefined && !holder) {
    throw new InputError('loader-map', `${what}: a ${type} map takes no initial values`);
  }
  return {
    name,
    kernelName: kernelName(name),
    origin: 'btf',
    type,
    keySize: a.keySize ?? 0,
    // Maps and programs are put into a map as file descriptors.
    valueSize: a.valueSize ?? (holder && a.valuesAt !== undefined ? 4 : 0),
    maxEntries: a.maxEntries,
    flags: a.flags,
    numaNode: a.numaNode,
    extra: a.extra,
    keyType: a.keyType,
    valueType: a.valueType,
    pin: a.pin ? name : undefined,
    inner: a.inner,
    slots,
    data: undefined,
    frozen: false,
    id: 0,
    structOps: undefined,
  };
}

function parseAttributes(btf: Btf, id: BtfTypeId, name: string, what: string, inner: boolean): Attributes {
  const struct = resolveType(btf, id);
  if (struct.kind !== 'struct') {
    throw new InputError(
      'loader-map',
      `${what}: its type is a ${struct.kind}; a map is declared by a struct`,
    );
  }
  const a: Attributes = {
    type: 0,
    keySize: undefined,
    keyType: VOID,
    valueSize: undefined,
    valueType: VOID,
    maxEntries: 0,
    flags: 0,
    numaNode: undefined,
    extra: 0n,
    pin: false,
    inner: undefined,
    valuesAt: undefined,
  };
  for (const member of struct.members) {
    const fail = (problem: string): never => {
      throw new InputError('loader-map', `${what}: attribute ${member.name || '(unnamed)'} ${problem}`);
    };
    const number = (): bigint => {
      const value = attributeNumber(btf, member.type);
      return value ?? fail('is not a number (__uint or __ulong)');
    };
    const uint = (): number => {
      const value = number();
      if (value < 0n || value > 0xffff_ffffn) fail(`is ${value}, which does not fit into 32 bits`);
      return Number(value);
    };
    const sized = (known: number | undefined, type: BtfTypeId, of: 'key' | 'value'): number => {
      const size = sizeOf(btf, type);
      if (known !== undefined && known !== size) fail(`has ${size} bytes, but ${of}_size says ${known}`);
      return size;
    };
    const explicit = (known: number | undefined): number => {
      const size = uint();
      if (known !== undefined && known !== size) fail(`says ${size}, but the type has ${known} bytes`);
      return size;
    };
    switch (member.name) {
      case 'type':
        a.type = uint();
        break;
      case 'max_entries':
        a.maxEntries = uint();
        break;
      case 'map_flags':
        a.flags = uint();
        break;
      case 'numa_node':
        a.numaNode = uint();
        break;
      case 'map_extra':
        a.extra = number();
        break;
      case 'key_size':
        a.keySize = explicit(a.keySize);
        break;
      case 'value_size':
        a.valueSize = explicit(a.valueSize);
        break;
      case 'key':
        a.keyType = pointee(btf, member.type) ?? fail('is not a type (__type)');
        a.keySize = sized(a.keySize, a.keyType, 'key');
        break;
      case 'value':
        a.valueType = pointee(btf, member.type) ?? fail('is not a type (__type)');
        a.valueSize = sized(a.valueSize, a.valueType, 'value');
        break;
      case 'pinning': {
        const pinning = uint();
        if (pinning > PIN_BY_NAME) fail(`is ${pinning}; 0 (none) and 1 (by name) are known`);
        if (inner && pinning !== 0) fail('is set, but an inner map cannot be pinned');
        a.pin = pinning === PIN_BY_NAME;
        break;
      }
      case 'values':
        if (inner) fail('is set in an inner map, which cannot hold maps or programs');
        a.valuesAt = member.bitOffset / 8;
        a.inner = innerMap(btf, member.type, name, what);
        break;
      default:
        fail('is unknown');
    }
  }
  return a;
}

/** The template of `__array(values, …)`; a prog array's values are functions, which need none. */
function innerMap(btf: Btf, id: BtfTypeId, outer: string, what: string): MapSpec | undefined {
  const array = resolveType(btf, id);
  const element = array.kind === 'array' ? resolveType(btf, array.type) : undefined;
  if (element?.kind !== 'ptr') {
    throw new InputError('loader-map', `${what}: attribute values is not an array of pointers (__array)`);
  }
  const target = resolveType(btf, element.type);
  if (target.kind === 'func_proto' || target.kind === 'void') return undefined;
  const name = `${outer}.inner`;
  const attributes = parseAttributes(btf, element.type, name, `${what}: inner map`, true);
  return mapSpec(name, attributes, [], `${what}: inner map`);
}

/** `int (*name)[N]` says N; an enumerator of 64 bits says more. */
function attributeNumber(btf: Btf, id: BtfTypeId): bigint | undefined {
  const type = resolveType(btf, id);
  if (type.kind === 'ptr') {
    const array = resolveType(btf, type.type);
    return array.kind === 'array' ? BigInt(array.length) : undefined;
  }
  if ((type.kind === 'enum' || type.kind === 'enum64') && type.values.length === 1) {
    return BigInt(type.values[0]!.value);
  }
  return undefined;
}

function pointee(btf: Btf, id: BtfTypeId): BtfTypeId | undefined {
  const type = btf.type(resolve(btf, id));
  return type.kind === 'ptr' ? type.type : undefined;
}

/** The maps and programs that relocations put into a `values` array. */
function parseSlots(
  object: ObjectFile,
  section: ElfSection,
  from: number,
  to: number,
  what: string,
): SlotSpec[] {
  const slots: SlotSpec[] = [];
  for (const { reloc, symbol, what: place } of object.relocsOf(section)) {
    if (reloc.offset < from || reloc.offset >= to) continue;
    if ((reloc.offset - from) % 8 !== 0 || symbol.section === SECTION_INDEX.undef || symbol.name === '') {
      throw new InputError('loader-map', `${place}: it does not put a map or a program into ${what}`);
    }
    const kind = symbol.type === SYMBOL_TYPE.func ? 'prog' : 'map';
    slots.push({ index: (reloc.offset - from) / 8, kind, name: symbol.name });
  }
  return slots;
}
