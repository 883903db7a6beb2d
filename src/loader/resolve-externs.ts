/** Finds what an object wants from the kernel: configuration values, variables, functions. */
import { InputError } from '../base/error.ts';
import { matchSpec } from '../btf/core-match.ts';
import { type Btf, type BtfTypeId, essentialName, parseCoreSpec, resolve } from '../btf/index.ts';
import type { Fd, Kernel } from '../sys/index.ts';
import { type KernelType, KernelTypes } from './kernel-types.ts';
import type { ExternSpec, ObjectSpec } from './spec.ts';

/** What became of an extern. A weak one that the kernel lacks is `absent`. */
export type ResolvedExtern =
  | { readonly kind: 'kconfig'; readonly offset: number }
  /** An address from the symbol table. */
  | { readonly kind: 'address'; readonly address: bigint }
  /** A typed variable: the verifier puts in its address. */
  | { readonly kind: 'btf_var'; readonly id: BtfTypeId; readonly moduleFd: Fd | undefined }
  | { readonly kind: 'kfunc'; readonly id: BtfTypeId; readonly moduleFd: Fd | undefined }
  | { readonly kind: 'absent' };

/** Externs that hold what libbpf knows, rather than a configuration option. */
const VIRTUAL: Readonly<Record<string, (kernel: Kernel, types: KernelTypes) => bigint>> = {
  LINUX_KERNEL_VERSION: (kernel) => BigInt(kernelVersion(kernel.release)),
  // bpf_cookie came with a member of this type; syscalls take a struct pt_regs where the symbol exists.
  LINUX_HAS_BPF_COOKIE: (_, types) => (types.find('bpf_trace_run_ctx', 'struct') ? 1n : 0n),
  LINUX_HAS_SYSCALL_WRAPPER: (kernel) =>
    ['__x64_sys_bpf', '__arm64_sys_bpf', '__s390x_sys_bpf', '__riscv_sys_bpf'].some(
      (s) => kernel.ksym(s) !== undefined,
    )
      ? 1n
      : 0n,
};

/** `KERNEL_VERSION(major, minor, patch)` of a release such as `6.18.44-generic`. */
export function kernelVersion(release: string): number {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(release);
  if (!match) return 0;
  const [major, minor, patch] = [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
  return (major << 16) | (minor << 8) | Math.min(patch, 255);
}

/**
 * Resolves an object's externs, and writes the `.kconfig` values into their map's initial bytes.
 *
 * @param wanted the externs that the programs to be loaded refer to; `.kconfig` values are all filled in
 */
export function resolveExterns(
  kernel: Kernel,
  types: KernelTypes,
  spec: ObjectSpec,
  wanted: ReadonlySet<string>,
): { readonly externs: Map<string, ResolvedExtern>; readonly kconfig: Uint8Array | undefined } {
  const externs = new Map<string, ResolvedExtern>();
  const kconfig = spec.maps.get('.kconfig')?.data?.slice();
  for (const entry of spec.externs.values()) {
    if (entry.kind === 'kconfig') {
      if (kconfig) writeKconfig(kernel, types, spec, entry, kconfig);
      externs.set(entry.name, { kind: 'kconfig', offset: entry.offset });
    } else if (wanted.has(entry.name)) {
      externs.set(entry.name, resolveKernelSymbol(kernel, types, spec, entry));
    }
  }
  return { externs, kconfig };
}

/** The `.kconfig` map's bytes for a kernel; `undefined` where the object has none. */
export function kconfigValues(kernel: Kernel, spec: ObjectSpec): Uint8Array | undefined {
  const types = new KernelTypes(kernel);
  try {
    return resolveExterns(kernel, types, spec, new Set()).kconfig;
  } finally {
    types.close();
  }
}

type Kconfig = Extract<ExternSpec, { readonly kind: 'kconfig' }>;

function writeKconfig(
  kernel: Kernel,
  types: KernelTypes,
  spec: ObjectSpec,
  entry: Kconfig,
  target: Uint8Array,
): void {
  const fail = (problem: string): never => {
    throw new InputError(
      'loader-kconfig',
      `${spec.file}: section .kconfig: extern ${entry.name}: ${problem}`,
    );
  };
  const virtual = Object.hasOwn(VIRTUAL, entry.name) ? VIRTUAL[entry.name] : undefined;
  const text = virtual ? String(virtual(kernel, types)) : kernel.kconfig(entry.name);
  if (text === undefined) {
    if (!entry.weak) fail('the kernel does not say it; declare it __weak if it may be missing');
    return;
  }
  if (entry.shape === 'string') {
    const value = new TextEncoder().encode(text.replace(/^"(.*)"$/, '$1')).subarray(0, entry.size - 1);
    target.set(value, entry.offset);
    return;
  }
  const value = kconfigNumber(entry, text) ?? fail(`its value ${text} is no ${entry.shape}`);
  const bits = BigInt(entry.size * 8);
  const [low, high] = entry.signed
    ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n]
    : [0n, (1n << bits) - 1n];
  if (value < low || value > high) fail(`its value ${text} does not fit into ${entry.size} bytes`);
  for (let i = 0; i < entry.size; i++) {
    const at = spec.littleEndian ? i : entry.size - 1 - i;
    target[entry.offset + at] = Number((value >> BigInt(i * 8)) & 0xffn);
  }
}

/** Value of a scalar option, or `undefined` when it is not of the extern's shape. */
function kconfigNumber(entry: Kconfig, text: string): bigint | undefined {
  if (text === 'y' || text === 'n' || text === 'm') {
    if (entry.shape === 'tristate') return text === 'y' ? 1n : text === 'm' ? 2n : 0n;
    if (entry.shape === 'bool') return text === 'm' ? undefined : text === 'y' ? 1n : 0n;
    return entry.shape === 'char' ? BigInt(text.charCodeAt(0)) : undefined;
  }
  if (!/^-?(0x[0-9a-f]+|\d+)$/i.test(text)) return undefined;
  if (entry.shape === 'tristate') return undefined;
  const value = text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
  if (entry.shape === 'bool' && value !== 0n && value !== 1n) return undefined;
  return value;
}

/** A declaration that does not fit the kernel's is of another kernel: a weak one is then absent, as with libbpf. */
function isCompatible(spec: ObjectSpec, local: BtfTypeId, target: Btf, id: BtfTypeId): boolean {
  const type = resolve(spec.btf!, local);
  const wanted = parseCoreSpec(spec.btf!, { insnOffset: 0, type, access: '0', kind: 'type_exists' });
  return matchSpec(wanted, target, resolve(target, id)) !== undefined;
}

function functionProto({ btf, id }: KernelType): BtfTypeId {
  return btf.typeOf(id, 'func').type;
}

function variableType({ btf, id }: KernelType): BtfTypeId {
  return btf.typeOf(id, 'var').type;
}

function resolveKernelSymbol(
  kernel: Kernel,
  types: KernelTypes,
  spec: ObjectSpec,
  entry: Exclude<ExternSpec, Kconfig>,
): ResolvedExtern {
  const name = essentialName(entry.name);
  if (entry.kind === 'kfunc') {
    const found = types.find(name, 'func');
    if (found && isCompatible(spec, entry.type, found.btf, functionProto(found)))
      return { kind: 'kfunc', id: found.id, moduleFd: found.moduleFd };
  } else if (entry.type === undefined) {
    const address = kernel.ksym(entry.name);
    if (address !== undefined) return { kind: 'address', address };
  } else {
    const found = types.find(name, 'var');
    if (found && isCompatible(spec, entry.type, found.btf, variableType(found)))
      return { kind: 'btf_var', id: found.id, moduleFd: found.moduleFd };
  }
  if (entry.weak) return { kind: 'absent' };
  const what = entry.kind === 'kfunc' ? 'function' : entry.type === undefined ? 'symbol' : 'variable';
  throw new InputError(
    'loader-ksym',
    `${spec.file}: section .ksyms: the kernel has no ${what} ${entry.name} of the declared type; ` +
      `declare it __weak if it may be missing`,
  );
}
