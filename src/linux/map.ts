import { InputError } from '../base/error.ts';
import { type Bpf, type Fd, type MapElemAttr, mapTypeId } from '../sys/index.ts';
import { ATTR } from './attr.ts';
import type { Caller, MapShape } from './call.ts';
import type { Region } from './scratch.ts';

type MapCommands = Pick<
  Bpf,
  | 'map_create'
  | 'map_lookup_elem'
  | 'map_update_elem'
  | 'map_delete_elem'
  | 'map_get_next_key'
  | 'map_lookup_and_delete_elem'
  | 'map_freeze'
>;

/** The commands on one map and one key. */
export function mapCommands(caller: Caller): MapCommands {
  const { scratch } = caller;

  /** Looks up into room for a value. @returns a copy of what was found */
  function lookup(
    command: 'map_lookup_elem' | 'map_lookup_and_delete_elem',
    attr: MapElemAttr,
  ): Uint8Array | undefined {
    const shape = caller.map(attr.map_fd);
    scratch.reset();
    const key = putKey(caller, shape, attr);
    const value = scratch.reserve(caller.valueBytes(shape, attr.flags));
    if (attr.value !== undefined) value.bytes.set(attr.value.subarray(0, value.bytes.length));
    const { map_fd, flags = 0n } = attr;
    return caller.find(command, attr, { map_fd, key, value: value.address, flags })
      ? value.bytes.slice()
      : undefined;
  }

  return {
    map_create(attr) {
      checkName('map', attr.map_name);
      scratch.reset();
      const fd = caller.call('map_create', attr, {
        map_type: mapTypeId(attr.map_type),
        key_size: attr.key_size,
        value_size: attr.value_size,
        max_entries: attr.max_entries,
        map_flags: attr.map_flags ?? 0,
        inner_map_fd: attr.inner_map_fd ?? 0,
        numa_node: attr.numa_node ?? 0,
        map_name: attr.map_name ?? '',
        map_ifindex: attr.map_ifindex ?? 0,
        btf_fd: attr.btf_fd ?? 0,
        btf_key_type_id: attr.btf_key_type_id ?? 0,
        btf_value_type_id: attr.btf_value_type_id ?? 0,
        btf_vmlinux_value_type_id: attr.btf_vmlinux_value_type_id ?? 0,
        map_extra: attr.map_extra ?? 0n,
        value_type_btf_obj_fd: attr.value_type_btf_obj_fd ?? 0,
        map_token_fd: attr.map_token_fd ?? 0,
        excl_prog_hash: scratch.put(attr.excl_prog_hash),
        excl_prog_hash_size: attr.excl_prog_hash?.length ?? 0,
      });
      // The kernel decides the size of a value of its own type.
      if (attr.btf_vmlinux_value_type_id) return caller.adopt(fd);
      return caller.adopt(fd, caller.mapShape(attr.map_type, attr.key_size, attr.value_size));
    },

    map_lookup_elem: (attr) => lookup('map_lookup_elem', attr),
    map_lookup_and_delete_elem: (attr) => lookup('map_lookup_and_delete_elem', attr),

    map_update_elem(attr) {
      const shape = caller.map(attr.map_fd);
      const size = caller.valueBytes(shape, attr.flags);
      if (attr.value.length !== size) {
        throw wrongSize('value', attr.map_fd, attr.value.length, size);
      }
      scratch.reset();
      const key = putKey(caller, shape, attr);
      const value = scratch.put(attr.value);
      const { map_fd, flags = 0n } = attr;
      caller.call('map_update_elem', attr, { map_fd, key, value, flags });
    },

    map_delete_elem(attr) {
      const shape = caller.map(attr.map_fd);
      scratch.reset();
      const key = putKey(caller, shape, attr);
      caller.call('map_delete_elem', attr, { map_fd: attr.map_fd, key });
    },

    map_get_next_key(attr) {
      const shape = caller.map(attr.map_fd);
      scratch.reset();
      const key = attr.key === undefined ? 0n : putKey(caller, shape, attr);
      const next: Region = scratch.reserve(shape.keySize);
      return caller.find('map_get_next_key', attr, { map_fd: attr.map_fd, key, value: next.address })
        ? next.bytes.slice()
        : undefined;
    },

    map_freeze(attr) {
      caller.call('map_freeze', attr, { map_fd: attr.map_fd });
    },
  };
}

function putKey(caller: Caller, shape: MapShape, attr: MapElemAttr): bigint {
  const length = attr.key?.length ?? 0;
  if (length !== shape.keySize) throw wrongSize('key', attr.map_fd, length, shape.keySize);
  return caller.scratch.put(attr.key);
}

/** The kernel reads as many bytes as the map has: fewer given would be read past their end. */
export function wrongSize(what: string, fd: Fd, given: number, needed: number): InputError {
  return new InputError(
    'linux-map-size',
    `using map fd ${fd}: the ${what} has ${given} bytes, but the map's has ${needed}`,
    { errno: 'EINVAL' },
  );
}

const NAME_BYTES = ATTR.map_create.members.map_name.size;

/** Says what the kernel's EINVAL would not. */
export function checkName(what: string, name: string | undefined): void {
  if (name === undefined || (name.length < NAME_BYTES && /^[\w.]*$/.test(name))) return;
  throw new InputError(
    'linux-name',
    `naming a ${what} '${name}': a name has at most ${NAME_BYTES - 1} characters of A-Z, a-z, 0-9, _ and .`,
    { errno: 'EINVAL' },
  );
}
