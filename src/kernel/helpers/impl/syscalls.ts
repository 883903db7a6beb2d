/** What system call programs ask of the kernel. @see kernel/bpf/syscall.c, syscall_prog_func_proto */
import type { BtfKind } from '../../../btf/index.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';
import { symbolAddress } from '../../objects/symbols.ts';
import { addr, err, s32, size, u32 } from './values.ts';

const latin1 = new TextDecoder('latin1');

/** Kinds of BTF by their number. */
const KINDS: Readonly<Record<number, BtfKind>> = {
  1: 'int',
  2: 'ptr',
  3: 'array',
  4: 'struct',
  5: 'union',
  6: 'enum',
  7: 'fwd',
  8: 'typedef',
  9: 'volatile',
  10: 'const',
  11: 'restrict',
  12: 'func',
  13: 'func_proto',
  14: 'var',
  15: 'datasec',
  16: 'float',
};

/** @returns the type's id in the kernel's BTF, whose descriptor (0) would be in the upper half */
export const btf_find_by_name_kind: HelperImpl = (run, name, length, kind, flags) => {
  if (flags & 0xffff_ffffn) return err('EINVAL');
  const bytes = run.machine.memory.window(addr(name), size(length));
  if (bytes.length <= 1 || bytes.at(-1) !== 0) return err('EINVAL');
  const text = latin1.decode(bytes.subarray(0, bytes.indexOf(0)));
  const wanted = KINDS[u32(kind)];
  const id = wanted && run.kernel.world.btf?.find(text, wanted);
  return id === undefined ? err('ENOENT') : BigInt(id);
};

/** Symbols are the functions and variables of the kernel's own types. */
export const kallsyms_lookup_name: HelperImpl = (run, name, length, flags, result) => {
  const { memory } = run.machine;
  memory.writeU64(addr(result), 0n);
  if (flags & 0xffff_ffffn) return err('EINVAL');
  const bytes = memory.window(addr(name), size(length));
  if (bytes.length <= 1 || bytes.at(-1) !== 0) return err('EINVAL');
  const text = latin1.decode(bytes.subarray(0, bytes.indexOf(0)));
  const { world, traced } = run.kernel;
  const address = symbolAddress(world, traced, text);
  if (address === undefined) return err('ENOENT');
  memory.writeU64(addr(result), address);
  return 0;
};

export const sys_close: HelperImpl = (run, fd) => (run.kernel.sys?.close(s32(fd)) ? 0 : err('EBADF'));

export const sys_bpf: HelperImpl = (run, command, attr, length) =>
  run.kernel.sys?.bpf(s32(command), addr(attr), u32(length)) ?? err('EINVAL');
