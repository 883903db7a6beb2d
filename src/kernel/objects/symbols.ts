/** Where the kernel's functions and variables are, as `/proc/kallsyms` would tell it: those that its own types name. */
import type { Traced } from './traced.ts';
import type { World } from './world.ts';

/** Functions that nothing traces, 16 bytes apart in the order of their types. */
const OTHERS = 0xffff_ffff_8200_0000n;

/** The address of a symbol, or `undefined` where the kernel has none of that name. */
export function symbolAddress(world: World, traced: Traced, name: string): bigint | undefined {
  if (traced.has(name)) return traced.address(name);
  const func = world.btf?.find(name, 'func');
  if (func !== undefined) return OTHERS + 16n * BigInt(func);
  const variable = world.btf?.find(name, 'var');
  return variable === undefined ? undefined : BigInt(world.variable(variable));
}
