/** Programs that the kernel's own functions and tracepoints run, and programs that replace another's function. */
import { type BtfTypeId, parseBtf } from '../../btf/index.ts';
import type { AttachType, Fd } from '../../sys/index.ts';
import { KernelTypes } from '../kernel-types.ts';
import type { LoadedProgram } from '../program.ts';
import type { BpfLink } from './link.ts';
import { attachError, needType } from './place.ts';
import { wildcard } from './tracefs.ts';

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

export interface TraceMultiOptions {
  /** One for each function. */
  readonly cookies?: readonly bigint[];
}

/** The entries or exits of many functions of the kernel by one link (since Linux 7.2). */
export function attachTraceMulti(
  program: LoadedProgram,
  functions: { readonly symbols: readonly string[] } | { readonly pattern: string },
  options: TraceMultiOptions = {},
): BpfLink {
  needType(program, ['tracing'], 'kernel functions');
  const attach_type = program.attachType;
  if (!attach_type?.endsWith('_multi')) {
    throw attachError(program, `it is a ${attach_type ?? 'tracing'} program, for one function`, 'EINVAL');
  }
  const types = new KernelTypes(program.kernel);
  try {
    const ids = namesOf(types, functions).map((name) => {
      const id = types.vmlinux?.find(name, 'func');
      if (id === undefined)
        throw attachError(program, `the kernel has no function ${name} in its BTF`, 'ENOENT');
      return id;
    });
    if (ids.length === 0) throw attachError(program, 'no function of the kernel matches', 'ENOENT');
    const { cookies } = options;
    return program.link({ attach_type, tracing_multi: { ids, ...(cookies && { cookies }) } });
  } finally {
    types.close();
  }
}

function namesOf(
  types: KernelTypes,
  functions: { readonly symbols: readonly string[] } | { readonly pattern: string },
): readonly string[] {
  if ('symbols' in functions) return functions.symbols;
  const matcher = wildcard(functions.pattern);
  const names: string[] = [];
  for (let id = 1; id < (types.vmlinux?.length ?? 0); id++) {
    const type = types.vmlinux?.type(id as BtfTypeId);
    if (type?.kind === 'func' && matcher.test(type.name)) names.push(type.name);
  }
  return names;
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
