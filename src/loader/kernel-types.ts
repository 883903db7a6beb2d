/** The kernel's own types: vmlinux's BTF and, when it lacks something, those of the modules. */
import { InputError } from '../base/error.ts';
import { type Btf, type BtfKind, type BtfTypeId, parseBtf } from '../btf/index.ts';
import type { BtfId, Fd, Kernel } from '../sys/index.ts';

/** A type that the kernel, or one of its modules, has. */
export interface KernelType {
  readonly btf: Btf;
  readonly id: BtfTypeId;
  /** Of the module's BTF; `undefined` for vmlinux. */
  readonly moduleFd: Fd | undefined;
}

interface ModuleBtf {
  readonly name: string;
  readonly btf: Btf;
  readonly fd: Fd;
}

/** Parsed once for each kernel: it is megabytes. */
const vmlinux = new WeakMap<Kernel, Btf | undefined>();
/** Ids of BTF that is no module's, and lives as long as the kernel: not worth being read again. */
const vmlinuxId = new WeakMap<Kernel, BtfId>();

/** The kernel's BTF, parsed, or `undefined` when it has none. */
export function vmlinuxBtf(kernel: Kernel): Btf | undefined {
  if (!vmlinux.has(kernel)) {
    const bytes = kernel.vmlinuxBtf();
    vmlinux.set(kernel, bytes && parseBtf(bytes, 'vmlinux BTF'));
  }
  return vmlinux.get(kernel);
}

/** Other users' BTF comes and goes between being listed and being opened. */
function openBtf(kernel: Kernel, id: BtfId): Fd | undefined {
  try {
    return kernel.bpf.btf_get_fd_by_id({ btf_id: id });
  } catch (error) {
    if (error instanceof InputError && error.errno === 'ENOENT') return undefined;
    throw error;
  }
}

/** Looks types up in a kernel; holds the modules' BTF open until it is closed. */
export class KernelTypes {
  readonly vmlinux: Btf | undefined;
  readonly #kernel: Kernel;
  #modules: ModuleBtf[] | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.vmlinux = vmlinuxBtf(kernel);
  }

  /** The modules' BTF, read when first asked for. */
  modules(): readonly { readonly name: string; readonly btf: Btf; readonly fd: Fd }[] {
    if (this.#modules || !this.vmlinux) return this.#modules ?? [];
    const modules: ModuleBtf[] = [];
    this.#modules = modules;
    const { bpf } = this.#kernel;
    for (
      let id = bpf.btf_get_next_id({ start_id: 0 });
      id !== undefined;
      id = bpf.btf_get_next_id({ start_id: id })
    ) {
      if (id === vmlinuxId.get(this.#kernel)) continue;
      const fd = openBtf(this.#kernel, id);
      if (fd === undefined) continue;
      const info = bpf.obj_get_info_by_fd({ bpf_fd: fd });
      if (info.kind === 'btf' && info.kernel_btf && info.name === 'vmlinux') vmlinuxId.set(this.#kernel, id);
      if (info.kind === 'btf' && info.kernel_btf && info.name !== 'vmlinux' && info.name !== '') {
        modules.push({
          name: info.name,
          btf: parseBtf(info.btf, `BTF of module ${info.name}`, this.vmlinux),
          fd,
        });
      } else this.#kernel.closeFd(fd);
    }
    return modules;
  }

  /** Finds a type by name and kind: in vmlinux, else in the modules. @param only the one module to look in */
  find(name: string, kind: BtfKind, only?: string): KernelType | undefined {
    const own = only === undefined || only === 'vmlinux' ? this.vmlinux?.find(name, kind) : undefined;
    if (this.vmlinux && own !== undefined) return { btf: this.vmlinux, id: own, moduleFd: undefined };
    for (const module of this.modules()) {
      if (only !== undefined && only !== module.name) continue;
      const id = module.btf.named(name, kind).find((found) => found >= module.btf.firstId);
      if (id !== undefined) return { btf: module.btf, id, moduleFd: module.fd };
    }
    return undefined;
  }

  close(): void {
    for (const { fd } of this.#modules ?? []) this.#kernel.closeFd(fd);
    this.#modules = undefined;
  }
}
