/** Loading BTF, pinning, opening by id, enumerating. */
import { InputError } from '../../base/error.ts';
import { checkBtfLoad, parseBtf } from '../../btf/index.ts';
import type { Command } from '../../sys/commands.ts';
import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import type { Bpf, BtfId, Fd, LinkId, MapId, ProgId } from '../../sys/kernel.ts';
import { LIMITS } from '../../sys/limits.ts';
import { BtfObject } from '../objects/btf-object.ts';
import { modeOf, READ_WRITE } from '../objects/fd-table.ts';
import type { IdTable } from '../objects/id-table.ts';
import type { KernelObject } from '../objects/object.ts';
import { type Call, fail } from './failure.ts';
import type { KernelState } from './state.ts';

type ObjectCommands = Pick<
  Bpf,
  | 'btf_load'
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
>;

const ACCESS = MAP_CREATE_FLAGS.BPF_F_RDONLY | MAP_CREATE_FLAGS.BPF_F_WRONLY;
/** `BPF_LOG_MASK`. */
const LOG_LEVELS = 15;
const PINNABLE = new Set<KernelObject['kind']>(['map', 'prog', 'link']);

export function objectCommands(state: KernelState): ObjectCommands {
  function admin(call: Call): void {
    if (!state.capabilities.sysAdmin) throw fail(call, 'EPERM', 'the caller lacks CAP_SYS_ADMIN');
  }

  function next(command: Command, table: IdTable<KernelObject> | undefined, start: number) {
    const call: Call = { command, doing: `looking for the id after ${start}` };
    if (start >= 0x7fff_ffff || start < 0) throw fail(call, 'EINVAL', `${start} is no id`);
    admin(call);
    return table?.after(start);
  }

  /** @param modes the type's descriptors can be read-only or write-only */
  function byId(
    command: Command,
    table: IdTable<KernelObject> | undefined,
    id: number,
    flags: number,
    modes: boolean,
  ): Fd {
    const call: Call = { command, doing: `opening id ${id}` };
    if (flags & ~(modes ? ACCESS : 0)) {
      throw fail(call, 'EINVAL', `the flags 0x${flags.toString(16)} are not known`);
    }
    admin(call);
    const mode = modeOf(flags);
    if (!mode) throw fail(call, 'EINVAL', 'BPF_F_RDONLY and BPF_F_WRONLY exclude each other');
    const object = table?.get(id);
    if (!object) throw fail(call, 'ENOENT', 'there is no object of that id');
    return state.fds.open(object, mode);
  }

  return {
    btf_load(attr) {
      const call: Call = { command: 'btf_load', doing: `loading ${attr.btf.length} bytes of BTF` };
      if (!state.capabilities.bpf) throw fail(call, 'EPERM', 'the caller lacks CAP_BPF');
      if (attr.btf.length > LIMITS.BTF_MAX_SIZE) {
        throw fail(call, 'E2BIG', `BTF has at most ${LIMITS.BTF_MAX_SIZE} bytes`);
      }
      if ((attr.log_level ?? 0) > LOG_LEVELS) {
        throw fail(call, 'EINVAL', `the log level has the bits 0 to ${LOG_LEVELS}`);
      }
      const bytes = attr.btf.slice();
      const { refused, log } = checkBtfLoad(bytes);
      if (refused) {
        const where = refused.id === undefined ? '' : `type ${refused.id}: `;
        throw fail(call, refused.errno, `${where}${refused.problem}`, log);
      }
      try {
        return state.fds.open(state.btfs.publish(new BtfObject(bytes, parseBtf(bytes, 'BTF'))));
      } catch (error) {
        if (error instanceof InputError && error.errno === undefined)
          throw fail(call, 'EINVAL', error.message);
        throw error;
      }
    },

    obj_pin(attr) {
      const call: Call = {
        command: 'obj_pin',
        doing: `pinning file descriptor ${attr.bpf_fd} as '${attr.pathname}'`,
      };
      if ((attr.file_flags ?? 0) & ~MAP_CREATE_FLAGS.BPF_F_PATH_FD) {
        throw fail(call, 'EINVAL', 'pinning takes no flags but BPF_F_PATH_FD');
      }
      const file = state.fds.get(attr.bpf_fd);
      if (!file) throw fail(call, 'EINVAL', 'the file descriptor is not open');
      if (!PINNABLE.has(file.object.kind)) {
        throw fail(
          call,
          'EINVAL',
          `a ${file.object.kind} can't be pinned, only maps, programs and links can`,
        );
      }
      const refusal = state.bpffs.pin(attr.pathname, file.object);
      if (refusal) throw fail(call, refusal.errno, refusal.reason);
    },

    obj_get(attr) {
      const call: Call = { command: 'obj_get', doing: `opening the pinned object '${attr.pathname}'` };
      const flags = (attr.file_flags ?? 0) & ~MAP_CREATE_FLAGS.BPF_F_PATH_FD;
      const mode = modeOf(flags);
      if (flags & ~ACCESS || !mode) {
        throw fail(
          call,
          'EINVAL',
          `the flags 0x${flags.toString(16)} are not known, or contradict each other`,
        );
      }
      const object = state.bpffs.get(attr.pathname);
      if ('errno' in object) throw fail(call, object.errno, object.reason);
      if (object.kind === 'link' && flags !== 0) {
        throw fail(call, 'EINVAL', 'links are opened without flags');
      }
      return state.fds.open(object, object.kind === 'map' ? mode : READ_WRITE);
    },

    prog_get_next_id: (attr) => next('prog_get_next_id', state.progs, attr.start_id) as ProgId | undefined,
    map_get_next_id: (attr) => next('map_get_next_id', state.maps, attr.start_id) as MapId | undefined,
    btf_get_next_id: (attr) => next('btf_get_next_id', state.btfs, attr.start_id) as BtfId | undefined,
    link_get_next_id: (attr) => next('link_get_next_id', state.links, attr.start_id) as LinkId | undefined,

    prog_get_fd_by_id: (attr) =>
      byId('prog_get_fd_by_id', state.progs, attr.prog_id, attr.open_flags ?? 0, false),
    map_get_fd_by_id: (attr) => byId('map_get_fd_by_id', state.maps, attr.map_id, attr.open_flags ?? 0, true),
    btf_get_fd_by_id: (attr) =>
      byId('btf_get_fd_by_id', state.btfs, attr.btf_id, attr.open_flags ?? 0, false),
    link_get_fd_by_id: (attr) =>
      byId('link_get_fd_by_id', state.links, attr.link_id, attr.open_flags ?? 0, false),
  };
}
