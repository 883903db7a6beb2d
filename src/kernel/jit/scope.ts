/** What the functions of one module share. */
import type { HostCall, NativeCall } from './unit.ts';

export interface ModuleScope {
  /** The function that begins at a slot: its index, how many of r1 on it takes, and whether as 32 bits. */
  readonly func: (
    slot: number,
  ) => { readonly index: number; readonly params: number; readonly narrow: boolean } | undefined;
  /** Index of an imported function. */
  readonly host: (call: HostCall) => number;
  readonly native: (call: NativeCall) => number;
  /** Global with the address of the processor's area. */
  readonly area: number;
  /** Global with the fuel that is left, where fuel is counted. */
  readonly fuel: number | undefined;
  /** Type of the functions that tail calls go to. */
  readonly entryType: number;
  /** The module makes tail calls. */
  readonly tailCalls: boolean;
  /** Index of the module's own table, with its functions by slot. */
  readonly functions: number;
  /** Type of callbacks. */
  readonly callbackType: number;
}
