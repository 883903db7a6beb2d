/** Conditions of jumps. */
import type { Insn, JmpOp } from '../../isa/index.ts';
import type { FunctionWriter } from './function.ts';
import { OP } from './wasm/opcodes.ts';

/** The 64-bit and the 32-bit comparison, and the one that is true where this is false. */
const COMPARE: Readonly<Record<Exclude<JmpOp, 'jset'>, readonly [number, number, Exclude<JmpOp, 'jset'>]>> = {
  jeq: [OP.i64_eq, OP.i32_eq, 'jne'],
  jne: [OP.i64_ne, OP.i32_ne, 'jeq'],
  jgt: [OP.i64_gt_u, OP.i32_gt_u, 'jle'],
  jge: [OP.i64_ge_u, OP.i32_ge_u, 'jlt'],
  jlt: [OP.i64_lt_u, OP.i32_lt_u, 'jge'],
  jle: [OP.i64_le_u, OP.i32_le_u, 'jgt'],
  jsgt: [OP.i64_gt_s, OP.i32_gt_s, 'jsle'],
  jsge: [OP.i64_ge_s, OP.i32_ge_s, 'jslt'],
  jslt: [OP.i64_lt_s, OP.i32_lt_s, 'jsge'],
  jsle: [OP.i64_le_s, OP.i32_le_s, 'jsgt'],
};

/** Leaves an i32: whether the jump is taken or, negated, is not. */
export function writeCondition(
  f: FunctionWriter,
  { op, width, dst, src }: Extract<Insn, { kind: 'jmp' }>,
  negated: boolean,
) {
  const wide = width === 64;
  if (wide) f.get(dst);
  else f.getLow(dst);
  if (src.kind === 'imm' && src.imm === 0 && (op === 'jeq' || op === 'jne')) {
    f.op(wide ? OP.i64_eqz : OP.i32_eqz);
    if ((op === 'jne') !== negated) f.op(OP.i32_eqz);
    return;
  }
  if (src.kind === 'imm') {
    if (wide) f.i64(src.imm);
    else f.i32(src.imm);
  } else if (wide) f.get(src.reg);
  else f.getLow(src.reg);
  if (op === 'jset') {
    f.op(wide ? OP.i64_and : OP.i32_and);
    f.op(wide ? OP.i64_eqz : OP.i32_eqz);
    if (!negated) f.op(OP.i32_eqz);
    return;
  }
  f.op(COMPARE[negated ? COMPARE[op][2] : op][wide ? 0 : 1]);
}
