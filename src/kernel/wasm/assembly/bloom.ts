/** Bloom filters: a set of values that can say "not in it" and "perhaps in it". */
import { EINVAL, ENOENT } from './errno';
import { jhash } from './jhash';
import { SHARED } from './lock';
import { BLOOM_HASHES, BLOOM_MASK, BLOOM_SEED, BLOOM_SET, BLOOM_VALUE_SIZE } from './queue-layout';

/** The bit that the `n`th hash function points to. */
function bitOf(map: u32, value: u32, n: u32): u32 {
  const hash = jhash(value, load<u32>(map, BLOOM_VALUE_SIZE), load<u32>(map, BLOOM_SEED) + n);
  return hash & load<u32>(map, BLOOM_MASK);
}

/** Adds a value. @returns 0 or `EINVAL` */
export function bloom_push(map: u32, value: u32, flags: u64): i32 {
  if (flags !== 0) return EINVAL;
  const set = load<u32>(map, BLOOM_SET);
  const hashes = load<u32>(map, BLOOM_HASHES);
  for (let n: u32 = 0; n < hashes; n++) {
    const bit = bitOf(map, value, n);
    const byte = set + (bit >> 3);
    const mask = <u8>((<u32>1) << (bit & 7));
    if (SHARED) atomic.or<u8>(byte, mask);
    else store<u8>(byte, load<u8>(byte) | mask);
  }
  return 0;
}

/** Whether a value is perhaps in it. @returns 0 or `ENOENT` */
export function bloom_peek(map: u32, value: u32): i32 {
  const set = load<u32>(map, BLOOM_SET);
  const hashes = load<u32>(map, BLOOM_HASHES);
  for (let n: u32 = 0; n < hashes; n++) {
    const bit = bitOf(map, value, n);
    if (((<u32>load<u8>(set + (bit >> 3)) >> (bit & 7)) & 1) === 0) return ENOENT;
  }
  return 0;
}
