import type { Call } from '../grammar/call.ts';
import { pinFd } from '../grammar/pins.ts';
import { exitWith, INVALID } from '../grammar/refusal.ts';
import { takeProgram } from '../grammar/selectors.ts';

/** `prog pin PROG FILE`. */
export async function pinProgram(call: Call): Promise<void> {
  await exitWith(INVALID, async () => call.words.need(3));
  const world = await call.world();
  const fd = takeProgram(call, world);
  pinFd(call, world, fd, call.words.take());
  call.out.done();
}
