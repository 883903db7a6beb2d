/**
 * The Internet checksum's arithmetic: ones' complement sums of 16-bit words. Words are taken in the host's order, as
 * Linux does, since the sum does not care. @see RFC 1071
 */

/** Adds two 32-bit partial sums, the carry going around. */
export function csumAdd(a: number, b: number): number {
  const sum = (a >>> 0) + (b >>> 0);
  return (sum > 0xffff_ffff ? sum - 0xffff_ffff : sum) >>> 0;
}

export function csumSub(a: number, b: number): number {
  return csumAdd(a, ~b);
}

/** The 32-bit partial sum of bytes, on top of `seed`. An odd last byte is the low half of its word. */
export function csumPartial(data: Uint8Array, seed: number): number {
  let sum = seed >>> 0;
  const even = data.length & ~1;
  for (let i = 0; i < even; i += 2) sum += data[i]! | (data[i + 1]! << 8);
  if (data.length & 1) sum += data[even]!;
  while (sum > 0xffff_ffff) sum = (sum % 0x1_0000_0000) + Math.floor(sum / 0x1_0000_0000);
  return sum;
}

/** Folds a partial sum to 16 bits. */
export function csumFrom32(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/** The checksum of a partial sum: folded and inverted. */
export function csumFold(sum: number): number {
  return ~csumFrom32(sum) & 0xffff;
}

/** The sum of a block that begins at an odd or even place of a larger one. */
export function csumShift(sum: number, offset: number): number {
  return offset & 1 ? ((sum >>> 8) | (sum << 24)) >>> 0 : sum;
}

/** A 16-bit checksum after a 16-bit word that it covers went from `from` to `to`. @see RFC 1624 */
export function csumReplace2(check: number, from: number, to: number): number {
  const minus = (~check & 0xffff) + (~from & 0xffff);
  const sum = csumFrom32(minus) + (to & 0xffff);
  return ~csumFrom32(sum) & 0xffff;
}

/** The same for a 32-bit word. */
export function csumReplace4(check: number, from: number, to: number): number {
  return csumFold(csumAdd(csumSub(~check & 0xffff_ffff, from), to));
}

/** A 16-bit checksum after what it covers changed by `diff`. */
export function csumReplaceByDiff(check: number, diff: number): number {
  return csumFold(csumAdd(diff, ~check & 0xffff_ffff));
}
