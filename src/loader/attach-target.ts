/** Finds what a program is attached to in the kernel's BTF, before it is loaded. */
import { InputError } from '../base/error.ts';
import { type Btf, type BtfKind, parseBtf, resolve } from '../btf/index.ts';
import type { AttachType, Fd, Kernel, ProgLoadAttr } from '../sys/index.ts';
import type { KernelTypes } from './kernel-types.ts';
import type { ObjectSpec, ProgramSpec } from './spec.ts';

/** Attributes of PROG_LOAD that name the target. */
export type TargetAttr = Pick<ProgLoadAttr, 'attach_btf_id' | 'attach_btf_obj_fd' | 'attach_prog_fd'> & {
  /** For struct_ops: the member's index, which takes the place of the attach type. */
  readonly memberIndex?: number;
};

/** What the kernel calls the type of a target, where it is not the function itself. */
export const NAMING: { readonly [A in AttachType]?: { readonly prefix: string; readonly kind: BtfKind } } = {
  trace_raw_tp: { prefix: 'btf_trace_', kind: 'typedef' },
  lsm_mac: { prefix: 'bpf_lsm_', kind: 'func' },
  lsm_cgroup: { prefix: 'bpf_lsm_', kind: 'func' },
  trace_iter: { prefix: 'bpf_iter_', kind: 'func' },
};

/**
 * Finds a program's target.
 *
 * @param target what the caller says instead of the section's name
 * @param attachProg the program that is traced or replaced, when it is not the kernel
 */
export function findTarget(
  kernel: Kernel,
  types: KernelTypes,
  spec: ObjectSpec,
  program: ProgramSpec,
  target: string | undefined,
  attachProg: Fd | undefined,
): TargetAttr {
  if (program.type === 'struct_ops') return structOpsTarget(types, spec, program);
  if (!program.attachBtf) return {};
  const what = `${spec.file}: program ${program.name} (section ${program.section})`;
  const wanted = target ?? program.target;
  if (wanted === undefined || wanted === '') {
    throw new InputError(
      'loader-attach-target',
      `${what}: the section's name does not say what it is attached to; name a target`,
    );
  }
  if (attachProg !== undefined) {
    return { attach_prog_fd: attachProg, attach_btf_id: functionOf(kernel, attachProg, wanted, what) };
  }
  if (program.type === 'ext') {
    throw new InputError(
      'loader-attach-target',
      `${what}: name the program whose function ${wanted} it replaces`,
    );
  }
  if (!types.vmlinux) {
    throw new InputError('loader-no-btf', `${what}: the kernel has no BTF to find ${wanted} in`);
  }
  const { prefix, kind } = (program.attach && NAMING[program.attach]) ?? {
    prefix: '',
    kind: 'func' as const,
  };
  const colon = wanted.indexOf(':');
  const module = colon > 0 ? wanted.slice(0, colon) : undefined;
  const name = `${prefix}${wanted.slice(colon + 1)}`;
  const found = types.find(name, kind, module);
  if (!found) {
    throw new InputError(
      'loader-attach-target',
      `${what}: the kernel has no ${name}${module === undefined ? '' : ` in module ${module}`} to attach to`,
      { errno: 'ESRCH' },
    );
  }
  return {
    attach_btf_id: found.id,
    ...(found.moduleFd === undefined ? {} : { attach_btf_obj_fd: found.moduleFd }),
  };
}

/** The BTF id of a function of a loaded program. */
function functionOf(kernel: Kernel, prog: Fd, name: string, what: string): number {
  const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: prog });
  if (info.kind !== 'prog' || info.btf_id === 0) {
    throw new InputError('loader-attach-target', `${what}: the program to be traced or replaced has no BTF`);
  }
  const fd = kernel.bpf.btf_get_fd_by_id({ btf_id: info.btf_id });
  try {
    const btf = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
    const id =
      btf.kind === 'btf' ? parseBtf(btf.btf, `BTF of program ${info.name}`).find(name, 'func') : undefined;
    if (id !== undefined) return id;
    throw new InputError('loader-attach-target', `${what}: program ${info.name} has no function ${name}`);
  } finally {
    kernel.closeFd(fd);
  }
}

/** A struct_ops program is attached to the member of the kernel's struct that its variable puts it in. */
function structOpsTarget(types: KernelTypes, spec: ObjectSpec, program: ProgramSpec): TargetAttr {
  const what = `${spec.file}: program ${program.name} (section ${program.section})`;
  for (const map of spec.maps.values()) {
    const slot = map.structOps?.funcs.find((f) => f.program === program.name);
    if (!map.structOps || !slot || !spec.btf) continue;
    const member = memberAt(spec.btf, map.structOps.type, slot.offset);
    const found = types.find(map.structOps.typeName.replace(/___.*$/, ''), 'struct');
    const kernelStruct = found?.btf.type(found.id);
    const index =
      kernelStruct?.kind === 'struct' ? kernelStruct.members.findIndex((m) => m.name === member) : -1;
    if (!found || index < 0) {
      throw new InputError(
        'loader-attach-target',
        `${what}: the kernel has no ${map.structOps.typeName}.${member ?? '?'} to put it in`,
        { errno: 'ESRCH' },
      );
    }
    return {
      attach_btf_id: found.id,
      memberIndex: index,
      ...(found.moduleFd === undefined ? {} : { attach_btf_obj_fd: found.moduleFd }),
    };
  }
  throw new InputError('loader-attach-target', `${what}: no .struct_ops variable refers to it`);
}

function memberAt(btf: Btf, id: Parameters<typeof resolve>[1], offset: number): string | undefined {
  const type = btf.type(resolve(btf, id));
  return type.kind === 'struct' ? type.members.find((m) => m.bitOffset === offset * 8)?.name : undefined;
}
