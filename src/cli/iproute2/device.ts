import { InputError } from '../../base/error.ts';
import type { NetDevice } from '../../sys/index.ts';
import type { World } from '../world/world.ts';

/** A network device by name. */
export function deviceNamed({ kernel }: World, name: string): NetDevice {
  const device = kernel.net.device_get({ name });
  if (device) return device;
  const names = kernel.net.device_list().map((one) => one.name);
  throw new InputError('cli-iproute2', `Cannot find device "${name}"; there are: ${names.join(', ')}`);
}
