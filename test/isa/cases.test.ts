/** The instruction cases on the interpreter alone: an immediate does what the same value in a register does. */
import { describe, expect, test } from 'vitest';
import type { Insn } from '../../src/isa/index.ts';
import { runRaw } from '../../src/kernel/interpreter/index.ts';
import { CASES, caseProgram, difference, type InsnCase, STATE_BYTES, stateBlocks } from './cases.ts';

const TO_R6: readonly Insn[] = [{ kind: 'alu', op: 'mov', width: 64, dst: 6, src: { kind: 'reg', reg: 1 } }];

function run(body: InsnCase['body'], block: Uint8Array): Uint8Array {
  const result = runRaw(caseProgram(body, block.length / STATE_BYTES, TO_R6), block);
  if (result.fault) throw new Error(`instruction ${result.fault.insn}: ${result.fault.problem}`);
  return result.memory;
}

describe('instruction cases', () => {
  test('names are unique', () => {
    expect(new Set(CASES.map((one) => one.name)).size).toBe(CASES.length);
  });

  test('an immediate operand equals the same value in a register', () => {
    let compared = 0;
    for (const one of CASES) {
      if (one.asRegister === undefined) continue;
      for (const block of stateBlocks(one)) {
        compared++;
        const complaint = difference(block, run(one.body, block), run(one.asRegister, block));
        if (complaint !== undefined) expect.fail(`${one.name}: ${complaint}`);
      }
    }
    expect(compared).toBeGreaterThan(1000);
  });
});
