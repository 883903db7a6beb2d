/** The AES block cipher, for keys of 16, 24 and 32 bytes. @see FIPS 197 */

const BLOCK = 16;

/** Multiplies by x in the field of 256 elements. */
const double = (byte: number): number => ((byte << 1) ^ (byte & 0x80 ? 0x11b : 0)) & 0xff;

function multiply(a: number, b: number): number {
  let product = 0;
  for (let left = a, factor = b; factor > 0; factor >>= 1, left = double(left)) {
    if (factor & 1) product ^= left;
  }
  return product;
}

const rotate = (byte: number, by: number): number => ((byte << by) | (byte >> (8 - by))) & 0xff;

/** The substitution of bytes: the inverse in the field, then an affine map. */
const SUBSTITUTE = Uint8Array.from({ length: 256 }, (_, byte) => {
  let inverse = 0;
  for (let candidate = 1; byte !== 0 && candidate < 256; candidate++) {
    if (multiply(byte, candidate) === 1) inverse = candidate;
  }
  const turned = rotate(inverse, 1) ^ rotate(inverse, 2) ^ rotate(inverse, 3) ^ rotate(inverse, 4);
  return inverse ^ turned ^ 0x63;
});
const RESTORE = new Uint8Array(256);
for (const [byte, substitute] of SUBSTITUTE.entries()) RESTORE[substitute] = byte;

export class Aes {
  /** Round keys, one behind the other. */
  readonly #keys: Uint8Array;
  readonly #rounds: number;

  /** @param key 16, 24 or 32 bytes */
  constructor(key: Uint8Array) {
    const words = key.length / 4;
    this.#rounds = words + 6;
    const keys = new Uint8Array(BLOCK * (this.#rounds + 1));
    keys.set(key);
    let round = 1;
    for (let word = words; word < 4 * (this.#rounds + 1); word++) {
      let last = keys.slice(4 * word - 4, 4 * word);
      if (word % words === 0) {
        last = Uint8Array.of(last[1]!, last[2]!, last[3]!, last[0]!).map((byte) => SUBSTITUTE[byte]!);
        last[0]! ^= round;
        round = double(round);
      } else if (words > 6 && word % words === 4) last = last.map((byte) => SUBSTITUTE[byte]!);
      for (let i = 0; i < 4; i++) keys[4 * word + i] = keys[4 * (word - words) + i]! ^ last[i]!;
    }
    this.#keys = keys;
  }

  #addKey(block: Uint8Array, round: number): void {
    for (let i = 0; i < BLOCK; i++) block[i]! ^= this.#keys[BLOCK * round + i]!;
  }

  /** Encrypts a block in its place. */
  encrypt(block: Uint8Array): void {
    this.#addKey(block, 0);
    for (let round = 1; round <= this.#rounds; round++) {
      const before = block.map((byte) => SUBSTITUTE[byte]!);
      // Row r of the square moves r places to the left.
      for (let i = 0; i < BLOCK; i++) block[i] = before[(i + 4 * (i % 4)) % BLOCK]!;
      if (round < this.#rounds) mix(block, [2, 3, 1, 1]);
      this.#addKey(block, round);
    }
  }

  /** Decrypts a block in its place. */
  decrypt(block: Uint8Array): void {
    for (let round = this.#rounds; round >= 1; round--) {
      this.#addKey(block, round);
      if (round < this.#rounds) mix(block, [14, 11, 13, 9]);
      const before = block.slice();
      for (let i = 0; i < BLOCK; i++) block[(i + 4 * (i % 4)) % BLOCK] = RESTORE[before[i]!]!;
    }
    this.#addKey(block, 0);
  }
}

/** Multiplies each column by a matrix, of which the first row is given and the others are its rotations. */
function mix(block: Uint8Array, row: readonly number[]): void {
  for (let column = 0; column < BLOCK; column += 4) {
    const before = block.slice(column, column + 4);
    for (let i = 0; i < 4; i++) {
      block[column + i] = before.reduce((sum, byte, j) => sum ^ multiply(byte, row[(j - i + 4) % 4]!), 0);
    }
  }
}

/** Ways to work on many blocks, by the name that the kernel has for them. */
export interface Cipher {
  /** Bytes of its initial vector. */
  readonly vectorLength: number;
  encrypt(aes: Aes, bytes: Uint8Array, vector: Uint8Array): void;
  decrypt(aes: Aes, bytes: Uint8Array, vector: Uint8Array): void;
}

function* blocks(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += BLOCK) yield bytes.subarray(at, at + BLOCK);
}

/** Bytes are encrypted in their place, and the vector is left as the next call needs it. */
export const CIPHERS: Readonly<Record<string, Cipher>> = {
  'ecb(aes)': {
    vectorLength: 0,
    encrypt: (aes, bytes) => {
      for (const block of blocks(bytes)) aes.encrypt(block);
    },
    decrypt: (aes, bytes) => {
      for (const block of blocks(bytes)) aes.decrypt(block);
    },
  },
  'cbc(aes)': {
    vectorLength: BLOCK,
    encrypt: (aes, bytes, vector) => {
      for (const block of blocks(bytes)) {
        for (let i = 0; i < BLOCK; i++) block[i]! ^= vector[i]!;
        aes.encrypt(block);
        vector.set(block);
      }
    },
    decrypt: (aes, bytes, vector) => {
      for (const block of blocks(bytes)) {
        const encrypted = block.slice();
        aes.decrypt(block);
        for (let i = 0; i < BLOCK; i++) block[i]! ^= vector[i]!;
        vector.set(encrypted);
      }
    },
  },
};

export const AES_BLOCK = BLOCK;
