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
