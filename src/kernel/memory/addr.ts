import type { Brand } from '../../base/brand.ts';

/** An offset into the kernel's memory: the low 32 bits of a BPF pointer. 0 is the null pointer and is never mapped. */
export type Addr = Brand<number, 'Addr'>;

export const NULL = 0 as Addr;

/** The address `offset` bytes on. Wraps at 2^32, as a 32-bit WebAssembly address does. */
export function at(base: Addr, offset: number): Addr {
  return ((base + offset) >>> 0) as Addr;
}
