/**
 * `bpf(2)` as system call programs make it (`bpf_sys_bpf`): the attributes are bytes in the kernel's memory, laid out as
 * `union bpf_attr`. Only the commands that loaders need may be called so.
 *
 * @see kernel/bpf/syscall.c, bpf_sys_bpf
 */
import { InputError } from '../../base/error.ts';
import { attachTypeName } from '../../sys/attach-types.ts';
import { type Errno, errnoId } from '../../sys/errno.ts';
import type { Bpf, Fd } from '../../sys/kernel.ts';
import { mapTypeName } from '../../sys/map-types.ts';
import { progTypeName } from '../../sys/prog-types.ts';
import type { SystemCalls } from '../interpreter/environment.ts';
import type { Addr, Memory } from '../memory/index.ts';
import type { KernelState } from './state.ts';

/** Numbers of the commands. */
const COMMAND = {
  mapCreate: 0,
  mapUpdate: 2,
  mapDelete: 3,
  progLoad: 5,
  mapGetFdById: 14,
  rawTracepointOpen: 17,
  btfLoad: 18,
  mapFreeze: 22,
} as const;

/** Bytes that `union bpf_attr` is read as; what the caller left out is zero. */
const ATTR_SIZE = 256;
const NAME = 16;
const latin1 = new TextDecoder('latin1');

/** The attributes, by offset. */
class Attributes {
  readonly #memory: Memory;
  readonly #view: DataView;

  constructor(memory: Memory, at: Addr, size: number) {
    this.#memory = memory;
    const bytes = new Uint8Array(ATTR_SIZE);
    bytes.set(memory.window(at, Math.min(size, ATTR_SIZE)));
    this.#view = new DataView(bytes.buffer);
  }

  u32(offset: number): number {
    return this.#view.getUint32(offset, true);
  }
  u64(offset: number): bigint {
    return this.#view.getBigUint64(offset, true);
  }
  fd(offset: number): Fd {
    return this.u32(offset) as Fd;
  }
  text(offset: number): string {
    const bytes = new Uint8Array(this.#view.buffer, offset, NAME);
    const end = bytes.indexOf(0);
    return latin1.decode(bytes.subarray(0, end < 0 ? NAME : end));
  }
  /** What the pointer at an offset points to. @throws InputError `EFAULT` */
  bytes(offset: number, size: number): Uint8Array {
    const at = this.u64(offset);
    const region = at < 0xffff_ffffn ? this.#memory.region(Number(at)) : undefined;
    if (size > 0 && (!region || Number(at) + size > region.end)) {
      const what = `reading ${size} bytes at 0x${at.toString(16)} for bpf(2): nothing is mapped there (EFAULT)`;
      throw new InputError('kernel-sys-bpf', what, { errno: 'EFAULT' });
    }
    return this.#memory.read(Number(at) as Addr, size);
  }
  string(offset: number): string {
    const at = Number(this.u64(offset));
    const end = this.#memory.region(at)?.end ?? at;
    const bytes = this.#memory.window(at as Addr, end - at);
    const zero = bytes.indexOf(0);
    return latin1.decode(bytes.slice(0, zero < 0 ? bytes.length : zero));
  }
}

export function systemCalls(state: KernelState, bpf: () => Bpf): SystemCalls {
  const call = (command: number, attr: Attributes): number | undefined => {
    switch (command) {
      case COMMAND.mapCreate:
        return createMap(bpf(), attr);
      case COMMAND.mapUpdate:
        bpf().map_update_elem({ ...element(state, attr), flags: attr.u64(24) } as UpdateAttr);
        return 0;
      case COMMAND.mapDelete:
        bpf().map_delete_elem(element(state, attr));
        return 0;
      case COMMAND.mapFreeze:
        bpf().map_freeze({ map_fd: attr.fd(0) });
        return 0;
      case COMMAND.mapGetFdById:
        return bpf().map_get_fd_by_id({ map_id: attr.u32(0) } as Parameters<Bpf['map_get_fd_by_id']>[0]);
      case COMMAND.progLoad:
        return loadProgram(bpf(), attr);
      case COMMAND.btfLoad:
        return bpf().btf_load({ btf: attr.bytes(0, attr.u32(16)) });
      case COMMAND.rawTracepointOpen:
        return bpf().raw_tracepoint_open({ prog_fd: attr.fd(8) });
      default:
        return undefined;
    }
  };
  return {
    close: (fd) => state.fds.close(fd),
    bpf(command, at, size) {
      try {
        return call(command, new Attributes(state.memory, at, size)) ?? -errnoId('EINVAL');
      } catch (error) {
        if (error instanceof InputError) return -errnoId((error.errno ?? 'EINVAL') as Errno);
        throw error;
      }
    },
  };
}

type UpdateAttr = Parameters<Bpf['map_update_elem']>[0];

function element(state: KernelState, attr: Attributes): { map_fd: Fd; key: Uint8Array; value: Uint8Array } {
  const object = state.objectAt(attr.fd(0));
  const map = object && state.maps.get(object.id);
  const shape = map !== undefined && map === object ? map.shape : undefined;
  return {
    map_fd: attr.fd(0),
    key: attr.bytes(8, shape?.keySize ?? 0),
    value: attr.bytes(16, attr.u64(16) === 0n ? 0 : (map?.sysValueSize ?? 0)),
  };
}

function createMap(bpf: Bpf, attr: Attributes): Fd {
  const inner = attr.fd(20);
  const btf = attr.fd(48);
  return bpf.map_create({
    map_type: mapTypeName(attr.u32(0)) ?? (`type ${attr.u32(0)}` as never),
    key_size: attr.u32(4),
    value_size: attr.u32(8),
    max_entries: attr.u32(12),
    map_flags: attr.u32(16),
    map_name: attr.text(28),
    ...(inner !== 0 && { inner_map_fd: inner }),
    ...(btf !== 0 && {
      btf_fd: btf,
      btf_key_type_id: attr.u32(52),
      btf_value_type_id: attr.u32(56),
    }),
    ...(attr.u64(64) !== 0n && { map_extra: attr.u64(64) }),
  });
}

function loadProgram(bpf: Bpf, attr: Attributes): Fd {
  const attach = attachTypeName(attr.u32(68));
  const info = (pointer: number, count: number, size: number) => ({
    bytes: attr.bytes(pointer, attr.u32(count) * attr.u32(size)),
    rec_size: attr.u32(size),
  });
  const funcs = info(80, 88, 76);
  const lines = info(96, 104, 92);
  return bpf.prog_load({
    prog_type: progTypeName(attr.u32(0)) ?? (`type ${attr.u32(0)}` as never),
    insns: attr.bytes(8, 8 * attr.u32(4)),
    license: attr.string(16),
    kern_version: attr.u32(40),
    prog_flags: attr.u32(44),
    prog_name: attr.text(48),
    ...(attr.u32(68) !== 0 && attach !== undefined && { expected_attach_type: attach }),
    ...(attr.u32(72) !== 0 && { prog_btf_fd: attr.fd(72) }),
    ...(funcs.bytes.length > 0 && { func_info: funcs.bytes, func_info_rec_size: funcs.rec_size }),
    ...(lines.bytes.length > 0 && { line_info: lines.bytes, line_info_rec_size: lines.rec_size }),
    ...(attr.u32(108) !== 0 && { attach_btf_id: attr.u32(108) }),
  }).fd;
}
