import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AluOp, JmpOp } from '../../isa/index.ts';
import { ALU32, ALU64, byteSwap, signed64, TEST32, TEST64 } from './alu.ts';

const EDGES = [
  0n,
  1n,
  2n,
  31n,
  32n,
  63n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  1n << 63n,
  (1n << 64n) - 1n,
];
const u64 = fc.oneof(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.constantFrom(...EDGES));

const u32 = (value: bigint) => BigInt.asUintN(32, value);
const zero = (op: AluOp) => op === 'sdiv' || op === 'smod' || op === 'arsh';

describe('arithmetic', () => {
  it.each(Object.keys(ALU32) as AluOp[])('%s on halves is the 64-bit operation on extended halves', (op) => {
    fc.assert(
      fc.property(u64, u64, (a, b) => {
        const half = ALU32[op](Number(BigInt.asIntN(32, a)), Number(BigInt.asIntN(32, b)));
        const shift = op === 'lsh' || op === 'rsh' || op === 'arsh';
        // Signed operations see sign-extended halves, the others zero-extended ones.
        const extend = zero(op) ? (v: bigint) => BigInt.asUintN(64, BigInt.asIntN(32, v)) : u32;
        const whole = ALU64[op](extend(a), shift ? b & 31n : extend(b));
        expect(u32(BigInt(half))).toBe(u32(whole));
      }),
    );
  });

  it('divides as the RFC says where C does not', () => {
    const min = 1n << 63n;
    const minusOne = (1n << 64n) - 1n;
    expect(ALU64.div(7n, 0n)).toBe(0n);
    expect(ALU64.mod(7n, 0n)).toBe(7n);
    expect(BigInt.asUintN(64, ALU64.sdiv(min, minusOne))).toBe(min);
    expect(ALU64.smod(min, minusOne)).toBe(0n);
    expect(ALU32.sdiv(-0x8000_0000, -1) | 0).toBe(-0x8000_0000);
    expect(ALU32.smod(-0x8000_0000, -1) | 0).toBe(0);
    expect(ALU32.mod(7, 0)).toBe(7);
    expect(ALU64.smod(BigInt.asUintN(64, -7n), 3n)).toBe(-1n);
  });

  it.each(Object.keys(TEST32) as JmpOp[])(
    '%s on halves is the 64-bit comparison of extended halves',
    (op) => {
      fc.assert(
        fc.property(u64, u64, (a, b) => {
          const extend =
            op.startsWith('js') && op !== 'jset'
              ? (v: bigint) => BigInt.asUintN(64, BigInt.asIntN(32, v))
              : u32;
          expect(TEST32[op](Number(BigInt.asIntN(32, a)), Number(BigInt.asIntN(32, b)))).toBe(
            TEST64[op](extend(a), extend(b)),
          );
        }),
      );
    },
  );

  it('swaps bytes, and swaps them back', () => {
    expect(byteSwap(0x0102_0304_0506_0708n, 16)).toBe(0x0807n);
    expect(byteSwap(0x0102_0304_0506_0708n, 32)).toBe(0x0807_0605n);
    fc.assert(
      fc.property(u64, fc.constantFrom(16, 32, 64), (value, bits) => {
        expect(byteSwap(byteSwap(value, bits), bits)).toBe(BigInt.asUintN(bits, value));
      }),
    );
    expect(signed64((1n << 64n) - 1n)).toBe(-1n);
  });
});
