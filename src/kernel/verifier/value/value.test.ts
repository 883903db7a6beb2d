import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AluOp, JmpOp, Width } from '../../../isa/insn.ts';
import { alu, negate } from './alu.ts';
import { decide, refineBoth, refineSame } from './branch.ts';
import { swapBytes } from './endian.ts';
import { contains, Scalar } from './scalar.ts';

const ALU: readonly AluOp[] = ['add', 'sub', 'mul', 'and', 'or', 'xor', 'lsh', 'rsh', 'arsh', 'mov'];
const JMP: readonly JmpOp[] = [
  'jeq',
  'jne',
  'jgt',
  'jge',
  'jlt',
  'jle',
  'jsgt',
  'jsge',
  'jslt',
  'jsle',
  'jset',
];

const edge = fc.constantFrom(
  ...[0n, 1n, -1n, 0x7fffffffn, 0x80000000n, 0xffffffffn, 0x100000000n, 1n << 63n, (1n << 63n) - 1n],
);
const value = fc
  .oneof(edge, fc.bigInt(-8n, 8n), fc.bigInt(0n, (1n << 64n) - 1n))
  .map((n) => BigInt.asUintN(64, n));

/** A concrete value with an abstract one that contains it: a constant, or narrowed by a few comparisons. */
const pair = fc
  .tuple(
    value,
    fc.array(fc.tuple(fc.constantFrom(...JMP), fc.constantFrom<Width>(32, 64), value), { maxLength: 3 }),
    fc.boolean(),
    fc.oneof(fc.constant((1n << 64n) - 1n), value),
  )
  .map(([concrete, tests, constant, unknown]) => {
    if (constant) return { concrete, abstract: Scalar.knownBig(concrete) };
    // Some bits known, as loads and masks leave them.
    let abstract = alu('and', 64, Scalar.UNKNOWN, Scalar.knownBig(unknown));
    abstract = alu('or', 64, abstract, Scalar.knownBig(concrete & ~unknown));
    for (const [op, width, bound] of tests) {
      const ways = refineBoth(op, width, abstract, Scalar.knownBig(bound));
      abstract = (holds(op, width, concrete, bound) ? ways.taken : ways.fallthrough)[0];
    }
    return { concrete, abstract };
  });

function holds(op: JmpOp, width: Width, a: bigint, b: bigint): boolean {
  const x = BigInt.asUintN(width, a);
  const y = BigInt.asUintN(width, b);
  const sx = BigInt.asIntN(width, a);
  const sy = BigInt.asIntN(width, b);
  const answers: Record<JmpOp, boolean> = {
    jeq: x === y,
    jne: x !== y,
    jgt: x > y,
    jge: x >= y,
    jlt: x < y,
    jle: x <= y,
    jsgt: sx > sy,
    jsge: sx >= sy,
    jslt: sx < sy,
    jsle: sx <= sy,
    jset: (x & y) !== 0n,
  };
  return answers[op];
}

function compute(op: AluOp, width: Width, a: bigint, b: bigint): bigint {
  const x = BigInt.asUintN(width, a);
  const y = BigInt.asUintN(width, b);
  const n = y & BigInt(width - 1);
  const results: Partial<Record<AluOp, bigint>> = {
    add: x + y,
    sub: x - y,
    mul: x * y,
    and: x & y,
    or: x | y,
    xor: x ^ y,
    lsh: x << n,
    rsh: x >> n,
    arsh: BigInt.asIntN(width, x) >> n,
    mov: y,
  };
  return BigInt.asUintN(width, results[op]!);
}

function expectContains(abstract: Scalar, concrete: bigint): void {
  expect(contains(abstract, Scalar.knownBig(concrete))).toBe(true);
}

describe('scalars', () => {
  it('contain the result of every operation', () => {
    fc.assert(
      fc.property(fc.constantFrom(...ALU), fc.constantFrom<Width>(32, 64), pair, pair, (op, width, a, b) => {
        expectContains(alu(op, width, a.abstract, b.abstract), compute(op, width, a.concrete, b.concrete));
      }),
      { numRuns: 20_000 },
    );
  });

  it('contain the result of negation, truncation and sign extension', () => {
    fc.assert(
      fc.property(fc.constantFrom<Width>(32, 64), pair, (width, { abstract, concrete }) => {
        expectContains(negate(width, abstract), BigInt.asUintN(width, -concrete));
        for (const size of [1, 2, 4])
          expectContains(abstract.truncate(size), BigInt.asUintN(size * 8, concrete));
        for (const bits of [8, 16, 32] as const) {
          expectContains(abstract.signExtend64(bits), BigInt.asUintN(64, BigInt.asIntN(bits, concrete)));
        }
        for (const bits of [8, 16] as const) {
          expectContains(abstract.signExtend32(bits), BigInt.asUintN(32, BigInt.asIntN(bits, concrete)));
        }
      }),
      { numRuns: 10_000 },
    );
  });

  it('contain both operands on the way that a comparison goes, and decide it rightly', () => {
    fc.assert(
      fc.property(fc.constantFrom(...JMP), fc.constantFrom<Width>(32, 64), pair, pair, (op, width, a, b) => {
        const goes = holds(op, width, a.concrete, b.concrete);
        const decided = decide(op, width, a.abstract, b.abstract);
        if (decided !== undefined) expect(decided).toBe(goes);
        const ways = refineBoth(op, width, a.abstract, b.abstract);
        const [x, y] = goes ? ways.taken : ways.fallthrough;
        expectContains(x, a.concrete);
        expectContains(y, b.concrete);
      }),
      { numRuns: 20_000 },
    );
  });

  it('contain a register that is compared with itself', () => {
    fc.assert(
      fc.property(fc.constantFrom(...JMP), fc.constantFrom<Width>(32, 64), pair, (op, width, a) => {
        const ways = refineSame(op, width, a.abstract);
        const goes = holds(op, width, a.concrete, a.concrete);
        expectContains(goes ? ways.taken : ways.fallthrough, a.concrete);
      }),
      { numRuns: 5_000 },
    );
  });

  it('contain the result of byte swaps', () => {
    const orders = fc.constantFrom('le', 'be', 'bswap');
    fc.assert(
      fc.property(orders, fc.constantFrom<16 | 32 | 64>(16, 32, 64), pair, (order, bits, a) => {
        let expected = 0n;
        for (let i = 0; i < bits; i += 8) {
          const byte = (a.concrete >> BigInt(i)) & 0xffn;
          expected |= byte << BigInt(order === 'le' ? i : bits - 8 - i);
        }
        expectContains(swapBytes(order, bits, a.abstract), expected);
      }),
      { numRuns: 5_000 },
    );
  });

  it('of constants are constants', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ALU),
        fc.constantFrom<Width>(32, 64),
        value,
        value,
        (op, width, a, b) => {
          const shift = op === 'lsh' || op === 'rsh' || op === 'arsh';
          const amount = shift ? b & BigInt(width - 1) : b;
          const result = alu(op, width, Scalar.knownBig(a), Scalar.knownBig(amount));
          expect(result.isConst && result.value).toBe(compute(op, width, a, amount));
        },
      ),
    );
  });
});
