/** Programs that the kernel's own functions and tracepoints run, and programs that replace another's function. */
import { parseBtf } from '../../btf/index.ts';
import type { AttachType, Fd } from '../../sys/index.ts';
import type { LoadedProgram } from '../program.ts';
import type { BpfLink } from './link.ts';
import { attachError, needType } from './place.ts';

export interface CookieOptions {
  /** What `bpf_get_attach_cookie` gives the program. */
  readonly cookie?: bigint;
}

/** @param name default what the section says */
export function attachRawTracepoint(
  program: LoadedProgram,
  name = program.target,
  options: CookieOptions = {},
): BpfLink {
  needType(program, ['raw_tracepoint', 'raw_tracepoint_writable'], 'raw tracepoints');
  if (name === undefined) throw attachError(program, 'its section names no tracepoint; give one', 'EINVAL');
  const { cookie } = options;
  return program.adopt(
    program.kernel.bpf.raw_tracepoint_open({
      prog_fd: program.fd,
      name,
      ...(cookie !== undefined && { cookie }),
    }),
  );
}

const TRACE_TYPES: ReadonlySet<AttachType> = new Set<AttachType>([
  'trace_raw_tp',
  'trace_fentry',
  'trace_fexit',
  'trace_fsession',
  'modify_return',
  'lsm_mac',
]);

/** Attaches to what the program was loaded for: a tracepoint by BTF, a function's entry or exit, a security hook. */
export function attachTrace(program: LoadedProgram, options: CookieOptions = {}): BpfLink {
  needType(program, ['tracing', 'lsm'], 'kernel functions');
  const attach_type = program.attachType;
  if (attach_type === undefined || !TRACE_TYPES.has(attach_type)) {
    throw attachError(
      program,
      `it is a ${attach_type ?? 'tracing'} program, which no function runs`,
      'EINVAL',
    );
  }
  const { cookie } = options;
  // What every kernel since 5.5 takes, which links with cookies are not.
  if (cookie === undefined)
    return program.adopt(program.kernel.bpf.raw_tracepoint_open({ prog_fd: program.fd }));
  return program.link({ attach_type, tracing: { target_btf_id: 0, cookie } });
}

/** What a program of type `ext` replaces: by default what it was loaded for. */
export interface ReplaceTarget {
  readonly program: Fd | LoadedProgram;
  /** Its function. */
  readonly function: string;
}

export function attachFreplace(program: LoadedProgram, target?: ReplaceTarget): BpfLink {
  needType(program, ['ext'], 'functions of other programs');
  const attach_type = 'cgroup_inet_ingress';
  if (!target) return program.adopt(program.kernel.bpf.raw_tracepoint_open({ prog_fd: program.fd }));
  const fd = typeof target.program === 'number' ? target.program : target.program.fd;
  return program.link({
    target_fd: fd,
    target_btf_id: functionId(program, fd, target.function),
    attach_type,
  });
}

function functionId(program: LoadedProgram, fd: Fd, name: string): number {
  const { kernel } = program;
  const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
  if (info.kind !== 'prog' || info.btf_id === 0) {
    throw attachError(program, 'the program to be replaced has no BTF', 'EINVAL');
  }
  const btf = kernel.bpf.btf_get_fd_by_id({ btf_id: info.btf_id });
  try {
    const types = kernel.bpf.obj_get_info_by_fd({ bpf_fd: btf });
    const id =
      types.kind === 'btf'
        ? parseBtf(types.btf, `BTF of program ${info.name}`).find(name, 'func')
        : undefined;
    if (id === undefined)
      throw attachError(program, `program ${info.name} has no function ${name}`, 'ENOENT');
    return id;
  } finally {
    kernel.closeFd(btf);
  }
}
