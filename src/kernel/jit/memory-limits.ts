import type { Memory } from '../memory/index.ts';
import type { MemoryLimits } from './wasm/module.ts';

/** Bytes. */
const WASM_PAGE = 65_536;

/** What the memory is, as a module that imports it has to say. */
export function memoryLimits({ limit, wasm: { buffer } }: Memory): MemoryLimits {
  const shared = typeof SharedArrayBuffer !== 'undefined' && buffer instanceof SharedArrayBuffer;
  return { maximum: limit / WASM_PAGE, shared };
}
