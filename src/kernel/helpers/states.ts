/** How far each helper and kernel function goes on this kernel. */
import { HELPERS, type Helper } from '../../sys/helper-ids.ts';
import { KFUNC_IMPLEMENTATIONS } from '../kfuncs/implementations.ts';
import { kfuncNames } from '../kfuncs/index.ts';
import { type FunctionState, stateOf } from './function-state.ts';
import { ABSENT } from './impl/absent.ts';
import { IMPLEMENTATIONS } from './implementations.ts';

const IMPLEMENTED: FunctionState = { state: 'implemented' };

export function helperState(name: Helper): FunctionState {
  if (Object.hasOwn(ABSENT, name)) {
    return stateOf(ABSENT[name as keyof typeof ABSENT].waits);
  }
  return Object.hasOwn(IMPLEMENTATIONS, name) ? IMPLEMENTED : { state: 'refused' };
}

export function kfuncState(name: string): FunctionState {
  const known = KFUNC_IMPLEMENTATIONS.get(name);
  if (known === undefined) return { state: 'refused' };
  return known.state ?? IMPLEMENTED;
}

/** Every helper with its state, in the order of their ids. */
export function helperStates(): [Helper, FunctionState][] {
  return (Object.keys(HELPERS) as Helper[]).map((name) => [name, helperState(name)]);
}

/** Every kernel function that programs may call on Linux, with its state, by name. */
export function kfuncStates(): [string, FunctionState][] {
  return kfuncNames().map((name) => [name, kfuncState(name)]);
}
