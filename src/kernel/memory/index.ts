export { type Addr, at, NULL } from './addr.ts';
export { Memory, type MemoryOptions, type MemoryPart, type MemoryUse } from './memory.ts';
export type { Cells, Fault, Mapping, Region, RegionKind } from './region.ts';
export type { WasmMemory } from './webassembly.ts';
