/** The commands on one key of a map, and on a map as a whole. */
import { MAP_UPDATE_FLAGS } from '../../sys/flags.ts';
import type { Bpf, Fd, MapElemAttr } from '../../sys/kernel.ts';
import type { MapType } from '../../sys/map-types.ts';
import { type BpfMap, errno, hasLock } from '../maps/index.ts';
import type { OpenFile } from '../objects/fd-table.ts';
import { type Call, fail, mapFailure, openFile } from './failure.ts';
import type { KernelState } from './state.ts';

type MapCommands = Pick<
  Bpf,
  | 'map_lookup_elem'
  | 'map_update_elem'
  | 'map_delete_elem'
  | 'map_get_next_key'
  | 'map_lookup_and_delete_elem'
  | 'map_freeze'
  | 'prog_bind_map'
>;

/** Types whose elements can be taken out one at a time. */
const TAKABLE: ReadonlySet<MapType> = new Set<MapType>([
  'hash',
  'percpu_hash',
  'lru_hash',
  'lru_percpu_hash',
  'stack_trace',
  'queue',
  'stack',
]);

export type MapFile = OpenFile & { readonly object: BpfMap };

/** What the caller wants of a map. @throws InputError `EPERM` where the descriptor or the map doesn't allow it */
export function demand(call: Call, { object, mode }: MapFile, access: { read?: true; write?: true }): void {
  if (access.read && !mode.read) throw fail(call, 'EPERM', 'the file descriptor is write-only');
  if (access.write && !mode.write) throw fail(call, 'EPERM', 'the file descriptor is read-only');
  if (access.write && object.frozen) throw fail(call, 'EPERM', `${object.label} is frozen`);
}

/** The flags of a call, where only `BPF_F_LOCK` has a meaning. @throws InputError `EINVAL` */
export function lockFlag(call: Call, map: BpfMap, flags: bigint): number {
  if (flags & ~BigInt(MAP_UPDATE_FLAGS.BPF_F_LOCK)) {
    throw fail(call, 'EINVAL', `of the flags 0x${flags.toString(16)} only BPF_F_LOCK means something here`);
  }
  checkLock(call, map, flags);
  return Number(flags);
}

export function checkLock(call: Call, map: BpfMap, flags: bigint): void {
  if (flags & BigInt(MAP_UPDATE_FLAGS.BPF_F_LOCK) && !hasLock(map.shape)) {
    throw fail(call, 'EINVAL', `BPF_F_LOCK needs a struct bpf_spin_lock in the value of ${map.label}`);
  }
}

const NO_KEY = new Uint8Array(0);

function keyOf(call: Call, map: BpfMap, key: Uint8Array | undefined): Uint8Array {
  const { keySize, type } = map.shape;
  if (keySize === 0) {
    if (key === undefined || key.length === 0) return NO_KEY;
    throw fail(call, 'EINVAL', `a ${type} map has no keys, but one was given`);
  }
  if (key === undefined) throw fail(call, 'EFAULT', 'no key was given');
  if (key.length !== keySize) {
    throw fail(call, 'EINVAL', `the key has ${key.length} bytes, but those of ${map.label} have ${keySize}`);
  }
  return key;
}

export function mapCommands(state: KernelState): MapCommands {
  const open = (command: Call['command'], verb: string, fd: Fd): [Call, MapFile, BpfMap] => {
    const call: Call = { command, doing: `${verb} map fd ${fd}` };
    const file = openFile(state, call, 'map', fd);
    return [call, file, file.object];
  };

  return {
    map_lookup_elem(attr) {
      const [call, file, map] = open('map_lookup_elem', 'looking up a key in', attr.map_fd);
      demand(call, file, { read: true });
      const flags = lockFlag(call, map, attr.flags ?? 0n);
      return found(call, map, map.sysLookup(keyOf(call, map, attr.key), flags, attr.value));
    },

    map_update_elem(attr) {
      const [call, file, map] = open('map_update_elem', 'updating a key of', attr.map_fd);
      demand(call, file, { write: true });
      const flags = attr.flags ?? 0n;
      checkLock(call, map, flags);
      const key = keyOf(call, map, attr.key);
      if (attr.value.length !== map.sysValueSize) {
        const sizes = `the value has ${attr.value.length} bytes, but those of ${map.label} have ${map.sysValueSize}`;
        throw fail(call, 'EINVAL', sizes);
      }
      const status = map.sysUpdate(key, attr.value, Number(flags));
      if (status !== 0) throw mapFailure(call, map, status, 'update');
    },

    map_delete_elem(attr) {
      const [call, file, map] = open('map_delete_elem', 'deleting a key of', attr.map_fd);
      demand(call, file, { write: true });
      if (attr.flags) throw fail(call, 'EINVAL', 'deleting takes no flags');
      const status = map.sysDelete(keyOf(call, map, attr.key));
      if (status !== 0) throw mapFailure(call, map, status, 'delete');
    },

    map_get_next_key(attr) {
      const [call, file, map] = open('map_get_next_key', 'reading the next key of', attr.map_fd);
      demand(call, file, { read: true });
      if (attr.flags) throw fail(call, 'EINVAL', 'reading the next key takes no flags');
      const key = attr.key === undefined ? undefined : keyOf(call, map, attr.key);
      return found(call, map, map.nextKey(key));
    },

    map_lookup_and_delete_elem(attr: MapElemAttr) {
      if ((attr.flags ?? 0n) & ~BigInt(MAP_UPDATE_FLAGS.BPF_F_LOCK)) {
        const call: Call = {
          command: 'map_lookup_and_delete_elem',
          doing: `taking a key out of map fd ${attr.map_fd}`,
        };
        throw fail(call, 'EINVAL', `the flags 0x${attr.flags?.toString(16)} are not known`);
      }
      const [call, file, map] = open('map_lookup_and_delete_elem', 'taking a key out of', attr.map_fd);
      demand(call, file, { read: true, write: true });
      const flags = lockFlag(call, map, attr.flags ?? 0n);
      const key = keyOf(call, map, attr.key);
      const answer = TAKABLE.has(map.shape.type) ? map.sysLookupAndDelete(key, flags) : errno('ENOTSUPP');
      return found(call, map, answer);
    },

    map_freeze(attr) {
      const [call, file, map] = open('map_freeze', 'freezing', attr.map_fd);
      if (map.shape.type === 'struct_ops' || map.shape.fields !== undefined) {
        const reason = `${map.label} has values that the kernel keeps, which must stay writable`;
        throw fail(call, 'ENOTSUPP', reason);
      }
      demand(call, file, { write: true });
      if (map.writers > 0) throw fail(call, 'EBUSY', 'user space has it mapped to write to');
      map.frozen = true;
    },

    prog_bind_map(attr) {
      const call: Call = {
        command: 'prog_bind_map',
        doing: `binding map fd ${attr.map_fd} to program fd ${attr.prog_fd}`,
      };
      if (attr.flags) throw fail(call, 'EINVAL', 'binding takes no flags');
      const prog = openFile(state, call, 'prog', attr.prog_fd).object;
      prog.bind(openFile(state, call, 'map', attr.map_fd).object);
    },
  };
}

/** "No such key" and "no more keys" are answers, other errors are thrown. */
function found(call: Call, map: BpfMap, answer: Uint8Array | number): Uint8Array | undefined {
  if (typeof answer !== 'number') return answer;
  if (answer === errno('ENOENT')) return undefined;
  throw mapFailure(call, map, answer, 'lookup');
}
