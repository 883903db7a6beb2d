/**
 * `bpf(2)` as system call programs make it (`bpf_sys_bpf`): the attributes are bytes in the kernel's memory, laid out as
 * `union bpf_attr`. Only these commands may be called so.
 *
 * @see kernel/bpf/syscall.c, bpf_sys_bpf
 */
import { InputError } from '../../base/error.ts';
import { type AttachType, attachTypeName } from '../../sys/attach-types.ts';
import { type Errno, errnoId } from '../../sys/errno.ts';
import type { Bpf, Fd, MapId } from '../../sys/kernel.ts';
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
  linkCreate: 28,
} as const;

/** Bytes that `union bpf_attr` is read as; what the caller left out is zero. */
const ATTR_SIZE = 256;
const NAME = 16;
const MOST_FDS = 128;
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
    if (!region || Number(at) + size > region.end) {
      const what = `reading ${size} bytes at 0x${at.toString(16)} for bpf(2): nothing is mapped there (EFAULT)`;
      throw new InputError('kernel-sys-bpf', what, { errno: 'EFAULT' });
    }
    return this.#memory.read(Number(at) as Addr, size);
  }
  /** The array of descriptors at a pointer, as far as there is memory, but not more than programs have maps. */
  fds(offset: number): Fd[] {
    const at = Number(this.u64(offset));
    const end = this.#memory.region(at)?.end ?? at;
    const count = Math.min(Math.floor((end - at) / 4), MOST_FDS);
    return Array.from({ length: count }, (_, i) => this.#memory.readU32(at + 4 * i) as Fd);
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
        return bpf().map_get_fd_by_id({ map_id: attr.u32(0) as MapId, open_flags: attr.u32(8) });
      case COMMAND.progLoad:
        return loadProgram(bpf(), attr);
      case COMMAND.btfLoad:
        return bpf().btf_load({ btf: attr.bytes(0, attr.u32(16)) });
      case COMMAND.rawTracepointOpen:
        return bpf().raw_tracepoint_open({
          prog_fd: attr.fd(8),
          ...(attr.u64(0) !== 0n && { name: attr.string(0) }),
          ...(attr.u64(16) !== 0n && { cookie: attr.u64(16) }),
        });
      case COMMAND.linkCreate:
        return createLink(bpf(), attr);
      default:
        return undefined;
    }
  };
  return {
    close: (fd) => state.fds.close(fd),
    bpf(command, at, size) {
      // What the kernel does not know of the attributes must be zero.
      if (
        size > ATTR_SIZE &&
        state.memory
          .window(at, size)
          .subarray(ATTR_SIZE)
          .some((byte) => byte !== 0)
      ) {
        return -errnoId(Object.values<number>(COMMAND).includes(command) ? 'E2BIG' : 'EINVAL');
      }
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
    key: shape?.keySize ? attr.bytes(8, shape.keySize) : new Uint8Array(),
    value: attr.u64(16) !== 0n && map ? attr.bytes(16, map.sysValueSize) : new Uint8Array(),
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
    numa_node: attr.u32(24),
    map_ifindex: attr.u32(44),
    btf_vmlinux_value_type_id: attr.u32(60),
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
    bytes: attr.u32(count) === 0 ? new Uint8Array() : attr.bytes(pointer, attr.u32(count) * attr.u32(size)),
    rec_size: attr.u32(size),
  });
  const funcs = info(80, 88, 76);
  const lines = info(96, 104, 92);
  return bpf.prog_load({
    prog_type: progTypeName(attr.u32(0)) ?? (`type ${attr.u32(0)}` as never),
    insns: attr.u32(4) === 0 ? new Uint8Array() : attr.bytes(8, 8 * attr.u32(4)),
    license: attr.string(16),
    kern_version: attr.u32(40),
    prog_flags: attr.u32(44),
    prog_name: attr.text(48),
    ...(attr.u32(68) !== 0 && attach !== undefined && { expected_attach_type: attach }),
    ...(attr.u32(72) !== 0 && { prog_btf_fd: attr.fd(72) }),
    ...(funcs.bytes.length > 0 && { func_info: funcs.bytes, func_info_rec_size: funcs.rec_size }),
    ...(lines.bytes.length > 0 && { line_info: lines.bytes, line_info_rec_size: lines.rec_size }),
    ...(attr.u32(108) !== 0 && { attach_btf_id: attr.u32(108) }),
    ...(attr.u32(112) !== 0 && { attach_prog_fd: attr.fd(112) }),
    ...(attr.u64(120) !== 0n && { fd_array: attr.fds(120), fd_array_cnt: attr.u32(148) }),
  }).fd;
}

/** Places of `union bpf_attr` for a link; what is behind the first four words depends on the attach type. */
function createLink(bpf: Bpf, attr: Attributes): Fd {
  const attach_type = attachTypeName(attr.u32(8));
  if (attach_type === undefined) {
    throw new InputError(
      'kernel-sys-bpf',
      `creating a link: there is no attach type ${attr.u32(8)} (EINVAL)`,
      {
        errno: 'EINVAL',
      },
    );
  }
  const tracing = { target_btf_id: attr.u32(16), cookie: attr.u64(24) };
  return bpf.link_create({
    prog_fd: attr.fd(0),
    target_fd: attr.u32(4),
    attach_type,
    flags: attr.u32(12),
    ...(TRACED.has(attach_type) && (tracing.target_btf_id !== 0 || tracing.cookie !== 0n) && { tracing }),
  });
}

/** Attach types whose links may name a function and a cookie. */
const TRACED: ReadonlySet<AttachType> = new Set<AttachType>([
  'trace_fentry',
  'trace_fexit',
  'modify_return',
  'trace_raw_tp',
  'lsm_mac',
]);
