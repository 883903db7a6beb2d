export { type Addr, at, NULL } from './addr.ts';
export { Memory, type MemoryOptions, type MemoryUse } from './memory.ts';
export type { Fault, Mapping, Region, RegionKind } from './region.ts';
export type { WasmMemory } from './webassembly.ts';
