import type { Call } from '../grammar/call.ts';
import { pinFd } from '../grammar/pins.ts';
import { exitWith, INVALID } from '../grammar/refusal.ts';
import { takeMap } from '../grammar/selectors.ts';

/** `map pin MAP FILE`. */
export async function pinMap(call: Call): Promise<void> {
  await exitWith(INVALID, async () => call.words.need(3));
  const world = await call.world();
  const fd = takeMap(call, world);
  pinFd(call, world, fd, call.words.take());
  call.out.done();
}
