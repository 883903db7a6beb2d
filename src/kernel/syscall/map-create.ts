import { flagNames, MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import type { Fd, MapCreateAttr } from '../../sys/kernel.ts';
import { isMapType, MAP_TYPES, type MapType } from '../../sys/map-types.ts';
import { type BpfMap, checkPattern, MAP_KINDS, type MapShape, mapTypeFacts } from '../maps/index.ts';
import { modeOf } from '../objects/fd-table.ts';
import { type Call, checkName, fail, openFile } from './failure.ts';
import { checkKernelType, valueTypes } from './map-btf.ts';
import { noteInnerTypes } from './map-facts.ts';
import type { KernelState } from './state.ts';

const F = MAP_CREATE_FLAGS;
const SHA256_BYTES = 32;

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
  if (!kind) throw fail(call, 'EINVAL', unknownType(state, attr.map_type));
  const shape: MapShape = {
    type: attr.map_type,
    name,
    keySize: attr.key_size,
    valueSize: attr.value_size,
    maxEntries: attr.max_entries,
    flags,
    extra: attr.map_extra ?? 0n,
  };
  const refusal = kind.check(shape, {
    cpus: state.cpus,
    admin: state.capabilities.sysAdmin,
    numaNode,
    keyType: attr.btf_key_type_id ?? 0,
    valueType: attr.btf_value_type_id ?? 0,
    kernelValueType: attr.btf_vmlinux_value_type_id ?? 0,
  });
  if (refusal) throw fail(call, refusal.errno, refusal.reason);
  if (attr.map_ifindex) {
    const device = attr.map_ifindex;
    if (!state.hasDevice(device)) throw fail(call, 'EINVAL', `there is no network device ${device}`);
    throw fail(call, 'EOPNOTSUPP', 'the device takes no maps: map_ifindex is for hardware offload');
  }
  checkCapabilities(state, call, attr.map_type);
  const pattern = kind.ofMaps ? innerPattern(state, call, attr) : undefined;
  checkName(call, name);
  const types = valueTypes(state, call, shape, attr);
  if (attr.btf_vmlinux_value_type_id) checkKernelType(state, call, shape, attr.btf_vmlinux_value_type_id);
  // The types that a struct_ops map was made from must be there, though its own are the kernel's.
  const btf = attr.btf_vmlinux_value_type_id ? openFile(state, call, 'btf', attr.btf_fd).object : types?.btf;
  const full: MapShape = {
    ...shape,
    // How the descriptor was opened says nothing about the map.
    flags: flags & ~(F.BPF_F_RDONLY | F.BPF_F_WRONLY),
    ...(types && types.fields.length > 0 && { fields: types.fields }),
  };
  const map = state.memory.transaction(() => kind.create(state, full, pattern?.shape));
  if (pattern) noteInnerTypes(map, pattern);
  if (btf) map.types = { btf: btf.hold(), key: types?.key ?? 0, value: types?.value ?? 0 };
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
    if (attr.map_type !== 'struct_ops') {
      throw fail(call, 'EINVAL', 'btf_vmlinux_value_type_id is for struct_ops maps alone');
    }
    if (attr.btf_key_type_id || attr.btf_value_type_id) {
      throw fail(call, 'EINVAL', "a struct_ops map's types are the kernel's");
    }
  } else if (attr.btf_key_type_id && !attr.btf_value_type_id) {
    throw fail(call, 'EINVAL', 'btf_key_type_id comes with a btf_value_type_id');
  }
  if (attr.excl_prog_hash && attr.excl_prog_hash.length !== SHA256_BYTES) {
    throw fail(call, 'EINVAL', `excl_prog_hash has ${attr.excl_prog_hash.length} bytes, not ${SHA256_BYTES}`);
  }
  if (attr.map_extra && !mapTypeFacts(attr.map_type)?.extra)
    throw fail(call, 'EINVAL', `a ${attr.map_type} map has no map_extra`);
}

/** Why a type of Linux's table is refused. */
function unknownType(state: KernelState, type: string): string {
  const since = isMapType(type) ? MAP_TYPES[type].since : undefined;
  if (since === undefined) return `there is no map type ${type}`;
  return `maps of type ${type} came with Linux ${since}, and this kernel behaves as ${state.release}`;
}

function checkCapabilities(state: KernelState, call: Call, type: MapType): void {
  const { bpf, netAdmin } = state.capabilities;
  const needs = mapTypeFacts(type)?.needs;
  if (!bpf && (needs === 'bpf' || !state.unprivileged)) throw fail(call, 'EPERM', 'the caller lacks CAP_BPF');
  if (needs === 'net_admin' && !netAdmin) throw fail(call, 'EPERM', 'the caller lacks CAP_NET_ADMIN');
}

/** The map whose shape and types inner maps must have. */
function innerPattern(state: KernelState, call: Call, attr: MapCreateAttr): BpfMap {
  const { object } = openFile(state, call, 'map', attr.inner_map_fd);
  const refusal = checkPattern(object);
  if (refusal) throw fail(call, refusal.errno, refusal.reason);
  return object;
}
