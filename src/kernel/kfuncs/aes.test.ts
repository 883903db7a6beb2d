import { describe, expect, it } from 'vitest';
import { Aes, CIPHERS } from './aes.ts';

const bytes = (hex: string) => Uint8Array.from(hex.match(/../g)!, (byte) => Number.parseInt(byte, 16));
const hex = (of: Uint8Array) => [...of].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const PLAIN = '00112233445566778899aabbccddeeff';

describe('Aes', () => {
  // FIPS 197, appendix C.
  it.each([
    ['000102030405060708090a0b0c0d0e0f', '69c4e0d86a7b0430d8cdb78070b4c55a'],
    ['000102030405060708090a0b0c0d0e0f1011121314151617', 'dda97ca4864cdfe06eaf70a0ec0d7191'],
    ['000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', '8ea2b7ca516745bfeafc49904b496089'],
  ])('with the key %s encrypts as the standard says, and back', (key, expected) => {
    const aes = new Aes(bytes(key));
    const block = bytes(PLAIN);
    aes.encrypt(block);
    expect(hex(block)).toBe(expected);
    aes.decrypt(block);
    expect(hex(block)).toBe(PLAIN);
  });

  // NIST SP 800-38A, F.2.1.
  it('chains blocks', () => {
    const aes = new Aes(bytes('2b7e151628aed2a6abf7158809cf4f3c'));
    const text = bytes('6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51');
    const vector = () => bytes('000102030405060708090a0b0c0d0e0f');
    CIPHERS['cbc(aes)']!.encrypt(aes, text, vector());
    expect(hex(text)).toBe('7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2');
    CIPHERS['cbc(aes)']!.decrypt(aes, text, vector());
    expect(hex(text.subarray(16))).toBe('ae2d8a571e03ac9c9eb76fac45af8e51');
  });
});
