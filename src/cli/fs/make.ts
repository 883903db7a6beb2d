import type { Call } from '../grammar/call.ts';
import { absolute } from '../grammar/command-line.ts';
import { attempt } from '../grammar/refusal.ts';
import { refuseOthers } from './place.ts';

/** `fs mkdir FOLDER…`. */
export async function makeFolders(call: Call): Promise<void> {
  const { words, out } = call;
  words.need(1);
  const world = await call.world();
  while (words.left > 0) {
    const given = words.take();
    const path = absolute(call, given);
    refuseOthers(world, path, 'make');
    attempt(`can't make ${given}`, () => world.kernel.files.mkdir(path));
  }
  out.done();
}
