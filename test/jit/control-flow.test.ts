/**
 * Random control flow, reducible or not: the compiled program goes the interpreter's way. Each block does arithmetic that
 * tells the way, and counts down so that every program ends.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encode, type Insn, type Reg } from '../../src/isa/index.ts';
import { runRaw } from '../../src/kernel/interpreter/index.ts';
import { runCompiledRaw } from '../../src/kernel/jit/index.ts';

const reg = (reg: Reg) => ({ kind: 'reg', reg }) as const;
const imm = (imm: number) => ({ kind: 'imm', imm }) as const;

/** What a block does at its end: goes to another block, or to one of two, or on. */
interface BlockShape {
  readonly end: 'goto' | 'branch' | 'on' | 'exit' | 'may_goto';
  readonly to: number;
  readonly wide: boolean;
  readonly mask: number;
}

const block: fc.Arbitrary<BlockShape> = fc.record({
  end: fc.constantFrom(
    'goto' as const,
    'branch' as const,
    'branch' as const,
    'branch' as const,
    'on' as const,
    'exit' as const,
    'may_goto' as const,
  ),
  to: fc.nat(),
  wide: fc.boolean(),
  mask: fc.constantFrom(1, 2, 4, 6, 8),
});

/** Slots of a block: what it computes, its countdown, and its end. */
const SLOTS = 7;

/** r0 tells the way, r3 is what is left of the countdown, r4 chooses. */
function program(seed: number, rounds: number, shapes: readonly BlockShape[]): Uint8Array {
  const insns: Insn[] = [
    { kind: 'alu', op: 'mov', width: 64, dst: 0, src: imm(seed) },
    { kind: 'alu', op: 'mov', width: 64, dst: 3, src: imm(rounds) },
    { kind: 'alu', op: 'mov', width: 64, dst: 4, src: imm(seed) },
  ];
  const start = insns.length;
  const end = start + SLOTS * shapes.length;
  for (const [i, shape] of shapes.entries()) {
    const at = () => insns.length;
    insns.push(
      { kind: 'alu', op: 'mul', width: 64, dst: 0, src: imm(31) },
      { kind: 'alu', op: 'add', width: 64, dst: 0, src: imm(i + 1) },
      { kind: 'alu', op: 'add', width: 64, dst: 4, src: reg(0) },
      { kind: 'alu', op: 'sub', width: 64, dst: 3, src: imm(1) },
    );
    insns.push({ kind: 'jmp', op: 'jsle', width: 64, dst: 3, src: imm(0), off: end - at() - 1 });
    const off = start + SLOTS * (shape.to % shapes.length) - at() - 1;
    const width = shape.wide ? 64 : 32;
    switch (shape.end) {
      case 'goto':
        insns.push({ kind: 'ja', wide: false, off });
        break;
      case 'branch':
        insns.push({ kind: 'jmp', op: 'jset', width, dst: 4, src: imm(shape.mask), off });
        break;
      case 'may_goto':
        insns.push({ kind: 'may_goto', off });
        break;
      case 'exit':
        insns.push({ kind: 'exit' });
        break;
      case 'on':
        insns.push({ kind: 'alu', op: 'xor', width, dst: 0, src: reg(4) });
    }
    insns.push({ kind: 'alu', op: 'xor', width: 64, dst: 0, src: imm(i) });
  }
  insns.push({ kind: 'exit' });
  return encode(insns);
}

function agree(insns: Uint8Array): void {
  const interpreted = runRaw(insns, new Uint8Array());
  const compiled = runCompiledRaw(insns, new Uint8Array());
  if (compiled.fault || interpreted.fault) {
    throw new Error(`compiled: ${compiled.fault?.problem}; interpreted: ${interpreted.fault?.problem}`);
  }
  expect(compiled.r0).toBe(interpreted.r0);
}

describe('control flow', () => {
  test('of any shape goes the same way compiled', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 1 << 20 }),
        fc.integer({ min: 1, max: 60 }),
        fc.array(block, { minLength: 1, maxLength: 14 }),
        (seed, rounds, shapes) => agree(program(seed, rounds, shapes)),
      ),
      { numRuns: 1000 },
    );
  });

  test('into the middle of a loop is written with a dispatcher', () => {
    // Blocks 1 and 2 jump to each other, and the entry jumps to either.
    const branch = (to: number, mask: number): BlockShape => ({ end: 'branch', to, wide: true, mask });
    const jump = (to: number): BlockShape => ({ end: 'goto', to, wide: true, mask: 1 });
    for (let seed = 0; seed < 64; seed++) agree(program(seed, 40, [branch(2, 2), branch(2, 1), jump(1)]));
  });

  test('of 20,000 branches to one place, and as many nested loops as jumps reach, is no problem', () => {
    const lines: Insn[] = [{ kind: 'alu', op: 'mov', width: 64, dst: 0, src: imm(7) }];
    const count = 20_000;
    for (let i = 0; i < count; i++) {
      lines.push({ kind: 'alu', op: 'add', width: 64, dst: 0, src: imm(i) });
      lines.push({
        kind: 'jmp',
        op: 'jeq',
        width: 64,
        dst: 0,
        src: imm(5),
        off: Math.min(2 * (count - i - 1), 32_766),
      });
    }
    lines.push({ kind: 'exit' });
    agree(encode(lines));
    // Loop i begins at instruction i and ends behind those within it.
    const depth = 3000;
    const loops: Insn[] = [{ kind: 'alu', op: 'mov', width: 64, dst: 0, src: imm(0) }];
    for (let i = 0; i < depth; i++) loops.push({ kind: 'alu', op: 'add', width: 64, dst: 0, src: imm(1) });
    for (let i = 0; i < depth; i++) {
      loops.push({ kind: 'jmp', op: 'jeq', width: 64, dst: 0, src: imm(depth), off: -(2 * i + 2) });
    }
    loops.push({ kind: 'exit' });
    agree(encode(loops));
  });
});
