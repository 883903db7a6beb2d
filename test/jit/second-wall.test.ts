/**
 * The second wall: code that nobody verified, compiled all the same, reaches nothing but the kernel's memory and does not
 * run for ever.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assembleLlvm, encode, type Insn } from '../../src/isa/index.ts';
import { runCompiledRaw } from '../../src/kernel/jit/index.ts';
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
