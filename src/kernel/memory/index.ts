export { type Addr, at, NULL } from './addr.ts';
export { Memory, type MemoryOptions, type MemoryUse } from './memory.ts';
export { type Fault, judge, type Mapping, type Region, type RegionKind } from './region.ts';
export type { WasmMemory } from './webassembly.ts';
