import type { BpfMap } from '../maps/index.ts';
import { ArenaMap, ArrayOfMaps, HashOfMaps, type MapShape } from '../maps/index.ts';
import type { MapFacts } from '../verifier/index.ts';

/** What the verifier is told of a map. */
export function mapFacts(map: BpfMap): MapFacts {
  const inner = map instanceof ArrayOfMaps || map instanceof HashOfMaps ? map.pattern : undefined;
  return {
    ...shapeFacts(map.shape),
    id: map.id,
    frozen: map.frozen,
    ...(map instanceof ArenaMap && { userAddress: map.userAddress }),
    ...typeFacts(map.types),
    ...(inner && {
      inner: { ...shapeFacts(inner), ...typeFacts(innerTypes.get(map)), id: 0, frozen: false },
    }),
    contents: (offset, size) => {
      const addr = map.directValue(offset);
      return addr === 0 || offset + size > map.shape.valueSize
        ? undefined
        : map.machine.memory.read(addr, size);
    },
  };
}

const innerTypes = new WeakMap<BpfMap, BpfMap['types']>();

/** Notes the types of the map that is the pattern of a map's inner maps. */
export function noteInnerTypes(outer: BpfMap, inner: BpfMap): void {
  innerTypes.set(outer, inner.types);
}

function typeFacts(types: BpfMap['types']): Partial<MapFacts> {
  return types ? { btf: types.btf.btf, btfKeyTypeId: types.key, btfValueTypeId: types.value } : {};
}

function shapeFacts({ name, type, keySize, valueSize, maxEntries, flags }: MapShape) {
  return { name, type, keySize, valueSize, maxEntries, flags };
}
