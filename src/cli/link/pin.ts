import type { Call } from '../grammar/call.ts';
import { pinFd } from '../grammar/pins.ts';
import { exitWith, INVALID } from '../grammar/refusal.ts';
import { takeLink } from '../grammar/selectors.ts';

/** `link pin LINK FILE`. */
export async function pinLink(call: Call): Promise<void> {
  await exitWith(INVALID, async () => call.words.need(3));
  const world = await call.world();
  const fd = takeLink(call, world);
  pinFd(call, world, fd, call.words.take());
  call.out.done();
}
