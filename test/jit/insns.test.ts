/** Every instruction case, compiled and interpreted: the same registers and memory come out. */
import { describe, expect, test } from 'vitest';
import type { Insn } from '../../src/isa/index.ts';
import { runRaw } from '../../src/kernel/interpreter/index.ts';
import { type RawJitOptions, runCompiledRaw } from '../../src/kernel/jit/index.ts';
import { CASES, caseProgram, difference, type InsnCase, STATE_BYTES, stateBlocks } from '../isa/cases.ts';

const TO_R6: readonly Insn[] = [{ kind: 'alu', op: 'mov', width: 64, dst: 6, src: { kind: 'reg', reg: 1 } }];

/** What is wrong with a block of states, or `undefined`. */
function compare(
  name: string,
  body: InsnCase['body'],
  block: Uint8Array,
  options: RawJitOptions = {},
): string | undefined {
  const insns = caseProgram(body, block.length / STATE_BYTES, TO_R6);
  const interpreted = runRaw(insns, block);
  const compiled = runCompiledRaw(insns, block, options);
  if (interpreted.fault || compiled.fault) {
    return `${name}: ${interpreted.fault?.problem} against ${compiled.fault?.problem}`;
  }
  const what = difference(block, interpreted.memory, compiled.memory);
  return what && `${name}: ${what}`;
}

describe('every instruction, compiled', () => {
  test('does what the interpreter does', { timeout: 120_000 }, () => {
    const complaints: string[] = [];
    let states = 0;
    for (const one of CASES) {
      // The first states of the others differ in nothing that an instruction looks at.
      const blocks = one.pairs ? stateBlocks(one) : stateBlocks(one).slice(0, 1);
      for (const block of blocks) {
        states += block.length / STATE_BYTES;
        const complaint = compare(one.name, one.body, block);
        if (complaint !== undefined) {
          complaints.push(complaint);
          break;
        }
      }
    }
    expect(complaints).toEqual([]);
    expect(states).toBeGreaterThan(40_000);
  });

  test('does so over shared memory, where atomic operations are atomic', () => {
    const atomic = CASES.filter(({ name }) => / .*\+\d/.test(name) || /acquire|release/.test(name));
    const chosen = atomic.filter(({ name }) => /add|or|and|xor|chg|acquire|release/.test(name));
    expect(chosen.length).toBeGreaterThan(30);
    const complaints = chosen.map(({ name, body, ...one }) =>
      compare(name, body, stateBlocks({ name, body, ...one })[0]!, { shared: true }),
    );
    expect(complaints.filter((complaint) => complaint !== undefined)).toEqual([]);
  });
});
