/**
 * Bob Jenkins' lookup3 hash, which Linux's hash maps use: with the same seed the same keys share buckets, so a map
 * with `BPF_F_ZERO_SEED` is walked in Linux's order.
 *
 * @see http://burtleburtle.net/bob/c/lookup3.c (public domain)
 */

const INIT = 0xdead_beef;

const rol = (x: number, k: number) => (x << k) | (x >>> (32 - k));

/** `hashlittle` of `length` bytes (at least 1). */
export function jhash(view: DataView, offset: number, length: number, seed: number): number {
  let a = (INIT + length + seed) | 0;
  let b = a;
  let c = a;
  let at = offset;
  let left = length;
  while (left > 12) {
    a = (a + view.getUint32(at, true)) | 0;
    b = (b + view.getUint32(at + 4, true)) | 0;
    c = (c + view.getUint32(at + 8, true)) | 0;
    a = ((a - c) | 0) ^ rol(c, 4);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ rol(a, 6);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ rol(b, 8);
    b = (b + a) | 0;
    a = ((a - c) | 0) ^ rol(c, 16);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ rol(a, 19);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ rol(b, 4);
    b = (b + a) | 0;
    at += 12;
    left -= 12;
  }
  a = (a + tailWord(view, at, left)) | 0;
  b = (b + tailWord(view, at + 4, left - 4)) | 0;
  c = (c + tailWord(view, at + 8, left - 8)) | 0;
  c = ((c ^ b) - rol(b, 14)) | 0;
  a = ((a ^ c) - rol(c, 11)) | 0;
  b = ((b ^ a) - rol(a, 25)) | 0;
  c = ((c ^ b) - rol(b, 16)) | 0;
  a = ((a ^ c) - rol(c, 4)) | 0;
  b = ((b ^ a) - rol(a, 14)) | 0;
  c = ((c ^ b) - rol(b, 24)) | 0;
  return c >>> 0;
}

/** Up to four bytes as a little-endian word; what is past the end is zero. */
function tailWord(view: DataView, at: number, left: number): number {
  if (left >= 4) return view.getUint32(at, true);
  let word = 0;
  for (let i = 0; i < left; i++) word |= view.getUint8(at + i) << (8 * i);
  return word;
}

/** The same of bytes that are not in the kernel's memory. */
export function jhashBytes(bytes: Uint8Array, seed: number): number {
  return jhash(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length, seed);
}
