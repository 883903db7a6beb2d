/**
 * The part of the `WebAssembly` global that running compiled programs needs, typed here because TypeScript's own
 * declarations of it come only with the browser's (`lib.dom`), which the kernel must not see.
 */
import type { WasmMemory } from '../../memory/index.ts';

declare const wasmModule: unique symbol;
/** A compiled module. */
export interface WasmModule {
  readonly [wasmModule]: true;
}

/** An exported or imported function. */
export type WasmFunction = (...args: never[]) => unknown;

export interface WasmTable {
  readonly length: number;
  get(index: number): WasmFunction | null;
  set(index: number, value: WasmFunction | null): void;
  grow(by: number): number;
}

export interface WasmGlobal {
  value: number;
}

export type WasmImports = Record<string, Record<string, WasmMemory | WasmTable | WasmGlobal | WasmFunction>>;

interface WasmNamespace {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => WasmModule;
  readonly Instance: new (
    module: WasmModule,
    imports: WasmImports,
  ) => { readonly exports: Readonly<Record<string, WasmFunction & WasmGlobal>> };
  readonly Table: new (descriptor: { readonly element: 'anyfunc'; readonly initial: number }) => WasmTable;
  readonly Global: new (
    descriptor: { readonly value: 'i32'; readonly mutable: boolean },
    value: number,
  ) => WasmGlobal;
  readonly RuntimeError: abstract new (...args: never[]) => Error;
}

export const wasm: WasmNamespace = (globalThis as unknown as { WebAssembly: WasmNamespace }).WebAssembly;
