import { InputError } from '../../base/error.ts';
import type { Call } from '../grammar/call.ts';
import type { World } from '../world/world.ts';

/** Reads `dev NAME`; the device's index. */
export function takeDevice({ words }: Call, world: World): number {
  if (words.left === 0) throw new InputError('cli-net', "expected 'dev', got: '(null)'?");
  const word = words.peek();
  if (!words.accept('dev')) throw new InputError('cli-net', `expected 'dev', got: '${word}'?`);
  const name = words.peek();
  if (name === undefined) throw new InputError('cli-net', "'dev' needs the name of a network device");
  words.skip();
  const index = world.deviceIndex(name);
  if (index === undefined) throw new InputError('cli-net', `invalid devname ${name}`);
  return index;
}
