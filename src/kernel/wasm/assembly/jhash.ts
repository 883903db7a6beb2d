/**
 * Bob Jenkins' lookup3 hash, which Linux's hash maps use: with the same seed the same keys share buckets, so a map
 * with `BPF_F_ZERO_SEED` is walked in Linux's order.
 *
 * @see http://burtleburtle.net/bob/c/lookup3.c (public domain)
 */

const INIT: u32 = 0xdeadbeef;

/** `hashlittle` of `length` bytes (at least 1). */
export function jhash(key: u32, length: u32, seed: u32): u32 {
  let a = INIT + length + seed;
  let b = a;
  let c = a;
  while (length > 12) {
    a += load<u32>(key);
    b += load<u32>(key, 4);
    c += load<u32>(key, 8);
    a -= c;
    a ^= rotl<u32>(c, 4);
    c += b;
    b -= a;
    b ^= rotl<u32>(a, 6);
    a += c;
    c -= b;
    c ^= rotl<u32>(b, 8);
    b += a;
    a -= c;
    a ^= rotl<u32>(c, 16);
    c += b;
    b -= a;
    b ^= rotl<u32>(a, 19);
    a += c;
    c -= b;
    c ^= rotl<u32>(b, 4);
    b += a;
    key += 12;
    length -= 12;
  }
  if (length === 12) {
    a += load<u32>(key);
    b += load<u32>(key, 4);
    c += load<u32>(key, 8);
  } else if (length >= 8) {
    a += load<u32>(key);
    b += load<u32>(key, 4);
    c += tail(key + 8, length - 8);
  } else if (length >= 4) {
    a += load<u32>(key);
    b += tail(key + 4, length - 4);
  } else {
    a += tail(key, length);
  }
  return mix(a, b, c);
}

/** The same of one word of 4 bytes. */
export function jhash4(word: u32, seed: u32): u32 {
  const start = INIT + 4 + seed;
  return mix(start + word, start, start);
}

/** Up to three bytes as a little-endian word. */
function tail(at: u32, length: u32): u32 {
  let word: u32 = 0;
  if (length > 0) word = load<u8>(at);
  if (length > 1) word |= (<u32>load<u8>(at, 1)) << 8;
  if (length > 2) word |= (<u32>load<u8>(at, 2)) << 16;
  return word;
}

/** The last round. */
function mix(a: u32, b: u32, c: u32): u32 {
  c = (c ^ b) - rotl<u32>(b, 14);
  a = (a ^ c) - rotl<u32>(c, 11);
  b = (b ^ a) - rotl<u32>(a, 25);
  c = (c ^ b) - rotl<u32>(b, 16);
  a = (a ^ c) - rotl<u32>(c, 4);
  b = (b ^ a) - rotl<u32>(a, 14);
  return (c ^ b) - rotl<u32>(b, 24);
}
