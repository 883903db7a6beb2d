/** What the maps and global variables of a loaded object hold, as plain data. */
import { InputError } from '../../base/error.ts';
import type { BtfTypeId } from '../../btf/index.ts';
import type { LoadedMap, LoadedObject } from '../../loader/index.ts';
import type { Kernel, MapType } from '../../sys/index.ts';
import { type Plain, plainValue, typeLabel } from '../value.ts';

/** One element. A per-CPU map has a value for each processor. */
interface Entry {
  readonly key: Plain;
  readonly value?: Plain;
  readonly values?: readonly { readonly cpu: number; readonly value: Plain }[];
}

export interface MapContents {
  readonly name: string;
  readonly type: MapType;
  readonly key_type: string;
  readonly value_type: string;
  readonly max_entries: number;
  /** Whether its elements are data that can be read without changing it. */
  readonly readable: boolean;
  /** Elements that it holds; those of an array are all there from the start. */
  readonly count: number;
  /** At most as many as were asked for, in the order of their keys. Of an array those that are not zero. */
  readonly entries: readonly Entry[];
}

export interface GlobalValue {
  readonly name: string;
  readonly section: string;
  readonly type: string;
  readonly value: Plain;
}

/** Map types whose elements are no data to read. */
const UNREADABLE: ReadonlySet<MapType> = new Set<MapType>([
  'prog_array',
  'perf_event_array',
  'ringbuf',
  'user_ringbuf',
  'queue',
  'stack',
  'bloom_filter',
  'struct_ops',
  'arena',
]);

const PER_CPU: ReadonlySet<MapType> = new Set<MapType>(['percpu_hash', 'percpu_array', 'lru_percpu_hash']);
const ARRAYS: ReadonlySet<MapType> = new Set<MapType>(['array', 'percpu_array']);

/** Past this many keys they are not sorted. */
const SORTED = 100_000;

/** Every map that the object declares, or the named one. Global data is not among them. */
export function mapContents(object: LoadedObject, only: string | undefined, limit: number): MapContents[] {
  const declared = [...object.maps.values()].filter((map) => !isGlobalData(map));
  if (only !== undefined && !declared.some((map) => map.name === only)) {
    const names = declared.map((map) => map.name).join(', ') || 'none';
    throw new InputError('run-map', `${object.spec.file}: there is no map ${only}; there are: ${names}`);
  }
  return declared
    .filter((map) => only === undefined || map.name === only)
    .map((map) => contentsOf(object.kernel, object, map, limit));
}

export function isGlobalData(map: LoadedMap): boolean {
  return map.spec.origin === 'data' || map.spec.origin === 'kconfig';
}

function contentsOf(kernel: Kernel, object: LoadedObject, map: LoadedMap, limit: number): MapContents {
  const { spec } = map;
  const { btf } = object.spec;
  const head = {
    name: map.name,
    type: spec.type,
    key_type: typeLabel(btf, spec.keyType),
    value_type: typeLabel(btf, spec.valueType),
    max_entries: map.maxEntries,
    readable: !UNREADABLE.has(spec.type),
  };
  if (!head.readable) return { ...head, count: 0, entries: [] };
  const keys = allKeys(kernel, map);
  if (keys.length <= SORTED && !ARRAYS.has(spec.type)) keys.sort(compareBytes);
  const entries: Entry[] = [];
  for (const key of keys) {
    if (entries.length >= limit) break;
    const value = kernel.bpf.map_lookup_elem({ map_fd: map.fd, key });
    if (value === undefined || (ARRAYS.has(spec.type) && value.every((byte) => byte === 0))) continue;
    entries.push({ key: plainValue(btf, spec.keyType, key), ...entryValue(object, map, value) });
  }
  return { ...head, count: keys.length, entries };
}

function entryValue(object: LoadedObject, map: LoadedMap, bytes: Uint8Array): Omit<Entry, 'key'> {
  const { btf } = object.spec;
  const { valueType, valueSize } = map.spec;
  if (!PER_CPU.has(map.spec.type)) return { value: plainValue(btf, valueType, bytes) };
  const stride = Math.ceil(valueSize / 8) * 8;
  const values = [];
  for (let cpu = 0; (cpu + 1) * stride <= bytes.length; cpu++) {
    const part = bytes.subarray(cpu * stride, cpu * stride + valueSize);
    values.push({ cpu, value: plainValue(btf, valueType, part) });
  }
  return { values };
}

function allKeys(kernel: Kernel, map: LoadedMap): Uint8Array[] {
  const keys: Uint8Array[] = [];
  let key = kernel.bpf.map_get_next_key({ map_fd: map.fd });
  // A key that was deleted meanwhile starts the walk again; the bound ends it.
  while (key !== undefined && keys.length < map.maxEntries) {
    keys.push(key);
    key = kernel.bpf.map_get_next_key({ map_fd: map.fd, key });
  }
  return keys;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    const difference = a[i]! - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The object's global variables as they are now. Compilers' own (the text of a `bpf_printk`) are left out. */
export function globalValues(object: LoadedObject): GlobalValue[] {
  const values: GlobalValue[] = [];
  for (const variable of object.spec.variables.values()) {
    if (variable.name.includes('____fmt') || variable.name.startsWith('__func__')) continue;
    if (!object.maps.has(variable.map)) continue;
    values.push({
      name: variable.name,
      section: variable.map,
      type: typeLabel(object.spec.btf, variable.type as BtfTypeId),
      value: plainValue(object.spec.btf, variable.type, object.readVariable(variable.name)),
    });
  }
  return values;
}
