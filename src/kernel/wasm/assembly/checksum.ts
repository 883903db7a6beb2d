/** The Internet checksum's arithmetic: ones' complement sums of 16-bit words. @see RFC 1071; net/checksum.ts */

/** Adds two 32-bit partial sums, the carry going around. */
function add(a: u32, b: u32): u32 {
  const sum = <u64>a + <u64>b;
  return <u32>(sum > 0xffffffff ? sum - 0xffffffff : sum);
}

/** The 32-bit partial sum of bytes, on top of `seed`. An odd last byte is the low half of its word. */
function partial(data: u32, size: u32, seed: u32): u32 {
  let sum: u64 = seed;
  const end = data + size;
  for (; data + 8 <= end; data += 8) {
    const words = load<u64>(data);
    sum += (words & 0xffff) + ((words >> 16) & 0xffff) + ((words >> 32) & 0xffff) + (words >> 48);
  }
  for (; data + 2 <= end; data += 2) sum += load<u16>(data);
  if (data < end) sum += load<u8>(data);
  while (sum > 0xffffffff) sum = (sum & 0xffffffff) + (sum >> 32);
  return <u32>sum;
}

/** Folds a partial sum to 16 bits. */
function fold(sum: u32): u32 {
  const once = (sum & 0xffff) + (sum >> 16);
  return (once & 0xffff) + (once >> 16);
}

/** `bpf_csum_diff`. */
export function csum_diff(from: u32, fromSize: u32, to: u32, toSize: u32, seed: u32): u32 {
  if (fromSize > 0 && toSize > 0) return fold(add(partial(to, toSize, seed), ~partial(from, fromSize, 0)));
  if (toSize > 0) return fold(partial(to, toSize, seed));
  if (fromSize > 0) return fold(~partial(from, fromSize, ~seed));
  return fold(seed);
}
