import type { Fd } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { absolute } from '../grammar/command-line.ts';
import { refusedAs } from '../grammar/refusal.ts';
import type { World } from '../world/world.ts';

/** A cgroup by the folder that the command line names. */
export function openCgroup(call: Call, { kernel }: World, path: string): Fd {
  try {
    return kernel.files.open(absolute(call, path));
  } catch (error) {
    throw refusedAs(`can't open cgroup ${path}`, error);
  }
}

const CGROUPS = '/sys/fs/cgroup';

/**
 * As {@link openCgroup}, to attach to it. On Linux, `mkdir` has made the folder; nothing else can make one in the embedded
 * kernel, so it is made here.
 */
export function openOrMakeCgroup(call: Call, world: World, path: string): Fd {
  const { files, name } = world.kernel;
  const folder = absolute(call, path);
  if (name === 'embedded' && folder.startsWith(`${CGROUPS}/`) && files.read_directory(folder) === undefined) {
    let at = CGROUPS;
    for (const part of folder.slice(CGROUPS.length + 1).split('/')) {
      at = `${at}/${part}`;
      if (files.read_directory(at) === undefined) files.mkdir(at);
    }
    call.out.info(`made the cgroup ${folder} in the embedded kernel`);
  }
  return openCgroup(call, world, path);
}
