/** Arithmetic. What WebAssembly traps on (division by zero, the quotient that overflows) has a value in BPF. */
import type { AluOp, Insn, Operand } from '../../isa/index.ts';
import type { FunctionWriter } from './function.ts';
import { OP, TYPE } from './wasm/opcodes.ts';

type Alu = Extract<Insn, { kind: 'alu' }>;

/** Operations that are one instruction, in 64 and in 32 bits. Both machines mask shift counts alike. */
const DIRECT: Partial<Readonly<Record<AluOp, readonly [number, number]>>> = {
  add: [OP.i64_add, OP.i32_add],
  sub: [OP.i64_sub, OP.i32_sub],
  mul: [OP.i64_mul, OP.i32_mul],
  or: [OP.i64_or, OP.i32_or],
  and: [OP.i64_and, OP.i32_and],
  xor: [OP.i64_xor, OP.i32_xor],
  lsh: [OP.i64_shl, OP.i32_shl],
  rsh: [OP.i64_shr_u, OP.i32_shr_u],
  arsh: [OP.i64_shr_s, OP.i32_shr_s],
};

/** Divisions, in 64 and in 32 bits. */
const DIVISIONS: Partial<Readonly<Record<AluOp, readonly [number, number]>>> = {
  div: [OP.i64_div_u, OP.i32_div_u],
  mod: [OP.i64_rem_u, OP.i32_rem_u],
  sdiv: [OP.i64_div_s, OP.i32_div_s],
  smod: [OP.i64_rem_s, OP.i32_rem_s],
};

export function writeAlu(f: FunctionWriter, insn: Alu) {
  const { op, width, dst, src } = insn;
  const wide = width === 64;
  const direct = DIRECT[op];
  if (op === 'mov') writeOperand(f, src, wide);
  else if (direct) {
    writeDst(f, insn);
    writeOperand(f, src, wide);
    f.op(direct[wide ? 0 : 1]);
  } else writeDivision(f, insn, DIVISIONS[op]![wide ? 0 : 1]);
  if (wide) f.set(dst);
  else f.setLow(dst);
}

function writeOperand(f: FunctionWriter, src: Operand, wide: boolean) {
  if (src.kind === 'imm') {
    if (wide) f.i64(src.imm);
    else f.i32(src.imm);
  } else if (wide) f.get(src.reg);
  else f.getLow(src.reg);
}

function writeDst(f: FunctionWriter, { width, dst }: Alu) {
  if (width === 64) f.get(dst);
  else f.getLow(dst);
}

/** @see RFC 9669 §4.1: by zero the quotient is 0 and the remainder the dividend */
function writeDivision(f: FunctionWriter, insn: Alu, instruction: number) {
  const { op, width, src } = insn;
  const wide = width === 64;
  const quotient = op === 'div' || op === 'sdiv';
  if (src.kind === 'imm') {
    writeConstantDivision(f, insn, src.imm, instruction);
    return;
  }
  const constant = (value: number) => (wide ? f.i64(value) : f.i32(value));
  writeOperand(f, src, wide);
  if (op === 'sdiv') {
    // By 0 and by -1 the quotient is the product.
    constant(1);
    f.op(wide ? OP.i64_add : OP.i32_add);
    constant(1);
    f.op(wide ? OP.i64_le_u : OP.i32_le_u);
  } else f.op(wide ? OP.i64_eqz : OP.i32_eqz);
  f.if(wide ? TYPE.i64 : TYPE.i32);
  if (op === 'sdiv') {
    writeDst(f, insn);
    writeOperand(f, src, wide);
    f.op(wide ? OP.i64_mul : OP.i32_mul);
  } else if (quotient) constant(0);
  else writeDst(f, insn);
  f.op(OP.else);
  writeDst(f, insn);
  writeOperand(f, src, wide);
  f.op(instruction);
  f.op(OP.end);
}

function writeConstantDivision(f: FunctionWriter, insn: Alu, divisor: number, instruction: number) {
  const wide = insn.width === 64;
  const constant = (value: number) => (wide ? f.i64(value) : f.i32(value));
  const { op } = insn;
  if (divisor === 0 && (op === 'div' || op === 'sdiv')) return constant(0);
  if (divisor === -1 && op === 'sdiv') {
    constant(0);
    writeDst(f, insn);
    return f.op(wide ? OP.i64_sub : OP.i32_sub);
  }
  writeDst(f, insn);
  if (divisor === 0) return;
  constant(divisor);
  f.op(instruction);
}

export function writeNeg(f: FunctionWriter, { width, dst }: Extract<Insn, { kind: 'neg' }>) {
  if (width === 64) {
    f.i64(0);
    f.get(dst);
    f.op(OP.i64_sub);
    f.set(dst);
  } else {
    f.i32(0);
    f.getLow(dst);
    f.op(OP.i32_sub);
    f.setLow(dst);
  }
}

const EXTEND64 = { 8: OP.i64_extend8_s, 16: OP.i64_extend16_s, 32: OP.i64_extend32_s } as const;
const EXTEND32 = { 8: OP.i32_extend8_s, 16: OP.i32_extend16_s } as const;

export function writeMovsx(f: FunctionWriter, { width, bits, dst, src }: Extract<Insn, { kind: 'movsx' }>) {
  if (width === 64) {
    f.get(src);
    f.op(EXTEND64[bits]);
    f.set(dst);
  } else {
    f.getLow(src);
    if (bits !== 32) f.op(EXTEND32[bits]);
    f.setLow(dst);
  }
}

export function writeEndian(f: FunctionWriter, { order, bits, dst }: Extract<Insn, { kind: 'endian' }>) {
  if (order === 'le') {
    if (bits === 64) return;
    f.getLow(dst);
    if (bits === 16) {
      f.i32(0xffff);
      f.op(OP.i32_and);
    }
    f.setLow(dst);
    return;
  }
  if (bits === 64) {
    f.get(dst);
    swap64(f);
    f.set(dst);
    return;
  }
  f.getLow(dst);
  if (bits === 16) swap16(f);
  else swap32(f);
  f.setLow(dst);
}

/** Swaps the two low bytes of the i32 on the stack; the others become zero. */
export function swap16(f: FunctionWriter) {
  const value = f.named('swap', 'i32');
  f.localTee(value);
  f.i32(0xff);
  f.op(OP.i32_and);
  f.i32(8);
  f.op(OP.i32_shl);
  f.localGet(value);
  f.i32(8);
  f.op(OP.i32_shr_u);
  f.i32(0xff);
  f.op(OP.i32_and);
  f.op(OP.i32_or);
}

/** Swaps the bytes of the i32 on the stack: every second byte goes one place to either side, around the ends. */
export function swap32(f: FunctionWriter) {
  const value = f.named('swap', 'i32');
  f.localTee(value);
  f.i32(0x00ff_00ff);
  f.op(OP.i32_and);
  f.i32(24);
  f.op(OP.i32_rotl);
  f.localGet(value);
  f.i32(0xff00_ff00 | 0);
  f.op(OP.i32_and);
  f.i32(8);
  f.op(OP.i32_rotl);
  f.op(OP.i32_or);
}

function swap64(f: FunctionWriter) {
  const value = f.named('swap64', 'i64');
  const half = (mask: bigint, shift: number) => {
    f.localTee(value);
    f.i64Big(mask);
    f.op(OP.i64_and);
    f.i64(shift);
    f.op(OP.i64_shl);
    f.localGet(value);
    f.i64(shift);
    f.op(OP.i64_shr_u);
    f.i64Big(mask);
    f.op(OP.i64_and);
    f.op(OP.i64_or);
  };
  half(0x00ff_00ff_00ff_00ffn, 8);
  half(0x0000_ffff_0000_ffffn, 16);
  f.i64(32);
  f.op(OP.i64_rotl);
}
