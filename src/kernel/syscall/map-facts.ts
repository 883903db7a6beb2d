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
    ...(map.types && {
      btf: map.types.btf.btf,
      btfKeyTypeId: map.types.key,
      btfValueTypeId: map.types.value,
    }),
    ...(inner && { inner: { ...shapeFacts(inner), id: 0, frozen: false } }),
    contents: (offset, size) => {
      const addr = map.directValue(offset);
      return addr === 0 || offset + size > map.shape.valueSize
        ? undefined
        : map.machine.memory.read(addr, size);
    },
  };
}

function shapeFacts({ name, type, keySize, valueSize, maxEntries, flags }: MapShape) {
  return { name, type, keySize, valueSize, maxEntries, flags };
}
