import { cpus } from 'node:os';
import { InputError } from '../../base/error.ts';
import { createKernel, type EmbeddedKernel, type KernelOptions } from '../../kernel/index.ts';
import type { Fd } from '../../sys/index.ts';
import { runningTypes } from '../kernel-types.ts';
import { parseFdInfo } from './fd-info.ts';
import { scopedKernel } from './scoped-kernel.ts';
import type { BpfFiles, World } from './world.ts';

const ROOT = '/sys/fs/bpf';

/** The embedded kernel's BPF file system, at the path where Linux has it. */
function bpfFiles(kernel: EmbeddedKernel): BpfFiles {
  const { bpffs } = kernel;
  const check = (doing: string, failure: { readonly errno: string; readonly reason: string } | undefined) => {
    if (failure) {
      throw new InputError('cli-bpffs', `${doing}: ${failure.reason} (${failure.errno})`, {
        errno: failure.errno,
      });
    }
  };
  return {
    isBpffs: (folder) => !('errno' in bpffs.list(folder)),
    mount: (folder) => {
      throw new InputError(
        'cli-bpffs',
        `mount -t bpf bpf ${folder} failed: the embedded kernel has one BPF file system, at ${ROOT}`,
        { errno: 'EPERM' },
      );
    },
    mkdir: (path) => check(`making the folder ${path}`, bpffs.mkdir(path)),
    unlink: (path) => check(`removing ${path}`, bpffs.unlink(path)),
    rmdir: (path) => check(`removing the folder ${path}`, bpffs.rmdir(path)),
    walk: () => bpffs.pins(),
  };
}

/** One command's view of an embedded kernel that others may use too: it closes what the command opened, and no more. */
export function embeddedWorld(kernel: EmbeddedKernel, close: () => void = () => {}): World {
  const scoped = scopedKernel(kernel);
  const ends = new Set<() => void>();
  const { devices } = kernel.runtime;
  return {
    kernel: scoped,
    files: bpfFiles(kernel),
    fdInfo: (fd: Fd) => parseFdInfo(kernel.fdInfo(fd)),
    bootedAt: () => kernel.bootedAt(),
    deviceIndex: (name) => devices.list().find((device) => device.name === name)?.ifindex,
    deviceName: (index) => devices.get(index)?.name,
    symbolAddress: () => undefined,
    symbolAt: () => undefined,
    compiledModule: (fd) => kernel.compiledModule(fd),
    trace: (line) => {
      const end = kernel.onTrace(line);
      ends.add(end);
      return end;
    },
    [Symbol.dispose]: () => {
      for (const end of ends) end();
      scoped.close();
      close();
    },
  };
}

/** A kernel of this command's own, gone with it. */
export function ephemeralWorld(): World {
  const kernel = createKernel(kernelOptions());
  return embeddedWorld(kernel, () => kernel.close());
}

/** What the kernels of the command line are like: as many CPUs as the machine, and the running Linux's types or those of a file. */
export function kernelOptions(types?: string): KernelOptions {
  const btf = runningTypes(types);
  return { cpus: cpus().length, ...(btf && { btf }) };
}
