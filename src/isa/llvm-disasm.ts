/** Instructions as text in LLVM's notation, character for character what llvm-objdump prints. */
import { unreachable } from '../base/error.ts';
import type { Insn, InsnIdx, Operand, Reg, Size, Width } from './insn.ts';
import { callText, displacement, number, pseudoText, signed } from './notation.ts';
import { ALU, ATOMIC, IMM64, JMP, SIZE } from './opcodes.ts';

export interface LlvmStyle {
  /** Numbers as LLVM 17 and later print them (`hex`, the default) or as those before do. */
  readonly numbers: 'hex' | 'decimal';
  /**
   * Loads and stores of up to 4 bytes name `w` registers, as llvm-objdump prints with `--mcpu=v3` and later and, from
   * LLVM 20 on, by default. Default false. 32-bit atomics that fetch are always printed with `w`: there is no other notation.
   */
  readonly alu32: boolean;
  /**
   * What LLVM's notation can't tell apart: calls of helpers, subprograms and kernel functions, all `call 0x5`; pseudo
   * sources of 64-bit loads, which lose their second immediate; the offset of an indirect packet load. `exact` (the default) writes
   * them as the kernel and bpftool do, so that the text can be read back; `llvm` as LLVM does.
   */
  readonly pseudo: 'exact' | 'llvm';
}

export const LLVM_STYLE: LlvmStyle = { numbers: 'hex', alu32: false, pseudo: 'exact' };

/** Text of an instruction. @see LlvmStyle */
export function toLlvm(insn: Insn, style: Partial<LlvmStyle> = {}): string {
  return llvmText(insn, { ...LLVM_STYLE, ...style });
}

/** Slot that an instruction at `idx` jumps to, or `undefined` when it is not a jump. Calls are not jumps. */
export function jumpTarget(insn: Insn, idx: InsnIdx): InsnIdx | undefined {
  switch (insn.kind) {
    case 'ja':
    case 'jmp':
    case 'may_goto':
      return (idx + 1 + insn.off) as InsnIdx;
    default:
      return undefined;
  }
}

/** Register names by width. */
function reg(reg: Reg, width: Width): string {
  return `${width === 32 ? 'w' : 'r'}${reg}`;
}

function access(size: Size, isSigned: boolean): string {
  return `${isSigned ? 's' : 'u'}${SIZE[size].bits} *`;
}

function llvmText(insn: Insn, style: LlvmStyle): string {
  const num = (value: number | bigint) => number(value, style.numbers);
  const operand = (src: Operand, width: Width) => (src.kind === 'reg' ? reg(src.reg, width) : num(src.imm));
  const address = (base: Reg, off: number) => `r${base}${displacement(off, style.numbers)}`;
  const goto = (off: number) => signed(off, style.numbers);
  const narrow = (size: Size): Width => (style.alu32 && size < 8 ? 32 : 64);

  switch (insn.kind) {
    case 'alu':
      return `${reg(insn.dst, insn.width)} ${ALU[insn.op].symbol} ${operand(insn.src, insn.width)}`;
    case 'neg':
      return `${reg(insn.dst, insn.width)} = -${reg(insn.dst, insn.width)}`;
    case 'movsx':
      return `${reg(insn.dst, insn.width)} = (s${insn.bits})${reg(insn.src, insn.width)}`;
    case 'addr_space_cast':
      return `r${insn.dst} = addr_space_cast(r${insn.src}, ${num(insn.dstAs)}, ${num(insn.srcAs)})`;
    case 'endian':
      return `r${insn.dst} = ${insn.order}${insn.bits} r${insn.dst}`;
    case 'ja':
      return `${insn.wide ? 'gotol' : 'goto'} ${goto(insn.off)}`;
    case 'jmp': {
      const left = reg(insn.dst, insn.width);
      return `if ${left} ${JMP[insn.op].symbol} ${operand(insn.src, insn.width)} goto ${goto(insn.off)}`;
    }
    case 'may_goto':
      return `may_goto ${goto(insn.off)}`;
    case 'call': {
      const { target } = insn;
      if (target.kind === 'reg') return `callx r${target.reg}`;
      if (style.pseudo === 'exact') return `call ${callText(target, style.numbers)}`;
      if (target.kind === 'kfunc') return `call ${num(target.btfId | 0)}`;
      return `call ${num(target.kind === 'helper' ? target.id : target.off)}`;
    }
    case 'exit':
      return 'exit';
    case 'ldx': {
      const width = insn.signed ? 64 : narrow(insn.size);
      return `${reg(insn.dst, width)} = *(${access(insn.size, insn.signed)})(${address(insn.src, insn.off)})`;
    }
    case 'st':
      return `*(${access(insn.size, false)})(${address(insn.dst, insn.off)}) = ${num(insn.imm)}`;
    case 'stx': {
      const src = reg(insn.src, narrow(insn.size));
      return `*(${access(insn.size, false)})(${address(insn.dst, insn.off)}) = ${src}`;
    }
    case 'atomic':
      return atomicText(insn, address(insn.dst, insn.off), narrow(insn.size));
    case 'load_acquire': {
      const dst = reg(insn.dst, insn.size === 8 ? 64 : 32);
      return `${dst} = load_acquire((${access(insn.size, false)})(${address(insn.src, insn.off)}))`;
    }
    case 'store_release': {
      const src = reg(insn.src, insn.size === 8 ? 64 : 32);
      return `store_release((${access(insn.size, false)})(${address(insn.dst, insn.off)}), ${src})`;
    }
    case 'ldimm64': {
      const { imm } = insn;
      if (imm.kind === 'value') return `r${insn.dst} = ${num(BigInt.asIntN(64, imm.value))} ll`;
      if (style.pseudo === 'exact') return `r${insn.dst} = ${pseudoText(imm)}`;
      return `ld_pseudo\tr${insn.dst}, ${num(IMM64[imm.kind].src)}, ${num(firstImm(imm))}`;
    }
    case 'ld_abs':
      return `r0 = *(${access(insn.size, false)})skb[${num(insn.imm)}]`;
    case 'ld_ind': {
      const off = style.pseudo === 'llvm' || insn.imm === 0 ? '' : displacement(insn.imm, style.numbers);
      return `r0 = *(${access(insn.size, false)})skb[r${insn.src}${off}]`;
    }
    default:
      return unreachable(insn);
  }
}

type Pseudo = Exclude<Extract<Insn, { kind: 'ldimm64' }>['imm'], { kind: 'value' }>;

/** The first immediate, unsigned: LLVM prints it zero-extended. */
function firstImm(imm: Pseudo): number {
  switch (imm.kind) {
    case 'map_fd':
    case 'map_value':
      return imm.fd >>> 0;
    case 'btf_id':
      return imm.id;
    case 'func':
      return imm.off >>> 0;
    case 'map_idx':
    case 'map_idx_value':
      return imm.idx >>> 0;
    default:
      return unreachable(imm);
  }
}

function atomicText(insn: Extract<Insn, { kind: 'atomic' }>, address: string, plain: Width): string {
  const { op, size } = insn;
  const fact = ATOMIC[op];
  const width = size === 8 ? 64 : 32;
  const src = reg(insn.src, width);
  const pointer = `(${access(size, false)})(${address})`;
  switch (op) {
    case 'xchg':
      return `${src} = ${exchangeName(op, size)}(${address}, ${src})`;
    case 'cmpxchg': {
      const r0 = reg(0, width);
      return `${r0} = ${exchangeName(op, size)}(${address}, ${r0}, ${src})`;
    }
    default:
      if (insn.fetch) return `${src} = atomic_fetch_${op}(${pointer}, ${src})`;
      // Only the addition, the oldest, has a form without 32-bit registers.
      return `lock *${pointer} ${'symbol' in fact ? fact.symbol : ''} ${reg(insn.src, op === 'add' ? plain : width)}`;
  }
}

/** LLVM's names of the exchanges: `xchg_64`, `xchg32_32`. */
export function exchangeName(op: 'xchg' | 'cmpxchg', size: 4 | 8): string {
  return size === 8 ? `${op}_64` : `${op}32_32`;
}
