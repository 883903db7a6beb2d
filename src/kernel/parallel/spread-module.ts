import { type MemoryLimits, ModuleWriter } from '../jit/wasm/module.ts';
import { defineSpread } from './flow-hash.ts';

/** The module that gives packets to processors; it exports `spread`. */
export function spreadModule(memory: MemoryLimits): Uint8Array<ArrayBuffer> {
  const module = new ModuleWriter();
  module.importMemory(memory);
  module.export('spread', 'func', defineSpread(module));
  return module.finish();
}
