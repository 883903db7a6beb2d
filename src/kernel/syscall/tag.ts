import { sha256 } from './sha256.ts';

const LDIMM64 = 0x18;
/** `BPF_PSEUDO_MAP_FD` and `MAP_VALUE`: their descriptor differs from load to load. Loads by index stay as they are. */
const MAP_SOURCES = new Set([1, 2]);

/**
 * A program's tag: eight bytes that are the same for the same instructions, whatever maps they were loaded with.
 * Since Linux 6.18 the beginning of SHA-256, of SHA-1 before.
 */
export function programTag(insns: Uint8Array): Uint8Array<ArrayBuffer> {
  const digested = insns.slice();
  for (let at = 0; at + 16 <= digested.length; at += 8) {
    if (digested[at] !== LDIMM64) continue;
    if (MAP_SOURCES.has(digested[at + 1]! >> 4)) {
      digested.fill(0, at + 4, at + 8);
      digested.fill(0, at + 12, at + 16);
    }
    at += 8;
  }
  return sha256(digested).slice(0, 8);
}
