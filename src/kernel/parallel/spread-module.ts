import { type MemoryLimits, ModuleWriter } from '../jit/wasm/module.ts';
import { defineAssign, defineDeal, defineKeep } from './flow-hash.ts';

/** What the module exports. Addresses. */
export interface SpreadFunctions {
  readonly assign: (row: number, end: number, tables: number, counts: number) => void;
  /** @returns the end of what was kept */
  readonly keep: (row: number, end: number, cpu: number) => number;
  readonly deal: (row: number, end: number, next: number) => void;
}

/** The module that gives packets to processors. */
export function spreadModule(memory: MemoryLimits): Uint8Array<ArrayBuffer> {
  const module = new ModuleWriter();
  module.importMemory(memory);
  module.export('assign', 'func', defineAssign(module));
  module.export('keep', 'func', defineKeep(module));
  module.export('deal', 'func', defineDeal(module));
  return module.finish();
}
