/**
 * Maps declared by values in a `maps` section: consecutive 32-bit words.
 *
 * | words | who | fields |
 * |--|--|--|
 * | 5 | libbpf before 1.0 | type, key size, value size, entries, flags |
 * | 7 | aya, redbpf, iproute2 before 4.12 | the same, then id, pinning |
 * | 9 | iproute2 | the same, then id, pinning, id of the inner map, own index in the outer map |
 */
import { ByteView } from '../base/bytes.ts';
import { InputError } from '../base/error.ts';
import { type Btf, type BtfTypeId, sizeOf, VOID } from '../btf/index.ts';
import type { ElfSection, ElfSymbol } from '../elf/index.ts';
import { mapTypeName } from '../sys/index.ts';
import { kernelName } from './data-maps.ts';
import type { MapPlace } from './functions.ts';
import type { ObjectFile } from './object-file.ts';
import type { MapSpec, SlotSpec } from './spec.ts';

const MIN_SIZE = 20;
const WITH_ID = 28;
const WITH_INNER = 36;

/** iproute2's `pinning`: for this object alone, and for all. */
const PIN_OBJECT_NS = 1;

interface Definition {
  readonly name: string;
  readonly spec: MapSpec;
  readonly innerId: number;
  readonly innerIndex: number;
}

/** Reads the legacy maps of an object. Inner maps are found by the ids that iproute2's layout gives. */
export function parseLegacyMaps(
  object: ObjectFile,
  objectName: string,
  btf: Btf | undefined,
): { readonly maps: MapSpec[]; readonly places: MapPlace[] } {
  const definitions: Definition[] = [];
  const places: MapPlace[] = [];
  for (const section of object.sectionsOf('legacy_maps')) {
    const symbols = object.symbolsIn(section);
    if (symbols.length === 0 && section.size > 0) {
      throw new InputError(
        'loader-map',
        `${object.where(section)}: ${section.size} bytes of maps at offset ${section.offset} have no symbol that names them`,
      );
    }
    for (const [i, symbol] of symbols.entries()) {
      const end = symbols[i + 1]?.value ?? section.size;
      const size = symbol.size > 0 ? Math.min(symbol.size, end - symbol.value) : end - symbol.value;
      definitions.push(parseDefinition(object, objectName, section, symbol, size, btf));
      places.push({ map: symbol.name, section: section.index, offset: symbol.value, size });
    }
  }
  return { maps: definitions.map((d) => withInner(d, definitions, object)), places };
}

function parseDefinition(
  object: ObjectFile,
  objectName: string,
  section: ElfSection,
  symbol: ElfSymbol,
  size: number,
  btf: Btf | undefined,
): Definition {
  const { name, value: at } = symbol;
  const what = `${object.where(section)}: map ${name} at offset ${at}`;
  if (size < MIN_SIZE || at + size > section.data.length) {
    throw new InputError(
      'loader-map',
      `${what} has ${Math.max(0, Math.min(size, section.data.length - at))} bytes; a definition has at least ${MIN_SIZE}`,
    );
  }
  const view = new ByteView(section.data, what, object.elf.littleEndian, section.offset);
  const word = (i: number, from = 0) => (size >= from ? view.u32(at + i * 4, `word ${i}`) : 0);
  const type = mapTypeName(word(0));
  if (type === undefined) throw new InputError('loader-map-type', `${what}: map type ${word(0)} is unknown`);
  const pinning = word(6, WITH_ID);
  const pin = pinning === 0 ? undefined : pinPath(objectName, name, pinning, size >= WITH_INNER);
  const types = annotatedTypes(btf, name, word(1), word(2));
  const spec: MapSpec = {
    name,
    kernelName: kernelName(name),
    origin: 'legacy',
    type,
    keySize: word(1),
    valueSize: word(2),
    maxEntries: word(3),
    flags: word(4),
    numaNode: undefined,
    extra: 0n,
    ...types,
    pin,
    inner: undefined,
    slots: [],
    data: undefined,
    frozen: false,
    id: word(5, WITH_ID),
    structOps: undefined,
  };
  return { name, spec, innerId: word(7, WITH_INNER), innerIndex: word(8, WITH_INNER) };
}

/** iproute2 pins below `tc`, in `globals` or in a folder of the object's; aya pins by name alone. */
function pinPath(objectName: string, name: string, pinning: number, iproute2: boolean): string {
  if (!iproute2) return name;
  return pinning === PIN_OBJECT_NS ? `tc/${objectName}/${name}` : `tc/globals/${name}`;
}

/** `BPF_ANNOTATE_KV_PAIR` leaves the types in a struct named after the map. */
function annotatedTypes(
  btf: Btf | undefined,
  name: string,
  keySize: number,
  valueSize: number,
): { readonly keyType: BtfTypeId; readonly valueType: BtfTypeId } {
  const id = btf?.find(`____btf_map_${name}`, 'struct');
  const struct = btf && id !== undefined ? btf.type(id) : undefined;
  const members = struct?.kind === 'struct' ? struct.members : [];
  const key = members.find((m) => m.name === 'key');
  const value = members.find((m) => m.name === 'value');
  if (!btf || !key || !value || sizeOf(btf, key.type) !== keySize || sizeOf(btf, value.type) !== valueSize) {
    return { keyType: VOID, valueType: VOID };
  }
  return { keyType: key.type, valueType: value.type };
}

function withInner(definition: Definition, all: readonly Definition[], object: ObjectFile): MapSpec {
  const { spec, innerId } = definition;
  if ((spec.type !== 'array_of_maps' && spec.type !== 'hash_of_maps') || innerId === 0) return spec;
  const inner = all.filter((d) => d.spec.id === innerId);
  const template = inner[0];
  if (!template) {
    throw new InputError(
      'loader-map',
      `${object.file}: map ${spec.name} wants an inner map of id ${innerId}, which no map has`,
    );
  }
  const slots = inner
    .filter((d) => d.innerIndex !== 0xffff_ffff)
    .map((d): SlotSpec => ({ index: d.innerIndex, kind: 'map', name: d.name }));
  return { ...spec, inner: template.spec, slots };
}
