/** Hooks of control groups. */
import { ATTACH_FLAGS, type AttachType, type ProgType } from '../../sys/index.ts';
import type { LoadedProgram } from '../program.ts';
import { Attachment, type Link } from './link.ts';
import {
  type Anchor,
  anchorAttr,
  attachTypeOf,
  needType,
  type PathRef,
  programName,
  withPath,
} from './place.ts';

const CGROUP_TYPES: readonly ProgType[] = [
  'cgroup_skb',
  'cgroup_sock',
  'cgroup_sock_addr',
  'cgroup_sockopt',
  'cgroup_sysctl',
  'cgroup_device',
  'sock_ops',
  'lsm',
];

export interface CgroupOptions extends Anchor {
  /** Default: what the section says. */
  readonly type?: AttachType;
  /**
   * `link` (the default): a link, beside others, gone when it is closed. `multi`: beside others without a link.
   * `override`: alone here, where groups below may have one of their own. `exclusive`: alone here and below.
   */
  readonly mode?: 'link' | 'multi' | 'override' | 'exclusive';
  /** Of `multi`: the program to take the place of. */
  readonly replace?: LoadedProgram;
  /** Runs before the programs of the groups below (since Linux 6.15). */
  readonly preorder?: boolean;
}

const MODE_FLAGS = {
  link: 0,
  multi: ATTACH_FLAGS.BPF_F_ALLOW_MULTI,
  override: ATTACH_FLAGS.BPF_F_ALLOW_OVERRIDE,
  exclusive: 0,
} as const;

/** @param cgroup its folder in a cgroup v2 file system */
export function attachCgroup(program: LoadedProgram, cgroup: PathRef, options: CgroupOptions = {}): Link {
  needType(program, CGROUP_TYPES, 'control groups');
  const attach_type = attachTypeOf(
    program,
    options.type,
    (type) => type.startsWith('cgroup_') || type === 'lsm_cgroup',
    'a control group',
  );
  const { kernel, owner } = program;
  const { mode = 'link', replace, preorder = false } = options;
  const { flags, anchor } = anchorAttr(options);
  const all = flags | MODE_FLAGS[mode] | (preorder ? ATTACH_FLAGS.BPF_F_PREORDER : 0);
  if (mode === 'link') {
    const anchored = Object.keys(anchor).length > 0 ? { anchor } : {};
    return withPath(kernel, cgroup, (target_fd) =>
      program.link({ target_fd, attach_type, flags: all, ...anchored }),
    );
  }
  const { bpf } = kernel;
  const attach = (fd: LoadedProgram['fd'], old: LoadedProgram['fd'] | undefined) =>
    withPath(kernel, cgroup, (target_fd) =>
      bpf.prog_attach({
        target_fd,
        attach_bpf_fd: fd,
        attach_type,
        attach_flags: all | (old === undefined || mode !== 'multi' ? 0 : ATTACH_FLAGS.BPF_F_REPLACE),
        ...(old !== undefined && mode === 'multi' && { replace_bpf_fd: old }),
        ...anchor,
      }),
    );
  attach(program.fd, replace?.fd);
  let current = program.fd;
  return new Attachment(
    'prog_attach',
    programName(program),
    {
      detach: () =>
        withPath(kernel, cgroup, (target_fd) =>
          bpf.prog_detach({ target_fd, attach_bpf_fd: current, attach_type }),
        ),
      update: ({ fd }) => {
        attach(fd, current);
        current = fd;
      },
    },
    owner,
  );
}

/** Runs on the signals of a remote control's receiver. @param device `/dev/lirc0` */
export function attachLirc(program: LoadedProgram, device: PathRef): Attachment {
  needType(program, ['lirc_mode2'], 'infrared receivers');
  const { kernel, owner } = program;
  const { bpf } = kernel;
  const attach_type = 'lirc_mode2';
  withPath(kernel, device, (target_fd) =>
    bpf.prog_attach({ target_fd, attach_bpf_fd: program.fd, attach_type }),
  );
  const detach = () =>
    withPath(kernel, device, (target_fd) =>
      bpf.prog_detach({ target_fd, attach_bpf_fd: program.fd, attach_type }),
    );
  return new Attachment('prog_attach', programName(program), { detach }, owner);
}
