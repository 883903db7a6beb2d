import { existsSync } from 'node:fs';
import { cpus, networkInterfaces } from 'node:os';
import { InputError } from '../../base/error.ts';
import { createKernel, type EmbeddedKernel, type KernelOptions } from '../../kernel/index.ts';
import type { Fd } from '../../sys/index.ts';
import { runningTypes } from '../kernel-types.ts';
import { parseFdInfo } from './fd-info.ts';
import { type OwnedKind, type Owner, type Owners, OwnerTable } from './owners.ts';
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
    // What is outside is the machine's own: no BPF file system can be mounted there, and that is said of what is there.
    exists: (path) =>
      `${path}/`.startsWith(`${ROOT}/`)
        ? !('errno' in bpffs.get(path)) || !('errno' in bpffs.list(path))
        : existsSync(path),
    mount: (folder) => {
      const why = `${folder}/`.startsWith(`${ROOT}/`)
        ? 'it is no folder'
        : `the embedded kernel has one BPF file system, at ${ROOT}`;
      throw new InputError('cli-bpffs', `mount -t bpf bpf ${folder} failed: ${why}`, { errno: 'EPERM' });
    },
    mkdir: (path) => check(`making the folder ${path}`, bpffs.mkdir(path)),
    unlink: (path) => check(`removing ${path}`, bpffs.unlink(path)),
    rmdir: (path) => check(`removing the folder ${path}`, bpffs.rmdir(path)),
    walk: () => bpffs.pins(),
  };
}

/** A user of an embedded kernel, and what it has open there. */
interface User {
  readonly owner: Owner;
  readonly fds: ReadonlySet<Fd>;
}

/** Those who use a kernel now. */
const users = new WeakMap<EmbeddedKernel, Set<User>>();

function ownersOf(kernel: EmbeddedKernel, kind: OwnedKind): Owners {
  const owners = new OwnerTable();
  for (const { owner, fds } of users.get(kernel) ?? []) {
    for (const fd of fds) {
      const id = idOf(kernel, fd, kind);
      if (id !== undefined) owners.add(id, owner);
    }
  }
  return owners.all;
}

function idOf(kernel: EmbeddedKernel, bpf_fd: Fd, kind: OwnedKind): number | undefined {
  try {
    const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd });
    return info.kind === kind ? info.id : undefined;
  } catch {
    // It is a file of another kind: a perf event, an iterator's.
    return undefined;
  }
}

/**
 * One command's view of an embedded kernel that others may use too: it closes what the command opened, and no more.
 * @param owner the process that the command is of, for others who ask who has something open
 */
export function embeddedWorld(
  kernel: EmbeddedKernel,
  close: () => void = () => {},
  owner: Owner = { pid: process.pid, comm: 'skep' },
): World {
  const fds = new Set<Fd>();
  const scoped = scopedKernel(kernel, fds);
  const user = { owner, fds };
  const others = users.get(kernel) ?? new Set();
  users.set(kernel, others.add(user));
  const ends = new Set<() => void>();
  const { devices } = kernel.runtime;
  return {
    kernel: scoped,
    files: bpfFiles(kernel),
    fdInfo: (fd: Fd) => parseFdInfo(kernel.fdInfo(fd)),
    owners: (kind) => ownersOf(kernel, kind),
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
      others.delete(user);
      close();
    },
  };
}

/** A kernel of this command line's own. */
export function ephemeralKernel(): EmbeddedKernel {
  return createKernel(kernelOptions());
}

/**
 * What the kernels of the command line are like: as many CPUs as the machine, devices of the machine's names and `eth0`, and
 * the running Linux's types or those of a file.
 */
export function kernelOptions(types?: string): KernelOptions {
  const btf = runningTypes(types);
  return { cpus: cpus().length, devices: namedDevices(), ...(btf && { btf }) };
}

/** Loopback is there anyway. `eth0` is the device that examples name. */
function namedDevices(): NonNullable<KernelOptions['devices']> {
  const names = new Set(['eth0']);
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (!addresses?.some(({ internal }) => internal)) names.add(name);
  }
  // Linux's names have 15 bytes at most.
  return [...names]
    .filter((name) => /^[^\s/]{1,15}$/.test(name))
    .map((name, i) => ({ ifindex: i + 2, name }));
}
