/** The BTF that a command line names: in a file, or in the kernel. */
import { InputError } from '../../base/error.ts';
import { type Btf, parseBtf } from '../../btf/index.ts';
import { findSection, readElf } from '../../elf/index.ts';
import type { BtfId, BtfInfo, Fd, Kernel } from '../../sys/index.ts';
import { readWhole } from '../files.ts';
import type { Call } from '../grammar/call.ts';
import { absolute } from '../grammar/command-line.ts';
import { attempt, attemptOrErrno, strerror } from '../grammar/refusal.ts';
import type { World } from '../world/world.ts';

/** Where Linux shows its own types and those of its modules. */
const SYSFS = '/sys/kernel/btf/';
export const VMLINUX = `${SYSFS}vmlinux`;
const ELF_MAGIC = 0x7f;

/** The BTF of an ELF object's `.BTF` section, or of a file that is nothing else. */
export function readBtfFile(path: string, name: string, base?: Btf): Btf {
  const bytes = readWhole(path);
  if (bytes[0] !== ELF_MAGIC) return parseBtf(bytes, name, base);
  const section = findSection(readElf(bytes, name), '.BTF');
  if (section === undefined) {
    throw new InputError(
      'cli-btf',
      `failed to load BTF from ${name}: it has no .BTF section; compile it with -g`,
      { errno: 'ENODATA' },
    );
  }
  return parseBtf(section.data, `${name}: section .BTF`, base, section.offset);
}

/** The BTF that `--base-btf` names. */
export function baseBtf(call: Call): Btf | undefined {
  const { baseBtf: path } = call.flags;
  return path === undefined ? undefined : readBtfFile(absolute(call, path), path);
}

/** The BTF in a file; that of a module in sysfs continues the kernel's. */
export function fileBtf(call: Call, path: string): Btf {
  const isModule = path.startsWith(SYSFS) && path !== VMLINUX;
  return attemptOrErrno(`failed to load BTF from ${path}`, () => {
    const base = baseBtf(call) ?? (isModule ? readBtfFile(VMLINUX, VMLINUX) : undefined);
    return readBtfFile(absolute(call, path), path, base);
  });
}

export function btfInfo(kernel: Kernel, fd: Fd): BtfInfo {
  const info = attempt("can't get BTF object info", () => kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd }));
  if (info.kind !== 'btf') throw new InputError('cli-selector', `incorrect object type: ${info.kind}`);
  return info;
}

/** The BTF of that id; that of a module continues the kernel's. */
export function kernelBtf(call: Call, { kernel }: World, id: number): Btf {
  return attemptOrErrno(`get btf by id (${id})`, () => {
    let fd: Fd;
    try {
      fd = kernel.bpf.btf_get_fd_by_id({ btf_id: id as BtfId });
    } catch (error) {
      // bpftool looks at it twice, and says so twice.
      if (call.flags.baseBtf === undefined) {
        call.out.error(`can't get BTF object by id (${id}): ${strerror(error)}`);
      }
      throw error;
    }
    const info = btfInfo(kernel, fd);
    kernel.closeFd(fd);
    let base = baseBtf(call);
    if (base === undefined && info.kernel_btf && info.name !== 'vmlinux') {
      call.out.info(
        `Warning: valid base BTF was not specified with -B option, falling back to standard base BTF (${VMLINUX})`,
      );
      base = readBtfFile(VMLINUX, VMLINUX);
    }
    return parseBtf(info.btf, `BTF ${id}`, base);
  });
}
