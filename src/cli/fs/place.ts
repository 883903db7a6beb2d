import { dirname } from 'node:path';
import { InputError } from '../../base/error.ts';
import type { World } from '../world/world.ts';

const CGROUPS = '/sys/fs/cgroup';

/** The files of a kernel that this command touches: others are the machine's own. */
export function isKernels({ files }: World, path: string): boolean {
  return files.isBpffs(path) || files.isBpffs(dirname(path)) || `${path}/`.startsWith(`${CGROUPS}/`);
}

export function refuseOthers(world: World, path: string, doing: string): void {
  if (isKernels(world, path)) return;
  throw new InputError('cli-fs', `can't ${doing} ${path}: it is neither in a BPF file system nor a cgroup`);
}
