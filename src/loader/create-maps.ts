/** Creates an object's maps in a kernel, or takes over ones that are there, and fills them. */
import { InputError } from '../base/error.ts';
import {
  type Fd,
  type Kernel,
  MAP_CREATE_FLAGS,
  type MapCreateAttr,
  type MapInfo,
  type MapType,
} from '../sys/index.ts';
import type { KernelTypes } from './kernel-types.ts';
import type { MapSpec, ObjectSpec } from './spec.ts';
import { structOpsValue } from './struct-ops-value.ts';

/** What callers may change about maps. */
export interface MapOptions {
  /** `max_entries` by map name, where the object's is to be another. */
  readonly maxEntries?: Readonly<Record<string, number>>;
  /** `value_size` by map name, where it depends on the machine (the depth of stack traces). */
  readonly valueSize?: Readonly<Record<string, number>>;
  /** Maps to use instead of creating them, by name. They stay the caller's to close. */
  readonly reuseMaps?: Readonly<Record<string, Fd>>;
  /** Where maps are pinned; default `/sys/fs/bpf`. */
  readonly pinRoot?: string;
  /** Paths to pin maps at, by map name; `false` for one that the object would have pinned. */
  readonly pin?: Readonly<Record<string, string | false>>;
  /** Pinned maps to use instead of creating them: paths by map name. Each must be there. */
  readonly reusePinned?: Readonly<Record<string, string>>;
  /** Maps to create (`true`) or to leave out (`false`), where the object says otherwise. */
  readonly autocreate?: Readonly<Record<string, boolean>>;
  /** What maps and programs are called in the kernel, by their name in the object: at most 15 characters. */
  readonly rename?: Readonly<Record<string, string>>;
}

/** A map that is there now. */
export interface CreatedMap {
  readonly spec: MapSpec;
  readonly fd: Fd;
  readonly maxEntries: number;
  /** Closed with the object; false for the caller's own. */
  readonly owned: boolean;
  /** Where it is to be pinned; absent when it is not, or is there already. */
  readonly pinPath?: string;
}

/** Types whose keys or values the kernel takes no BTF for. */
const NO_BTF: ReadonlySet<MapType> = new Set<MapType>([
  'perf_event_array',
  'cgroup_array',
  'stack_trace',
  'array_of_maps',
  'hash_of_maps',
  'devmap',
  'devmap_hash',
  'cpumap',
  'xskmap',
  'sockmap',
  'sockhash',
  'queue',
  'stack',
  'arena',
  'prog_array',
]);

const PAGE = 4096;
const KEY_ZERO = new Uint8Array(4);

/** What creating maps needs to know. */
export interface MapContext {
  readonly kernel: Kernel;
  readonly types: KernelTypes;
  readonly spec: ObjectSpec;
  readonly btfFd: Fd | undefined;
  readonly options: MapOptions;
  /** Values of `.kconfig`, which the spec can't know. */
  readonly kconfig: Uint8Array | undefined;
  /** What a map of global data starts with, where the caller changed its variables. */
  readonly data: ReadonlyMap<string, Uint8Array>;
  /** What allows this user to create maps. */
  readonly token: Fd | undefined;
  /** Takes a file descriptor over, to be closed with the object. */
  readonly own: (fd: Fd) => Fd;
}

/** Makes one map, and fills it unless it was there. Maps inside it are put in by {@link fillMaps}. */
export function createMap(context: MapContext, map: MapSpec): CreatedMap {
  const { kernel, options } = context;
  const attr = createAttr(context, map);
  const given = own(options.reuseMaps, map.name);
  if (given !== undefined) {
    checkSame(context, map, attr, given, 'the given map');
    return { spec: map, fd: given, maxEntries: attr.max_entries, owned: false };
  }
  const reused = own(options.reusePinned, map.name);
  if (reused !== undefined) {
    const fd = context.own(kernel.bpf.obj_get({ pathname: reused }));
    checkSame(context, map, attr, fd, `the map pinned as ${reused}`);
    return { spec: map, fd, maxEntries: attr.max_entries, owned: true };
  }
  const path = pinPath(map, options);
  const pinned = path === undefined ? undefined : openPinned(kernel, path);
  if (pinned !== undefined) {
    context.own(pinned);
    checkSame(context, map, attr, pinned, `the map pinned as ${path}`);
    return { spec: map, fd: pinned, maxEntries: attr.max_entries, owned: true };
  }
  const fd = context.own(createWithInner(context, map, attr));
  const initial = context.data.get(map.name) ?? map.data;
  const data = map.origin === 'kconfig' ? context.kconfig : map.origin === 'data' ? initial : undefined;
  if (data?.some((byte) => byte !== 0)) {
    kernel.bpf.map_update_elem({ map_fd: fd, key: KEY_ZERO, value: data });
  }
  if (map.frozen) kernel.bpf.map_freeze({ map_fd: fd });
  return {
    spec: map,
    fd,
    maxEntries: attr.max_entries,
    owned: true,
    ...(path === undefined ? {} : { pinPath: path }),
  };
}

/** Where the map is pinned: as the caller says, or below the root as the object says. */
function pinPath(map: MapSpec, options: MapOptions): string | undefined {
  const given = own(options.pin, map.name);
  if (given !== undefined) return given === false ? undefined : given;
  return map.pin === undefined ? undefined : `${options.pinRoot ?? '/sys/fs/bpf'}/${map.pin}`;
}

/** Pins the maps that were made to be pinned. The last step of loading: a failure, here or before, leaves no pins. */
export function pinMaps(kernel: Kernel, maps: ReadonlyMap<string, CreatedMap>): void {
  const pinned: string[] = [];
  try {
    for (const { pinPath: pathname, fd } of maps.values()) {
      if (pathname === undefined) continue;
      kernel.bpf.obj_pin({ pathname, bpf_fd: fd });
      pinned.push(pathname);
    }
  } catch (error) {
    for (const path of pinned) kernel.files.unlink(path);
    throw error;
  }
}

/** An own property: names come from objects. */
export function own<T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return record && Object.hasOwn(record, name) ? record[name] : undefined;
}

function openPinned(kernel: Kernel, pathname: string): Fd | undefined {
  try {
    return kernel.bpf.obj_get({ pathname });
  } catch (error) {
    if (error instanceof InputError && error.errno === 'ENOENT') return undefined;
    throw error;
  }
}

function createAttr(context: MapContext, map: MapSpec): MapCreateAttr {
  const { kernel, btfFd, options } = context;
  const typed = btfFd !== undefined && !NO_BTF.has(map.type) && map.origin !== 'struct_ops';
  return {
    map_type: map.type,
    map_name: own(options.rename, map.name) ?? map.kernelName,
    key_size: map.keySize,
    value_size: own(options.valueSize, map.name) ?? map.valueSize,
    max_entries: maxEntries(kernel, map, own(options.maxEntries, map.name)),
    map_flags:
      map.flags |
      (map.numaNode === undefined ? 0 : MAP_CREATE_FLAGS.BPF_F_NUMA_NODE) |
      (context.token === undefined ? 0 : MAP_CREATE_FLAGS.BPF_F_TOKEN_FD),
    ...(context.token === undefined ? {} : { map_token_fd: context.token }),
    ...(map.numaNode === undefined ? {} : { numa_node: map.numaNode }),
    ...(map.extra === 0n ? {} : { map_extra: map.extra }),
    ...(typed && (map.keyType !== 0 || map.valueType !== 0)
      ? { btf_fd: btfFd, btf_key_type_id: map.keyType, btf_value_type_id: map.valueType }
      : {}),
  };
}

/** How many entries a map is made with: rings are whole pages, perf event arrays have one for each processor. */
export function maxEntries(kernel: Kernel, map: MapSpec, override: number | undefined): number {
  const wanted = override ?? map.maxEntries;
  if (map.type === 'perf_event_array' && wanted === 0) return kernel.possibleCpus;
  if (map.type !== 'ringbuf' && map.type !== 'user_ringbuf') return wanted;
  // A ring is a power of two of whole pages; what the object says is the least that it wants.
  if (wanted % PAGE === 0 && wanted > 0 && (wanted & (wanted - 1)) === 0) return wanted;
  let size = PAGE;
  while (size < wanted && size < 2 ** 31) size *= 2;
  return size;
}

function createWithInner(context: MapContext, map: MapSpec, attr: MapCreateAttr): Fd {
  const { kernel } = context;
  if (map.structOps) return createStructOps(context, map, attr);
  if (!map.inner) return createPlain(kernel, attr, context.spec, map);
  const template = createPlain(kernel, createAttr(context, map.inner), context.spec, map.inner);
  try {
    return createPlain(kernel, { ...attr, inner_map_fd: template }, context.spec, map);
  } finally {
    kernel.closeFd(template);
  }
}

/** As libbpf does, a map whose BTF the kernel refuses is made without. */
function createPlain(kernel: Kernel, attr: MapCreateAttr, spec: ObjectSpec, map: MapSpec): Fd {
  try {
    return kernel.bpf.map_create(attr);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    if (attr.btf_fd !== undefined) {
      const { btf_fd, btf_key_type_id, btf_value_type_id, ...untyped } = attr;
      try {
        return kernel.bpf.map_create(untyped);
      } catch (second) {
        if (!(second instanceof InputError)) throw second;
      }
    }
    const hint =
      attr.max_entries === 0 && attr.map_type !== 'task_storage'
        ? '; its max_entries is 0: the loader must say how many'
        : '';
    throw new InputError('loader-map-create', `${spec.file}: map ${map.name}: ${error.message}${hint}`, {
      ...(error.errno === undefined ? {} : { errno: error.errno }),
      cause: error,
    });
  }
}

function createStructOps(context: MapContext, map: MapSpec, attr: MapCreateAttr): Fd {
  const { kernel, types, spec } = context;
  const name = `bpf_struct_ops_${map.structOps!.typeName.replace(/___.*$/, '')}`;
  const found = types.find(name, 'struct');
  const wrapper = found?.btf.type(found.id);
  if (!found || wrapper?.kind !== 'struct') {
    throw new InputError(
      'loader-struct-ops',
      `${spec.file}: map ${map.name}: the kernel has no struct ${name}`,
    );
  }
  const flags =
    (map.structOps!.link ? MAP_CREATE_FLAGS.BPF_F_LINK : 0) |
    (found.moduleFd === undefined ? 0 : MAP_CREATE_FLAGS.BPF_F_VTYPE_BTF_OBJ_FD);
  return kernel.bpf.map_create({
    ...attr,
    value_size: wrapper.size,
    map_flags: attr.map_flags! | flags,
    btf_vmlinux_value_type_id: found.id,
    ...(found.moduleFd === undefined ? {} : { value_type_btf_obj_fd: found.moduleFd }),
    ...(context.btfFd === undefined ? {} : { btf_fd: context.btfFd }),
  });
}

/** A map that is taken over must be what the object would have created. */
function checkSame(context: MapContext, map: MapSpec, attr: MapCreateAttr, fd: Fd, which: string): void {
  const info = context.kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
  const differing = info.kind !== 'map' ? 'it is no map' : difference(attr, info);
  if (differing === undefined) return;
  throw new InputError(
    'loader-map-reuse',
    `${context.spec.file}: map ${map.name}: ${which} can't be used: ${differing}`,
  );
}

function difference(attr: MapCreateAttr, info: MapInfo): string | undefined {
  const pairs: readonly [string, unknown, unknown][] = [
    ['type', attr.map_type, info.type],
    ['key_size', attr.key_size, info.key_size],
    ['value_size', attr.value_size, info.value_size],
    ['max_entries', attr.max_entries, info.max_entries],
    ['map_flags', (attr.map_flags ?? 0) & ~MAP_CREATE_FLAGS.BPF_F_TOKEN_FD, info.map_flags],
    ['map_extra', attr.map_extra ?? 0n, info.map_extra],
  ];
  const wrong = pairs.find(
    ([name, wanted, is]) => wanted !== is && !(name === 'value_size' && attr.value_size === 0),
  );
  return wrong && `its ${wrong[0]} is ${wrong[2]}, the object's is ${wrong[1]}`;
}

/** Puts maps into maps of maps. */
export function fillMaps(kernel: Kernel, maps: ReadonlyMap<string, CreatedMap>): void {
  for (const { spec, fd, owned } of maps.values()) {
    if (!owned) continue;
    for (const slot of spec.slots) {
      if (slot.kind !== 'map') continue;
      putFd(kernel, fd, slot.index, maps.get(slot.name)!.fd);
    }
  }
}

/** Puts a map or program, by its file descriptor, at an index. */
export function putFd(kernel: Kernel, map: Fd, index: number, fd: Fd): void {
  kernel.bpf.map_update_elem({ map_fd: map, key: word(index), value: word(fd) });
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** Registers the struct of a struct_ops map with the kernel, once its programs are loaded. */
export function fillStructOps(
  context: MapContext,
  map: CreatedMap,
  progFd: (name: string) => Fd | undefined,
): void {
  const value = structOpsValue(context.types, context.spec, map.spec, progFd);
  context.kernel.bpf.map_update_elem({ map_fd: map.fd, key: KEY_ZERO, value });
}
