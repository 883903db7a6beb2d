/**
 * The part of the `WebAssembly` global that the kernel uses, typed here because TypeScript's own declarations of it
 * come only with the browser's (`lib.dom`), which the rest of the kernel must not see.
 */

/** A linear memory. Growing an unshared one detaches every `ArrayBuffer` that was taken from it before. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer | SharedArrayBuffer;
  /** @param pages 64 KiB each @returns the size before, in pages @throws RangeError past the maximum */
  grow(pages: number): number;
}

interface WasmMemoryDescriptor {
  readonly initial: number;
  readonly maximum?: number;
  readonly shared?: boolean;
}

interface WasmGlobal {
  readonly Memory: new (descriptor: WasmMemoryDescriptor) => WasmMemory;
}

/** Bytes in a page of WebAssembly memory. */
export const WASM_PAGE = 65_536;

export function createWasmMemory(descriptor: WasmMemoryDescriptor): WasmMemory {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: WasmGlobal };
  return new WebAssembly.Memory(descriptor);
}
