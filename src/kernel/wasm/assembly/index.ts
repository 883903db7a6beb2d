/**
 * What the kernel does in WebAssembly over its one memory: maps, and helpers that programs call often. Compiled twice: for a
 * memory that one thread has to itself, and for one that threads share.
 *
 * Exported functions are imported by compiled programs and called by the kernel's JavaScript. Addresses and sizes are
 * `u32`; what programs give is proven by the verifier and not checked again. There is no runtime and no data of its own:
 * everything is in blocks that the kernel allocates.
 */
export { jhash } from './jhash';
