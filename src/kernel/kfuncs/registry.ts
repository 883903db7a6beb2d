/** Finds kernel functions by name. */
import type { AttachType, ProgType } from '../../sys/index.ts';
import { isForProgram, type KfuncSet } from './kfunc.ts';
import { KFUNC_SETS } from './sets.ts';

const BY_NAME = new Map<string, { readonly set: KfuncSet; readonly flags: number }>();
for (const set of Object.values<KfuncSet>(KFUNC_SETS)) {
  for (const [name, flags] of Object.entries(set.kfuncs)) BY_NAME.set(name, { set, flags });
}

/** `KF_*` flags; `undefined` when no program may call a function of that name. */
export function kfuncFlags(name: string): number | undefined {
  return BY_NAME.get(name)?.flags;
}

/** Names of all functions that programs may call, in the order of the alphabet. */
export function kfuncNames(): string[] {
  return [...BY_NAME.keys()].toSorted();
}

/** Whether programs of the type, with that expected attach type, may call the function. */
export function kfuncAllowed(name: string, type: ProgType, attach: AttachType | undefined): boolean {
  const found = BY_NAME.get(name);
  return found !== undefined && isForProgram(found.set, type, attach);
}
