/**
 * Instructions as text in the mnemonic notation of ubpf and of the bpf_conformance cases: `ldxw %r0, [%r1+4]`. What
 * that notation has no name for (packet loads, Linux's own instructions) is named in its manner.
 */
import { unreachable } from '../base/error.ts';
import type { Insn, Operand, Reg, Width } from './insn.ts';
import { displacement, number, pseudoText, signed } from './notation.ts';
import { ENDIAN, SIZE } from './opcodes.ts';

/** Text of an instruction; numbers are decimal, or hexadecimal from 2^31 on. */
export function toMnemonic(insn: Insn): string {
  const suffix = (width: Width) => (width === 32 ? '32' : '');
  switch (insn.kind) {
    case 'alu':
      return `${insn.op}${suffix(insn.width)} %r${insn.dst}, ${operand(insn.src)}`;
    case 'neg':
      return `neg${suffix(insn.width)} %r${insn.dst}`;
    case 'movsx':
      return `movsx${insn.bits}${insn.width} %r${insn.dst}, %r${insn.src}`;
    case 'addr_space_cast':
      return `addr_space_cast %r${insn.dst}, %r${insn.src}, ${insn.dstAs}, ${insn.srcAs}`;
    case 'endian':
      return `${ENDIAN[insn.order].mnemonics[0]}${insn.bits} %r${insn.dst}`;
    case 'ja':
      return `ja${insn.wide ? '32' : ''} ${signed(insn.off, 'decimal')}`;
    case 'jmp': {
      const operands = `%r${insn.dst}, ${operand(insn.src)}, ${signed(insn.off, 'decimal')}`;
      return `${insn.op}${suffix(insn.width)} ${operands}`;
    }
    case 'may_goto':
      return `may_goto ${signed(insn.off, 'decimal')}`;
    case 'call':
      return `call ${called(insn.target)}`;
    case 'exit':
      return 'exit';
    case 'ldx': {
      const name = `ldx${insn.signed ? 's' : ''}${SIZE[insn.size].suffix}`;
      return `${name} %r${insn.dst}, ${address(insn.src, insn.off)}`;
    }
    case 'st':
      return `st${SIZE[insn.size].suffix} ${address(insn.dst, insn.off)}, ${insn.imm}`;
    case 'stx':
      return `stx${SIZE[insn.size].suffix} ${address(insn.dst, insn.off)}, %r${insn.src}`;
    case 'atomic': {
      const fetch = insn.fetch && insn.op !== 'xchg' && insn.op !== 'cmpxchg' ? 'fetch ' : '';
      const name = `${insn.op}${insn.size === 4 ? '32' : ''}`;
      return `lock ${fetch}${name} ${address(insn.dst, insn.off)}, %r${insn.src}`;
    }
    case 'load_acquire':
      return `load_acquire_${SIZE[insn.size].suffix} %r${insn.dst}, ${address(insn.src, insn.off)}`;
    case 'store_release':
      return `store_release_${SIZE[insn.size].suffix} ${address(insn.dst, insn.off)}, %r${insn.src}`;
    case 'ldimm64':
      return `lddw %r${insn.dst}, ${insn.imm.kind === 'value' ? number(insn.imm.value, 'hex') : pseudoText(insn.imm)}`;
    case 'ld_abs':
      return `ldabs${SIZE[insn.size].suffix} ${insn.imm}`;
    case 'ld_ind':
      return `ldind${SIZE[insn.size].suffix} %r${insn.src}, ${insn.imm}`;
    default:
      return unreachable(insn);
  }
}

function operand(src: Operand): string {
  return src.kind === 'reg' ? `%r${src.reg}` : String(src.imm);
}

function address(reg: Reg, off: number): string {
  return `[%r${reg}${off === 0 ? '' : displacement(off, 'decimal').replaceAll(' ', '')}]`;
}

function called(target: Extract<Insn, { kind: 'call' }>['target']): string {
  switch (target.kind) {
    case 'helper':
      return String(target.id);
    case 'local':
      return `local ${signed(target.off, 'decimal')}`;
    case 'kfunc':
      return `runtime ${target.btfId}${target.fdIdx === 0 ? '' : `, ${target.fdIdx}`}`;
    case 'reg':
      return `%r${target.reg}`;
    default:
      return unreachable(target);
  }
}
