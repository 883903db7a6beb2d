/** Global variables that are given values at load: the spec stays as it is. */
import { InputError } from '../base/error.ts';
import type { ObjectSpec } from './spec.ts';
import { Variable, type VariableValue } from './variable.ts';

/** @returns what the maps of the changed variables start with. @throws InputError for a name that is none, or a value that does not fit */
export function globalData(
  spec: ObjectSpec,
  globals: Readonly<Record<string, VariableValue>> = {},
): ReadonlyMap<string, Uint8Array> {
  const data = new Map<string, Uint8Array>();
  for (const [name, value] of Object.entries(globals)) {
    const variable = spec.variables.get(name);
    if (!variable) {
      const known = [...spec.variables.keys()].join(', ') || 'none';
      throw new InputError(
        'loader-name',
        `${spec.file}: there is no global variable ${name}; there are: ${known}`,
      );
    }
    const bytes = data.get(variable.map) ?? spec.maps.get(variable.map)?.data?.slice();
    if (!bytes)
      throw new InputError('loader-variable', `${spec.file}: variable ${name} has no value at load`);
    new Variable(variable, bytes, spec.littleEndian, spec.btf).set(value);
    data.set(variable.map, bytes);
  }
  return data;
}
