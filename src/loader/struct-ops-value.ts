/** Lays a struct_ops variable out as the kernel's own struct has it: members are matched by name. */
import { InputError } from '../base/error.ts';
import { type Btf, type BtfMember, findMember, resolveType, trySizeOf } from '../btf/index.ts';
import type { Fd } from '../sys/index.ts';
import type { KernelTypes } from './kernel-types.ts';
import type { MapSpec, ObjectSpec } from './spec.ts';

/** The value for the map: the kernel's wrapper struct, with programs as file descriptors. */
export function structOpsValue(
  types: KernelTypes,
  spec: ObjectSpec,
  map: MapSpec,
  progFd: (name: string) => Fd | undefined,
): Uint8Array {
  const ops = map.structOps!;
  const typeName = ops.typeName.replace(/___.*$/, '');
  const what = `${spec.file}: map ${map.name}`;
  const found = types.find(`bpf_struct_ops_${typeName}`, 'struct');
  const wrapper = found?.btf.type(found.id);
  const data = found && wrapper?.kind === 'struct' ? findMember(found.btf, wrapper, 'data') : undefined;
  const kernelStruct = found && data && resolveType(found.btf, data.member.type);
  const local = spec.btf?.type(ops.type);
  if (
    !found ||
    wrapper?.kind !== 'struct' ||
    !data ||
    kernelStruct?.kind !== 'struct' ||
    local?.kind !== 'struct'
  ) {
    throw new InputError('loader-struct-ops', `${what}: the kernel has no struct_ops type ${typeName}`);
  }
  const value = new Uint8Array(wrapper.size);
  const view = new DataView(value.buffer);
  const base = data.bitOffset / 8;
  for (const member of local.members) {
    const at = member.bitOffset / 8;
    const size = memberSize(spec.btf!, member);
    const bytes = map.data!.subarray(at, at + size);
    const func = ops.funcs.find((f) => f.offset === at);
    const target = kernelStruct.members.find((m) => m.name === member.name.replace(/___.*$/, ''));
    if (!target) {
      // A member that the kernel lacks is no harm as long as nothing is in it.
      if (!func && bytes.every((b) => b === 0)) continue;
      throw new InputError(
        'loader-struct-ops',
        `${what}: the kernel's ${typeName} has no member ${member.name}`,
      );
    }
    const to = base + target.bitOffset / 8;
    if (func) {
      const fd = progFd(func.program);
      if (fd !== undefined) view.setBigUint64(to, BigInt(fd), true);
      continue;
    }
    const room = memberSize(found.btf, target);
    if (room !== size && bytes.some((b) => b !== 0)) {
      throw new InputError(
        'loader-struct-ops',
        `${what}: member ${member.name} has ${size} bytes, the kernel's ${typeName} has ${room}`,
      );
    }
    value.set(bytes.subarray(0, room), to);
  }
  return value;
}

function memberSize(btf: Btf, member: BtfMember): number {
  return trySizeOf(btf, member.type) ?? 0;
}
