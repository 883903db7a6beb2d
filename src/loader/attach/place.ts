/** Where programs are attached: what callers name by a path or a name, and the kernel by a number. */
import { InputError } from '../../base/error.ts';
import { ATTACH_FLAGS, type AttachType, type Fd, type Kernel, type ProgType } from '../../sys/index.ts';
import type { LoadedProgram } from '../program.ts';
import { BpfLink, type Link } from './link.ts';

/** A network device, by name or index. */
export type DeviceRef = string | number;
/** A file, folder or namespace, by its path or an open descriptor. */
export type PathRef = string | Fd;

/** Names a program in a message. */
export const programName = (program: LoadedProgram): string =>
  `attaching program ${program.name} (section ${program.spec.section})`;

export function attachError(program: LoadedProgram, reason: string, errno?: string): InputError {
  return new InputError(
    'loader-attach',
    `${programName(program)}: ${reason}`,
    errno === undefined ? {} : { errno },
  );
}

/** @throws InputError unless the program is of one of the types */
export function needType(program: LoadedProgram, types: readonly ProgType[], to: string): void {
  if (types.includes(program.type)) return;
  throw attachError(
    program,
    `only ${types.join(' and ')} programs are attached to ${to}, and it is a ${program.type} program`,
    'EINVAL',
  );
}

/** The index of a device. @throws InputError when there is none of that name */
export function deviceIndex(program: LoadedProgram, device: DeviceRef): number {
  const found = program.kernel.net.device_get(
    typeof device === 'number' ? { ifindex: device } : { name: device },
  );
  if (found) return found.ifindex;
  const names = program.kernel.net.device_list().map(({ name }) => name);
  const which = typeof device === 'number' ? `of index ${device}` : `'${device}'`;
  throw attachError(program, `there is no network device ${which}; there are: ${names.join(', ')}`, 'ENODEV');
}

/** Runs with an open descriptor of the path, which is closed afterwards unless it was the caller's. */
export function withPath<T>(kernel: Kernel, path: PathRef, use: (fd: Fd) => T): T {
  if (typeof path === 'number') return use(path);
  const fd = kernel.files.open(path);
  try {
    return use(fd);
  } finally {
    kernel.closeFd(fd);
  }
}

/** Another program or link that a new one goes before or after; `all` for every other. */
export type Neighbour =
  | LoadedProgram
  | Link
  | { readonly prog_id: number }
  | { readonly link_id: number }
  | 'all';

/** Where among the programs of one hook. Without `before` and `after`: behind all others. */
export interface Anchor {
  readonly before?: Neighbour;
  readonly after?: Neighbour;
  /** Fails (ESTALE) unless the hook's programs are as they were at this revision. */
  readonly revision?: bigint;
}

/** An anchor as the kernel takes it. */
export interface AnchorAttr {
  readonly flags: number;
  readonly anchor: {
    readonly relative_fd?: Fd;
    readonly relative_id?: number;
    readonly expected_revision?: bigint;
  };
}

export function anchorAttr({ before, after, revision }: Anchor): AnchorAttr {
  const { BPF_F_BEFORE, BPF_F_AFTER, BPF_F_LINK } = ATTACH_FLAGS;
  let flags = (before === undefined ? 0 : BPF_F_BEFORE) | (after === undefined ? 0 : BPF_F_AFTER);
  const neighbour = before ?? after;
  let relative: { readonly relative_fd?: Fd; readonly relative_id?: number } = {};
  if (neighbour !== undefined && neighbour !== 'all') {
    if ('prog_id' in neighbour) relative = { relative_id: neighbour.prog_id };
    else if ('link_id' in neighbour) {
      relative = { relative_id: neighbour.link_id };
      flags |= BPF_F_LINK;
    } else {
      if (neighbour.fd === undefined) {
        throw new InputError(
          'loader-attach',
          'attaching beside another: that one is no link of bpf(2), name its program',
          {
            errno: 'EINVAL',
          },
        );
      }
      relative = { relative_fd: neighbour.fd };
      if (neighbour instanceof BpfLink) flags |= BPF_F_LINK;
    }
  }
  return {
    flags,
    anchor: { ...relative, ...(revision !== undefined && { expected_revision: revision }) },
  };
}

/** The attach type that a call asks for, or that the program was loaded for. @throws InputError without either */
export function attachTypeOf(
  program: LoadedProgram,
  given: AttachType | undefined,
  known: (type: AttachType) => boolean,
  to: string,
): AttachType {
  const type = given ?? program.attachType;
  if (type === undefined) {
    throw attachError(
      program,
      `its section does not say as what it is attached to ${to}; give the type`,
      'EINVAL',
    );
  }
  if (!known(type)) {
    throw attachError(program, `it is attached as ${type}, and ${to} has no such hook`, 'EINVAL');
  }
  return type;
}
