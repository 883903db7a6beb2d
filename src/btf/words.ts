const HOST_IS_LITTLE = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/**
 * A copy of the bytes as 32-bit words in the host's byte order. The length must be a multiple of 4. (`slice` would not
 * do: on Node's Buffer it is a view.)
 */
export function hostWords(bytes: Uint8Array, littleEndian: boolean): Uint32Array {
  const words = new Uint32Array(new Uint8Array(bytes).buffer);
  if (littleEndian !== HOST_IS_LITTLE) swapWords(words);
  return words;
}

/** The words as bytes in the given order. */
export function wordBytes(words: Uint32Array, littleEndian: boolean): Uint8Array {
  const copy = words.slice();
  if (littleEndian !== HOST_IS_LITTLE) swapWords(copy);
  return new Uint8Array(copy.buffer);
}

function swapWords(words: Uint32Array): void {
  const view = new DataView(words.buffer);
  for (let i = 0; i < words.length; i++) words[i] = view.getUint32(i * 4, !HOST_IS_LITTLE);
}
