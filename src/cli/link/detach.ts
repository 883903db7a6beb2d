import { InputError } from '../../base/error.ts';
import type { Call } from '../grammar/call.ts';
import { exitWith, refused } from '../grammar/refusal.ts';
import { takeLink } from '../grammar/selectors.ts';

/** `link detach LINK`. */
export async function detachLink(call: Call): Promise<void> {
  const { words } = call;
  await exitWith(1, async () => {
    if (words.left !== 2) {
      throw new InputError('cli-link', 'link specifier is invalid or missing\n', {
        detail: 'a link is given as id LINK_ID or pinned FILE',
      });
    }
    const world = await call.world();
    const fd = takeLink(call, world);
    try {
      world.kernel.bpf.link_detach({ link_fd: fd });
    } catch (error) {
      throw refused('failed link detach', error);
    }
    call.out.done();
  });
}
