/** Pinning, and the paths that objects are pinned at. */
import { dirname, resolve } from 'node:path';
import { InputError } from '../../base/error.ts';
import type { Fd } from '../../sys/index.ts';
import type { World } from '../world/world.ts';
import type { Call } from './call.ts';
import { attemptOrErrno } from './refusal.ts';

/** Sees to it that a pin can be made: its folder must be in a BPF file system, or one is mounted there. */
export function mountForPin(call: Call, { files }: World, path: string): void {
  const folder = dirname(resolve(call.io.cwd, path));
  if (files.isBpffs(folder)) return;
  if (call.flags.nomount) {
    throw new InputError('cli-pin', 'no BPF file system found, not mounting it due to --nomount option');
  }
  try {
    files.mount(folder);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(
      'cli-pin',
      `can't mount BPF file system to pin the object (${path}): ${error.message}`,
      { cause: error },
    );
  }
}

/** `pin` of a map, program or link. */
export function pinFd(call: Call, world: World, fd: Fd, path: string): void {
  mountForPin(call, world, path);
  attemptOrErrno(`can't pin the object (${path})`, () =>
    world.kernel.bpf.obj_pin({ bpf_fd: fd, pathname: resolve(call.io.cwd, path) }),
  );
}

/** The paths that objects of a kind are pinned at, by id. */
export function pinnedPaths(
  { kernel, files }: World,
  kind: 'prog' | 'map' | 'link',
): ReadonlyMap<number, string[]> {
  const paths = new Map<number, string[]>();
  for (const pathname of files.walk()) {
    try {
      const fd = kernel.bpf.obj_get({ pathname });
      const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
      kernel.closeFd(fd);
      if (info.kind === kind) paths.set(info.id, [...(paths.get(info.id) ?? []), pathname]);
    } catch (error) {
      // Files that are no pins (iterators, the kernel's own) and pins that went meanwhile are passed over.
      if (!(error instanceof InputError)) throw error;
    }
  }
  return paths;
}
