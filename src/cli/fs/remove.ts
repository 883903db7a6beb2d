import type { FileCalls } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { absolute } from '../grammar/command-line.ts';
import { attempt } from '../grammar/refusal.ts';
import { refuseOthers } from './place.ts';

/** `fs rm PATH…`: what held an object alone lets go of it. */
export async function removePins(call: Call): Promise<void> {
  const { words, out } = call;
  words.need(1);
  const world = await call.world();
  while (words.left > 0) {
    const given = words.take();
    const path = absolute(call, given);
    refuseOthers(world, path, 'remove');
    attempt(`can't remove ${given}`, () => remove(world.kernel.files, path, world.files.isBpffs(path)));
  }
  out.done();
}

/** @param pins whether it is a folder of pins, which go with it; a cgroup must be empty */
function remove(files: FileCalls, path: string, pins: boolean): void {
  const entries = files.read_directory(path);
  if (entries === undefined) {
    files.unlink(path);
    return;
  }
  if (pins) for (const { name, directory } of entries) if (!directory) files.unlink(`${path}/${name}`);
  files.rmdir(path);
}
