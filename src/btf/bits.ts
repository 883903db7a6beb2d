/** Integers in memory at any bit offset, in either byte order: what bitfields are made of. */

/**
 * Reads `width` bits that begin `offset` bits into the bytes. Bits count from the least significant one on a
 * little-endian machine, from the most significant one on a big-endian one, as C compilers place bitfields.
 */
export function readBits(bytes: Uint8Array, offset: number, width: number, littleEndian: boolean): bigint {
  const first = Math.floor(offset / 8);
  const count = Math.ceil((offset + width) / 8) - first;
  let value = 0n;
  for (let i = 0; i < count; i++) {
    const at = littleEndian ? first + count - 1 - i : first + i;
    value = (value << 8n) | BigInt(bytes[at] ?? 0);
  }
  const below = littleEndian ? offset - first * 8 : (first + count) * 8 - offset - width;
  return BigInt.asUintN(width, value >> BigInt(below));
}

/** Writes the low `width` bits of `value`; the inverse of {@link readBits}. Neighbouring bits stay. */
export function writeBits(
  bytes: Uint8Array,
  offset: number,
  width: number,
  value: bigint,
  littleEndian: boolean,
): void {
  const first = Math.floor(offset / 8);
  const count = Math.ceil((offset + width) / 8) - first;
  const below = BigInt(littleEndian ? offset - first * 8 : (first + count) * 8 - offset - width);
  const mask = ((1n << BigInt(width)) - 1n) << below;
  let placed = BigInt.asUintN(width, value) << below;
  let kept = ~mask;
  for (let i = 0; i < count; i++) {
    const at = littleEndian ? first + i : first + count - 1 - i;
    bytes[at] = (bytes[at]! & Number(BigInt.asUintN(8, kept))) | Number(placed & 0xffn);
    placed >>= 8n;
    kept >>= 8n;
  }
}

/** The width-bit value as a signed one. */
export function signExtend(value: bigint, width: number): bigint {
  return BigInt.asIntN(width, value);
}
