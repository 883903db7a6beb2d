import type { Call } from '../grammar/call.ts';
import { attemptOrErrno } from '../grammar/refusal.ts';
import { takeMap } from '../grammar/selectors.ts';

/** `map freeze MAP`. */
export async function freezeMap(call: Call): Promise<void> {
  const { words } = call;
  words.need(2);
  const world = await call.world();
  const fd = takeMap(call, world);
  words.end();
  attemptOrErrno('failed to freeze map', () => world.kernel.bpf.map_freeze({ map_fd: fd }));
  call.out.done();
}
