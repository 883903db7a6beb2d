import { type Bpf, type BtfId, errnoId, type LinkId, type MapId, type ProgId } from '../sys/index.ts';
import { ATTR } from './attr.ts';
import type { Attr, Caller } from './call.ts';
import { failure } from './failure.ts';

type ObjectCommands = Pick<
  Bpf,
  | 'obj_pin'
  | 'obj_get'
  | 'prog_get_next_id'
  | 'map_get_next_id'
  | 'btf_get_next_id'
  | 'link_get_next_id'
  | 'prog_get_fd_by_id'
  | 'map_get_fd_by_id'
  | 'btf_get_fd_by_id'
  | 'link_get_fd_by_id'
  | 'task_fd_query'
  | 'enable_stats'
  | 'prog_bind_map'
  | 'token_create'
  | 'prog_stream_read_by_fd'
  | 'prog_assoc_struct_ops'
>;

type NextId = 'prog_get_next_id' | 'map_get_next_id' | 'btf_get_next_id' | 'link_get_next_id';

const ENOSPC = errnoId('ENOSPC');
const NEXT_ID = ATTR.prog_get_next_id.members.next_id.offset;
const TASK_FD = ATTR.task_fd_query.members;
/** A path or a symbol, in bytes. */
const NAME_BYTES = 4096;

/** Finding, naming and keeping objects, and the commands that stand alone. */
export function objectCommands(caller: Caller): ObjectCommands {
  const { scratch } = caller;

  const nextId = (command: NextId, attr: Attr<NextId>): number | undefined =>
    caller.find(command, attr, { id: attr.start_id }) ? scratch.view.getUint32(NEXT_ID, true) : undefined;

  return {
    obj_pin(attr) {
      scratch.reset();
      caller.call('obj_pin', attr, {
        pathname: scratch.putString(attr.pathname),
        bpf_fd: attr.bpf_fd,
        file_flags: attr.file_flags ?? 0,
        path_fd: attr.path_fd ?? 0,
      });
    },

    obj_get(attr) {
      scratch.reset();
      return caller.open('obj_get', attr, {
        pathname: scratch.putString(attr.pathname),
        file_flags: attr.file_flags ?? 0,
        path_fd: attr.path_fd ?? 0,
      });
    },

    prog_get_next_id: (attr) => nextId('prog_get_next_id', attr) as ProgId | undefined,
    map_get_next_id: (attr) => nextId('map_get_next_id', attr) as MapId | undefined,
    btf_get_next_id: (attr) => nextId('btf_get_next_id', attr) as BtfId | undefined,
    link_get_next_id: (attr) => nextId('link_get_next_id', attr) as LinkId | undefined,

    prog_get_fd_by_id: (attr) =>
      caller.open('prog_get_fd_by_id', attr, { id: attr.prog_id, open_flags: attr.open_flags ?? 0 }),
    map_get_fd_by_id: (attr) =>
      caller.open('map_get_fd_by_id', attr, { id: attr.map_id, open_flags: attr.open_flags ?? 0 }),
    btf_get_fd_by_id: (attr) =>
      caller.open('btf_get_fd_by_id', attr, { id: attr.btf_id, open_flags: attr.open_flags ?? 0 }),
    link_get_fd_by_id: (attr) =>
      caller.open('link_get_fd_by_id', attr, { id: attr.link_id, open_flags: attr.open_flags ?? 0 }),

    task_fd_query(attr) {
      scratch.reset();
      const name = scratch.reserve(NAME_BYTES);
      name.bytes[0] = 0;
      const result = caller.try('task_fd_query', {
        pid: attr.pid,
        fd: attr.fd,
        buf: name.address,
        buf_len: NAME_BYTES,
      });
      // A name that does not fit is cut, and all else is told.
      if (result < 0 && result !== -ENOSPC) throw failure('task_fd_query', attr, -result);
      const { view } = scratch;
      return {
        prog_id: view.getUint32(TASK_FD.prog_id.offset, true) as ProgId,
        fd_type: view.getUint32(TASK_FD.fd_type.offset, true),
        name: cstring(name.bytes),
        probe_offset: view.getBigUint64(TASK_FD.probe_offset.offset, true),
        probe_addr: view.getBigUint64(TASK_FD.probe_addr.offset, true),
      };
    },

    enable_stats: (attr) => caller.open('enable_stats', attr, { type: attr.type }),

    prog_bind_map(attr) {
      caller.call('prog_bind_map', attr, {
        prog_fd: attr.prog_fd,
        map_fd: attr.map_fd,
        flags: attr.flags ?? 0,
      });
    },

    token_create: (attr) =>
      caller.open('token_create', attr, { flags: attr.flags ?? 0, bpffs_fd: attr.bpffs_fd }),

    prog_stream_read_by_fd(attr) {
      scratch.reset();
      const room = scratch.reserve(attr.size);
      const length = caller.call('prog_stream_read_by_fd', attr, {
        stream_buf: room.address,
        stream_buf_len: attr.size,
        stream_id: attr.stream_id,
        prog_fd: attr.prog_fd,
      });
      return room.bytes.slice(0, length);
    },

    prog_assoc_struct_ops(attr) {
      caller.call('prog_assoc_struct_ops', attr, {
        map_fd: attr.map_fd,
        prog_fd: attr.prog_fd,
        flags: attr.flags ?? 0,
      });
    },
  };
}

const decoder = new TextDecoder();

/** The text up to the first zero. */
export function cstring(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}
