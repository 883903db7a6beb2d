/** Prototype and implementation of each helper together, as the interpreter calls them. */
import { type Helper, helperId, helperName } from '../../sys/helper-ids.ts';
import type { ProgType } from '../../sys/tables.ts';
import type { CallableHelper, HelperImpl } from '../interpreter/environment.ts';
import { argumentProblem } from './arguments.ts';
import { IMPLEMENTATIONS } from './implementations.ts';
import { prototype } from './prototypes.ts';

const byType = new Map<ProgType, ReadonlyMap<number, CallableHelper>>();

/** By id, as a program of the type sees them. Which of them it may call is the verifier's to say. */
export function helpersOfType(type: ProgType): ReadonlyMap<number, CallableHelper> {
  let helpers = byType.get(type);
  if (!helpers) {
    const entries = Object.entries(IMPLEMENTATIONS) as [Helper, HelperImpl][];
    helpers = new Map(entries.map(([name, call]) => [helperId(name), callable(name, call, type)]));
    byType.set(type, helpers);
  }
  return helpers;
}

function callable(name: Helper, call: HelperImpl, type: ProgType): CallableHelper {
  const facts = prototype(name, type);
  return { name, call, args: facts.args.length, check: (run) => argumentProblem(run, name, facts) };
}

/** Whether this kernel has the helper. */
export function isImplemented(id: number): boolean {
  const name = helperName(id);
  return name !== undefined && Object.hasOwn(IMPLEMENTATIONS, name);
}
