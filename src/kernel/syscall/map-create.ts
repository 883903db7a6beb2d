import { type BtfTypeId, resolveType, trySizeOf } from '../../btf/index.ts';
import { flagNames, MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import type { Fd, MapCreateAttr } from '../../sys/kernel.ts';
import { isMapType, type MapType } from '../../sys/map-types.ts';
import { checkPattern, MAP_KINDS, type MapShape } from '../maps/index.ts';
import type { BtfObject } from '../objects/btf-object.ts';
import { modeOf } from '../objects/fd-table.ts';
import { type Call, checkName, fail, openFile } from './failure.ts';
import type { KernelState } from './state.ts';

const F = MAP_CREATE_FLAGS;

/** Types that a caller without CAP_BPF may create where unprivileged BPF is enabled. */
const UNPRIVILEGED: ReadonlySet<MapType> = new Set<MapType>([
  'array',
  'percpu_array',
  'prog_array',
  'perf_event_array',
  'array_of_maps',
  'hash',
  'percpu_hash',
  'hash_of_maps',
  'ringbuf',
]);

export function mapCreate(state: KernelState, attr: MapCreateAttr): Fd {
  const name = attr.map_name ?? '';
  const call: Call = {
    command: 'map_create',
    doing: `creating ${attr.map_type} map${name && ` '${name}'`}`,
  };
  checkAttributes(call, attr);
  const flags = attr.map_flags ?? 0;
  const mode = modeOf(flags);
  if (!mode) throw fail(call, 'EINVAL', 'BPF_F_RDONLY and BPF_F_WRONLY exclude each other');
  const numaNode = flags & F.BPF_F_NUMA_NODE ? (attr.numa_node ?? 0) : undefined;
  if (numaNode) throw fail(call, 'EINVAL', `there is no NUMA node ${numaNode}, only node 0`);
  const kind = isMapType(attr.map_type) ? MAP_KINDS[attr.map_type] : undefined;
  if (!kind) throw fail(call, 'EINVAL', `the embedded kernel has no maps of type ${attr.map_type}`);
  const shape: MapShape = {
    type: attr.map_type,
    name,
    keySize: attr.key_size,
    valueSize: attr.value_size,
    maxEntries: attr.max_entries,
    flags,
    extra: attr.map_extra ?? 0n,
  };
  const refusal = kind.check(shape, { cpus: state.cpus, admin: state.capabilities.sysAdmin, numaNode });
  if (refusal) throw fail(call, refusal.errno, refusal.reason);
  if (attr.map_ifindex) {
    throw fail(call, 'EINVAL', 'no device takes maps: map_ifindex is for hardware offload');
  }
  checkCapabilities(state, call, attr.map_type);
  const inner = kind.ofMaps ? innerPattern(state, call, attr) : undefined;
  checkName(call, name);
  const types = valueTypes(state, call, attr);
  const spinLock = types && spinLockOffset(types.btf, types.value);
  if (spinLock !== undefined) checkSpinLock(call, shape);
  const full: MapShape = spinLock === undefined ? shape : { ...shape, spinLock };
  const map = state.memory.transaction(() => kind.create(state, full, inner));
  if (types) map.types = { btf: types.btf.hold(), key: types.key, value: types.value };
  state.mapsByAddr.set(map.addr, map);
  state.maps.publish(map);
  const unpublish = map.onEnd;
  map.onEnd = () => {
    unpublish?.();
    state.mapsByAddr.delete(map.addr);
  };
  return state.fds.open(map, mode);
}

function checkAttributes(call: Call, attr: MapCreateAttr): void {
  for (const field of ['key_size', 'value_size', 'max_entries'] as const) {
    const value = attr[field];
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
      throw fail(call, 'EINVAL', `${field} is ${value}, which is no unsigned 32-bit number`);
    }
  }
  const flags = attr.map_flags ?? 0;
  if (flags & F.BPF_F_TOKEN_FD) {
    throw fail(call, 'EINVAL', `the embedded kernel has no tokens (${flagNames(F, F.BPF_F_TOKEN_FD)[0]})`);
  }
  if (attr.btf_vmlinux_value_type_id) {
    throw fail(call, 'EINVAL', 'btf_vmlinux_value_type_id is for struct_ops maps alone');
  }
  if (attr.btf_key_type_id && !attr.btf_value_type_id) {
    throw fail(call, 'EINVAL', 'btf_key_type_id comes with a btf_value_type_id');
  }
  if (attr.map_extra) throw fail(call, 'EINVAL', `a ${attr.map_type} map has no map_extra`);
}

function checkCapabilities(state: KernelState, call: Call, type: MapType): void {
  if (state.capabilities.bpf || (state.unprivileged && UNPRIVILEGED.has(type))) return;
  throw fail(call, 'EPERM', 'the caller lacks CAP_BPF');
}

/** The shape that inner maps must have. */
function innerPattern(state: KernelState, call: Call, attr: MapCreateAttr): MapShape {
  const { object } = openFile(state, call, 'map', attr.inner_map_fd);
  const refusal = checkPattern(object);
  if (refusal) throw fail(call, refusal.errno, refusal.reason);
  return object.shape;
}

interface Types {
  readonly btf: BtfObject;
  readonly key: number;
  readonly value: number;
}

function valueTypes(state: KernelState, call: Call, attr: MapCreateAttr): Types | undefined {
  const key = attr.btf_key_type_id ?? 0;
  const value = attr.btf_value_type_id ?? 0;
  if (key === 0 && value === 0) return undefined;
  const { object } = openFile(state, call, 'btf', attr.btf_fd);
  if (object.isKernel) throw fail(call, 'EACCES', "the kernel's own BTF can't describe a map");
  const check = (id: number, size: number, what: string) => {
    const known = id < object.btf.length ? trySizeOf(object.btf, id as BtfTypeId) : undefined;
    if (known === size) return;
    const found = known === undefined ? 'has no size' : `has ${known} bytes`;
    throw fail(call, 'EINVAL', `the ${what}'s BTF type ${id} ${found}, but ${what}_size is ${size}`);
  };
  if (key !== 0) check(key, attr.key_size, 'key');
  else if (!KEYLESS.has(attr.map_type)) {
    throw fail(
      call,
      'EINVAL',
      `a ${attr.map_type} map with a BTF type for its values needs one for its keys`,
    );
  }
  check(value, attr.value_size, 'value');
  checkKinds(call, attr, object, key, value);
  return { btf: object, key, value };
}

/** Types whose own rules decide what a missing key type means. */
const KEYLESS: ReadonlySet<MapType> = new Set<MapType>([
  'array',
  'percpu_array',
  'perf_event_array',
  'array_of_maps',
  'hash_of_maps',
]);

/** What map types demand of their keys' and values' types, beside the size. */
function checkKinds(call: Call, attr: MapCreateAttr, { btf }: BtfObject, key: number, value: number): void {
  const kind = (id: number) => resolveType(btf, id as BtfTypeId).kind;
  switch (attr.map_type) {
    case 'array':
    case 'percpu_array': {
      const globals = key === 0 && attr.map_type === 'array' && attr.max_entries === 1;
      if (globals ? kind(value) === 'datasec' : key !== 0 && kind(key) === 'int') return;
      const rule = 'an array has int keys; one without a key type is a section of variables, in one element';
      throw fail(call, 'EINVAL', rule);
    }
    case 'lpm_trie':
      if (kind(key) === 'struct') return;
      throw fail(call, 'EINVAL', "an lpm_trie's key is a struct: the prefix length and the data");
    case 'perf_event_array':
    case 'array_of_maps':
    case 'hash_of_maps':
      throw fail(call, 'ENOTSUPP', `a ${attr.map_type} map has no BTF types`);
    default:
  }
}

function checkSpinLock(call: Call, { type, flags }: MapShape): void {
  if (flags & (F.BPF_F_RDONLY_PROG | F.BPF_F_WRONLY_PROG)) {
    throw fail(call, 'EACCES', 'programs must be able to read and write a value with a spin lock');
  }
  if (type !== 'hash' && type !== 'array') {
    throw fail(call, 'EOPNOTSUPP', `the values of a ${type} map can't have a spin lock`);
  }
}

/** Byte offset of a `struct bpf_spin_lock` member of a value. */
function spinLockOffset({ btf }: BtfObject, value: number): number | undefined {
  const type = resolveType(btf, value as BtfTypeId);
  if (type.kind !== 'struct') return undefined;
  for (const member of type.members) {
    const of = resolveType(btf, member.type);
    if (of.kind === 'struct' && of.name === 'bpf_spin_lock') return member.bitOffset / 8;
  }
  return undefined;
}
