import { readlinkSync } from 'node:fs';
import { InputError } from '../base/error.ts';
import { alignUp } from '../base/layout.ts';
import {
  COMMANDS,
  type Command,
  type CommandTypes,
  errnoId,
  type Fd,
  MAP_UPDATE_FLAGS,
  type MapType,
  mapTypeName,
  type ProgType,
  progTypeName,
} from '../sys/index.ts';
import { ATTR, type AttrFields } from './attr.ts';
import { failure } from './failure.ts';
import { MAP_INFO, PROG_INFO } from './info-layout.ts';
import type { Libc } from './libc.ts';
import { Scratch } from './scratch.ts';

export type Attr<C extends Command> = CommandTypes[C]['attr'];

/** What a call needs to know of a map to give the kernel buffers of the right size. */
export interface MapShape {
  readonly kind: 'map';
  readonly type: MapType;
  readonly keySize: number;
  /** Bytes of a value as user space sees it: of all CPUs for the per-CPU types. */
  readonly valueBytes: number;
  /** Bytes of one CPU's value. */
  readonly valueSize: number;
}

export interface ProgShape {
  readonly kind: 'prog';
  readonly type: ProgType;
}

type Shape = MapShape | ProgShape;

const ENOENT = errnoId('ENOENT');
const PER_CPU: ReadonlySet<MapType> = new Set<MapType>([
  'percpu_hash',
  'lru_percpu_hash',
  'percpu_array',
  'percpu_cgroup_storage',
]);
/** Types whose values are read as the four-byte id of what the fd was that was stored. */
const OF_FDS: ReadonlySet<MapType> = new Set<MapType>([
  'perf_event_array',
  'prog_array',
  'cgroup_array',
  'array_of_maps',
  'hash_of_maps',
]);

/** What a file descriptor is, by the name that the kernel gave its anonymous inode. */
export type FdKind = 'map' | 'prog' | 'btf' | 'link';
const INODES: Readonly<Record<string, FdKind>> = {
  'anon_inode:bpf-map': 'map',
  'anon_inode:bpf-prog': 'prog',
  'anon_inode:btf': 'btf',
  'anon_inode:bpf_link': 'link',
};

/**
 * One caller of bpf(2): it owns the memory of the calls and remembers what its file descriptors are. A descriptor that was
 * closed behind its back and given to another object by something other than bpf(2) (dup, a Unix socket) is misremembered:
 * close through {@link Caller.close}.
 */
export class Caller {
  readonly scratch: Scratch;
  readonly possibleCpus: number;
  readonly #libc: Libc;
  readonly #shapes = new Map<number, Shape>();
  readonly #open = new Set<Fd>();

  constructor(libc: Libc, possibleCpus: number) {
    this.#libc = libc;
    this.scratch = new Scratch(libc);
    this.possibleCpus = possibleCpus;
  }

  /** The call itself. @returns what the kernel returns, or the negated errno */
  try<C extends Command>(command: C, fields: AttrFields<C>): number {
    const layout = ATTR[command];
    const { attr, view } = this.scratch;
    attr.fill(0, 0, layout.size);
    layout.patch(view, 0, fields);
    return this.#libc.bpf(COMMANDS[command].id, attr, layout.size);
  }

  /** The call, whose failure is an exception. */
  call<C extends Command>(command: C, attr: Attr<C>, fields: AttrFields<C>): number {
    const result = this.try(command, fields);
    if (result < 0) throw failure(command, attr, -result);
    return result;
  }

  /** The call, whose ENOENT is an answer. @returns `false` for it */
  find<C extends Command>(command: C, attr: Attr<C>, fields: AttrFields<C>): boolean {
    const result = this.try(command, fields);
    if (result >= 0) return true;
    if (result === -ENOENT) return false;
    throw failure(command, attr, -result);
  }

  /** The call, whose result is a new file descriptor. */
  open<C extends Command>(command: C, attr: Attr<C>, fields: AttrFields<C>): Fd {
    return this.adopt(this.call(command, attr, fields));
  }

  /** Takes charge of a descriptor that the kernel just gave. */
  adopt(number: number, shape?: Shape): Fd {
    const fd = number as Fd;
    this.#open.add(fd);
    if (shape === undefined) this.#shapes.delete(fd);
    else this.#shapes.set(fd, shape);
    return fd;
  }

  /** Gives a descriptor up. */
  forget(fd: Fd): void {
    this.#open.delete(fd);
    this.#shapes.delete(fd);
  }

  /** Descriptors that were given and not given up. */
  get openFds(): readonly Fd[] {
    return [...this.#open];
  }

  mapShape(type: MapType, keySize: number, valueSize: number): MapShape {
    let valueBytes = valueSize;
    if (PER_CPU.has(type)) valueBytes = alignUp(valueSize, 8) * this.possibleCpus;
    else if (OF_FDS.has(type)) valueBytes = 4;
    return { kind: 'map', type, keySize, valueBytes, valueSize };
  }

  /** What the map is like; asks the kernel the first time. Voids the regions of the scratch memory. */
  map(fd: Fd): MapShape {
    const known = this.#shapes.get(fd);
    if (known?.kind === 'map') return known;
    const view = this.#info(fd, 'map', MAP_INFO.size);
    const { type, key_size, value_size } = MAP_INFO.members;
    const number = view.getUint32(type.offset, true);
    const name = mapTypeName(number);
    if (name === undefined) throw unknownType('map', fd, number);
    const shape = this.mapShape(
      name,
      view.getUint32(key_size.offset, true),
      view.getUint32(value_size.offset, true),
    );
    this.#shapes.set(fd, shape);
    return shape;
  }

  /** The program's type; asks the kernel the first time. Voids the regions of the scratch memory. */
  progType(fd: Fd): ProgType {
    const known = this.#shapes.get(fd);
    if (known?.kind === 'prog') return known.type;
    const view = this.#info(fd, 'prog', PROG_INFO.size);
    const number = view.getUint32(PROG_INFO.members.type.offset, true);
    const type = progTypeName(number);
    if (type === undefined) throw unknownType('program', fd, number);
    this.#shapes.set(fd, { kind: 'prog', type });
    return type;
  }

  /** Bytes of a value that a call with these flags reads or writes. */
  valueBytes(shape: MapShape, flags = 0n): number {
    const one = BigInt(MAP_UPDATE_FLAGS.BPF_F_CPU | MAP_UPDATE_FLAGS.BPF_F_ALL_CPUS);
    return (flags & one) === 0n ? shape.valueBytes : shape.valueSize;
  }

  /** What the descriptor is, or `undefined` when it is not open or no BPF object. */
  kind(fd: Fd): FdKind | undefined {
    const known = this.#shapes.get(fd);
    if (known !== undefined) return known.kind;
    try {
      return INODES[readlinkSync(`/proc/self/fd/${fd}`).replace('bpf-link', 'bpf_link')];
    } catch {
      return undefined;
    }
  }

  #info(fd: Fd, kind: FdKind, size: number): DataView {
    const actual = this.kind(fd);
    if (actual !== kind) {
      throw new InputError(
        'linux-wrong-fd',
        `reading about fd ${fd}: a ${kind} is needed, but it is ${actual === undefined ? 'not a BPF object' : `a ${actual}`}`,
        { errno: actual === undefined ? 'EBADF' : 'EINVAL' },
      );
    }
    this.scratch.reset();
    const info = this.scratch.reserve(size);
    info.bytes.fill(0);
    this.call('obj_get_info_by_fd', { bpf_fd: fd }, { bpf_fd: fd, info_len: size, info: info.address });
    return new DataView(info.bytes.buffer, info.bytes.byteOffset, size);
  }
}

export function unknownType(what: string, fd: Fd, type: number): InputError {
  return new InputError(
    'linux-unknown-type',
    `reading about fd ${fd}: it is a ${what} of type ${type}, which is newer than this version of skep`,
  );
}
