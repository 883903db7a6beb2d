/**
 * The second wall: code that nobody verified, compiled all the same, reaches nothing but the kernel's memory and does not
 * run for ever.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assembleLlvm, encode, type Insn } from '../../src/isa/index.ts';
import { runCompiledRaw } from '../../src/kernel/jit/index.ts';
import { Memory } from '../../src/kernel/memory/index.ts';
import { anyInsn } from '../isa/arbitrary.ts';

const run = (text: string, fuel = 100_000) =>
  runCompiledRaw(assembleLlvm(text).bytes, new Uint8Array(64).fill(0x11), { fuel });

describe('unverified code', () => {
  test.each([
    ['a wild load', 'r1 = 0x7fffffff ll\nr0 = *(u64 *)(r1 + 0)\nexit'],
    ['a wild store', 'r1 = 0xfffffffe ll\n*(u64 *)(r1 + 0) = 1\nr0 = 0\nexit'],
    ['a load at the very end', 'r1 = -1 ll\nr0 = *(u64 *)(r1 + 32767)\nexit'],
    ['an atomic operation', 'r1 = 0xfffffff8 ll\nr2 = 1\nlock *(u64 *)(r1 + 0) += r2\nr0 = 0\nexit'],
  ])('%s ends the run', (_, text) => {
    expect(run(text).fault?.code).toBe('access');
  });

  test('an address is cut to 32 bits: the upper half of a pointer leads nowhere else', () => {
    const text = 'r2 = 0xdeadbeef00000000 ll\nr1 += r2\nr0 = *(u8 *)(r1 + 0)\nexit';
    expect(run(text)).toMatchObject({ r0: 0x11n });
  });

  test.each([
    ['a loop', 'again:\ngoto again'],
    ['a loop that does something', 'r0 = 0\nagain:\nr0 += 1\nif r0 != 0 goto again\nexit'],
    ['an irreducible loop', 'if r1 > 1 goto b\na:\nr0 += 1\ngoto b\nb:\nr0 += 2\ngoto a'],
  ])('%s runs out of fuel', (_, text) => {
    expect(run(text).fault?.code).toBe('budget');
  });

  test('recursion without an end runs out of fuel or of stack', () => {
    const self: Insn[] = [{ kind: 'call', target: { kind: 'local', off: -1 } }, { kind: 'exit' }];
    for (const fuel of [1000, 1_000_000_000]) {
      const { fault } = runCompiledRaw(encode(self), new Uint8Array(), { fuel });
      expect(['budget', 'call-depth']).toContain(fault?.code);
    }
  });

  const NOWHERE = 0x1234_5678;

  test.each([
    ['a number that no program has', [0, NOWHERE], 1],
    ['a number that the table of programs ends before', [2], 0],
    ['an index that the array ends before', [1], 5],
    ['an empty slot', [0], 0],
  ])('a tail call through %s goes nowhere', (_, tailCalls, index) => {
    const text = `r3 = ${index}\ncall 12\nr0 = 77\nexit`;
    const result = runCompiledRaw(assembleLlvm(text).bytes, new Uint8Array(64), { tailCalls });
    if (result.fault) expect(result.fault.code).toBe('access');
    else expect(result.r0).toBe(77n);
    expect(result.fault !== undefined).toBe(tailCalls[index] !== undefined && tailCalls[index] !== 0);
  });

  test('tail calls without an end run into their limit', () => {
    // Counts its runs in the memory that it is given.
    const text = 'r0 = *(u32 *)(r1 + 0)\nr0 += 1\n*(u32 *)(r1 + 0) = r0\nr3 = 0\ncall 12\nr0 = 5\nexit';
    const result = runCompiledRaw(assembleLlvm(text).bytes, new Uint8Array(8), { tailCalls: [1] });
    expect(result).toMatchObject({ r0: 5n, memory: Uint8Array.of(34, 0, 0, 0, 0, 0, 0, 0) });
  });

  test('who writes over the count of its tail calls runs out of fuel', () => {
    let unlimited = 0;
    for (let page = 1; page <= 8; page++) {
      const text = `r2 = ${page * 4096}\n*(u32 *)(r2 + 0) = 0\nr3 = 0\ncall 12\nr0 = 5\nexit`;
      const options = { tailCalls: [1], fuel: 10_000 };
      const { fault } = runCompiledRaw(assembleLlvm(text).bytes, new Uint8Array(8), options);
      if (fault) expect(fault.code).toBe('budget');
      if (fault) unlimited++;
    }
    expect(unlimited).toBe(1);
  });

  test.each([
    ['that is no function', 'r2 = 0x7fffffff12345678 ll'],
    ['that is a little beside one', 'r2 = 0xffff000000000004 ll'],
    ['null', 'r2 = 0'],
  ])('a callback %s ends the run', (_, callback) => {
    const text = `r1 = 3\n${callback}\nr3 = 0\nr4 = 0\ncall 181\nexit`;
    const { fault } = runCompiledRaw(assembleLlvm(text).bytes, new Uint8Array(8), { tailCalls: [] });
    expect(fault?.code).toBe('access');
  });

  test('a loop of callbacks runs out of fuel', () => {
    const self: Insn[] = [
      { kind: 'alu', op: 'mov', width: 64, dst: 1, src: { kind: 'imm', imm: 8_000_000 } },
      { kind: 'ldimm64', dst: 2, imm: { kind: 'func', off: 5 } },
      { kind: 'alu', op: 'mov', width: 64, dst: 4, src: { kind: 'imm', imm: 0 } },
      { kind: 'alu', op: 'mov', width: 64, dst: 3, src: { kind: 'imm', imm: 0 } },
      { kind: 'call', target: { kind: 'helper', id: 181 } },
      { kind: 'exit' },
      { kind: 'alu', op: 'mov', width: 64, dst: 0, src: { kind: 'imm', imm: 0 } },
      { kind: 'exit' },
    ];
    const { fault } = runCompiledRaw(encode(self), new Uint8Array(8), { tailCalls: [], fuel: 100_000 });
    expect(fault?.code).toBe('budget');
  });

  test('another memory stays as it is, whatever is run', { timeout: 60_000 }, () => {
    const other = new Memory();
    const mine = other.allocate(1 << 16, { kind: 'mem', owner: 'test', access: 'rw' });
    other.fill(mine, 1 << 16, 0x5a);
    const before = other.u8.slice();
    const stores = fc.array(
      fc.record({
        addr: fc.oneof(fc.bigInt(0n, (1n << 64n) - 1n), fc.bigInt(0n, 1n << 17n)),
        off: fc.integer({ min: -0x8000, max: 0x7fff }),
        size: fc.constantFrom(8, 16, 32, 64),
      }),
      { minLength: 1, maxLength: 20 },
    );
    let faults = 0;
    fc.assert(
      fc.property(stores, fc.boolean(), (all, shared) => {
        const lines = all.flatMap(({ addr, off, size }) => [
          `r2 = ${addr} ll`,
          `*(u${size} *)(r2 ${off < 0 ? '-' : '+'} ${Math.abs(off)}) = -1`,
        ]);
        const tail = ['r1 = r10', 'r3 = 0', 'call 12', 'r0 = 0', 'exit'];
        const { bytes } = assembleLlvm([...lines, ...tail].join('\n'));
        const result = runCompiledRaw(bytes, new Uint8Array(16), { tailCalls: [1], fuel: 5000, shared });
        if (result.fault) faults++;
      }),
      { numRuns: 400 },
    );
    expect(faults).toBeGreaterThan(100);
    expect(Buffer.compare(other.u8, before)).toBe(0);
  });

  test('a jump that leads out of the program ends the run', () => {
    const out: Insn[] = [{ kind: 'ja', wide: false, off: 1000 }, { kind: 'exit' }];
    expect(runCompiledRaw(encode(out), new Uint8Array()).fault?.code).toBe('unsupported');
    const fallsOff: Insn[] = [{ kind: 'alu', op: 'mov', width: 64, dst: 0, src: { kind: 'imm', imm: 1 } }];
    expect(runCompiledRaw(encode(fallsOff), new Uint8Array()).fault?.code).toBe('unsupported');
  });

  test('any instructions compile, and end with a result or a fault', { timeout: 60_000 }, () => {
    let faults = 0;
    let results = 0;
    fc.assert(
      fc.property(fc.array(anyInsn, { minLength: 1, maxLength: 30 }), (insns) => {
        // Jumps stay near, so that many of them hit.
        const near = insns.map((insn) =>
          insn.kind === 'jmp' || insn.kind === 'ja' || insn.kind === 'may_goto'
            ? { ...insn, off: insn.off % 8 }
            : insn,
        );
        const result = runCompiledRaw(encode([...near, { kind: 'exit' }]), new Uint8Array(32), {
          fuel: 10_000,
        });
        if (result.fault) faults++;
        else results++;
      }),
      { numRuns: 3000 },
    );
    expect(faults).toBeGreaterThan(100);
    expect(results).toBeGreaterThan(100);
  });
});
