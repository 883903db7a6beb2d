/** Pinning, and the paths that objects are pinned at. */
import { dirname, resolve } from 'node:path';
import { InputError } from '../../base/error.ts';
import type { Fd } from '../../sys/index.ts';
import type { BpfFiles, World } from '../world/world.ts';
import type { Call } from './call.ts';
import { attemptOrErrno } from './refusal.ts';

/**
 * Sees to it that a pin can be made: nothing may be at its path, and its folder must be in a BPF file system, or one is
 * mounted there.
 */
export function mountForPin(call: Call, { files }: World, path: string): void {
  const pathname = resolve(call.io.cwd, path);
  const folder = dirname(pathname);
  if (files.exists(pathname)) {
    throw new InputError('cli-pin', `can't pin BPF object: path '${path}' already exists`);
  }
  if (files.isBpffs(folder)) return;
  if (!files.exists(folder)) {
    throw new InputError('cli-pin', `can't pin BPF object: dir '${dirname(path)}' doesn't exist`);
  }
  mountOn(call, files, folder, `can't mount BPF file system to pin the object '${path}'`);
}

/**
 * Makes a folder for pins, unless one is there: in a BPF file system, or one is mounted on it.
 * @returns whether there is a new folder that can be removed again: one on which nothing was mounted
 */
export function makeFolderForPins(call: Call, { files }: World, path: string): boolean {
  const pathname = resolve(call.io.cwd, path);
  if (files.isBpffs(pathname)) return false;
  const there = files.exists(pathname);
  const parent = dirname(pathname);
  if (!there && files.isBpffs(parent)) {
    files.mkdir(pathname);
    return true;
  }
  if (!there && !files.exists(parent)) {
    throw new InputError(
      'cli-pin',
      `can't create dir '${path}' to pin BPF object: parent dir '${dirname(path)}' doesn't exist`,
    );
  }
  refuseMount(call);
  if (!there) files.mkdir(pathname);
  try {
    mountOn(call, files, pathname, `can't mount BPF file system on given dir '${path}'`);
  } catch (error) {
    if (!there) files.rmdir(pathname);
    throw error;
  }
  return false;
}

function refuseMount({ flags }: Call): void {
  if (!flags.nomount) return;
  throw new InputError('cli-pin', 'no BPF file system found, not mounting it due to --nomount option');
}

function mountOn(call: Call, files: BpfFiles, folder: string, failure: string): void {
  refuseMount(call);
  try {
    files.mount(folder);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError('cli-pin', `${failure}: ${error.message}`);
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
