/**
 * Speed of the verifier's value domain: arithmetic and comparisons over a mix of known and unknown numbers.
 *
 * Usage: tsx scripts/bench-scalars.ts
 */
import type { AluOp, JmpOp } from '../src/isa/index.ts';
import { alu } from '../src/kernel/verifier/value/alu.ts';
import { decide, refineBoth } from '../src/kernel/verifier/value/branch.ts';
import { Scalar } from '../src/kernel/verifier/value/scalar.ts';

const byte = Scalar.UNKNOWN.truncate(1);
const word = Scalar.UNKNOWN.truncate(4);
const operands = [
  Scalar.UNKNOWN,
  word,
  byte,
  alu('lsh', 64, byte, Scalar.knownImm(2)),
  Scalar.knownImm(14),
  Scalar.knownImm(-1),
  Scalar.knownImm(0xff),
];
const ALU: readonly AluOp[] = ['add', 'add', 'add', 'sub', 'and', 'or', 'lsh', 'rsh', 'arsh', 'mul'];
const JMP: readonly JmpOp[] = ['jeq', 'jne', 'jgt', 'jle', 'jslt', 'jset'];

/** Nanoseconds of processor time of one call. */
function measure(rounds: number, run: (i: number) => void): number {
  for (let i = 0; i < rounds / 5; i++) run(i);
  const start = process.cpuUsage();
  for (let i = 0; i < rounds; i++) run(i);
  return (process.cpuUsage(start).user * 1000) / rounds;
}

function report(name: string, nanoseconds: number): void {
  console.log(`${name}: ${nanoseconds.toFixed(0)} ns`);
  console.log(`figure scalar_${name}_ns ${nanoseconds.toFixed(0)}`);
}

/** Keeps results alive, so that nothing is optimised away. */
let kept = 0;
const ROUNDS = 2_000_000;

report(
  'alu',
  measure(ROUNDS, (i) => {
    const op = ALU[i % ALU.length]!;
    const a = operands[i % operands.length]!;
    const b =
      op === 'lsh' || op === 'rsh' || op === 'arsh' ? operands[4]! : operands[(i >> 3) % operands.length]!;
    kept += alu(op, (i & 1) === 0 ? 64 : 32, a, b).u32max;
  }),
);
report(
  'alu_constant',
  measure(ROUNDS, (i) => {
    kept += alu(ALU[i % ALU.length]!, 64, operands[5 + (i & 1)]!, operands[4]!).u32max;
  }),
);
report(
  'branch',
  measure(ROUNDS, (i) => {
    const op = JMP[i % JMP.length]!;
    const a = operands[i % 4]!;
    const b = operands[(i >> 3) % operands.length]!;
    const width = (i & 1) === 0 ? 64 : 32;
    if (decide(op, width, a, b) === undefined) kept += refineBoth(op, width, a, b).taken[0].u32max;
  }),
);
report(
  'sync',
  measure(ROUNDS, (i) => {
    kept += operands[i % operands.length]!.copy().sync().u32max;
  }),
);
console.log(`checksum ${kept}`);
