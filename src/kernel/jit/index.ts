export { type CompiledProgram, Jit } from './jit.ts';
export { JitFault } from './jit-fault.ts';
export { type RawJitOptions, runCompiledRaw } from './raw.ts';
export { TooLarge } from './wasm/module.ts';
