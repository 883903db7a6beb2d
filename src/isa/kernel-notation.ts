/**
 * Instructions in the notation of the kernel's verifier log and of `bpftool prog dump xlated`
 * (`(79) r2 = *(u64 *)(r10 -8)`). For reading only: no assembler takes it.
 */
import { unreachable } from '../base/error.ts';
import { encodeSlots } from './encode.ts';
import type { CallTarget, Imm64, Insn, Operand, Width } from './insn.ts';
import { ALU, JMP } from './opcodes.ts';

/** Names that an instruction alone does not tell. Each has a default. */
export interface KernelNames {
  /** What is called: `bpf_get_prandom_u32#7`, `pc+5`. */
  readonly call?: (target: CallTarget) => string | undefined;
  /** What a 64-bit load loads: `map[id:5]`. */
  readonly imm64?: (imm: Imm64) => string | undefined;
}

function sign(off: number): string {
  return off < 0 ? String(off) : `+${off}`;
}

function reg(width: Width, number: number): string {
  return `${width === 64 ? 'r' : 'w'}${number}`;
}

function operand(width: Width, src: Operand, imm: (value: number) => string): string {
  return src.kind === 'reg' ? reg(width, src.reg) : imm(src.imm);
}

function memory(size: number, signed: boolean, base: number, off: number): string {
  return `*(${signed ? 's' : 'u'}${size * 8} *)(r${base} ${sign(off)})`;
}

function callName(target: CallTarget): string {
  switch (target.kind) {
    case 'helper':
      return `unknown#${target.id}`;
    case 'local':
      return `pc${sign(target.off)}`;
    case 'kfunc':
      return `kernel-function#${target.btfId}`;
    case 'reg':
      return `r${target.reg}`;
    default:
      return unreachable(target);
  }
}

/** The number that the two immediates of the load hold. */
function imm64Value(imm: Imm64): bigint {
  const pair = (low: number, high: number) => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  switch (imm.kind) {
    case 'value':
      return BigInt.asUintN(64, imm.value);
    case 'map_fd':
      return pair(imm.fd, 0);
    case 'map_value':
      return pair(imm.fd, imm.off);
    case 'map_idx':
      return pair(imm.idx, 0);
    case 'map_idx_value':
      return pair(imm.idx, imm.off);
    case 'btf_id':
      return pair(imm.id, imm.btfFd);
    case 'func':
      return pair(imm.off, 0);
    default:
      return unreachable(imm);
  }
}

/** The instruction without its opcode. */
export function kernelText(insn: Insn, names: KernelNames = {}): string {
  const decimal = (value: number) => String(value);
  const hex = (value: number) => `0x${(value >>> 0).toString(16)}`;
  switch (insn.kind) {
    case 'alu':
      return `${reg(insn.width, insn.dst)} ${ALU[insn.op].symbol} ${operand(insn.width, insn.src, decimal)}`;
    case 'neg':
      return `${reg(insn.width, insn.dst)} = -${reg(insn.width, insn.dst)}`;
    case 'movsx':
      return `${reg(insn.width, insn.dst)} = (s${insn.bits})${reg(insn.width, insn.src)}`;
    case 'addr_space_cast':
      return `r${insn.dst} = addr_space_cast(r${insn.src}, ${insn.dstAs}, ${insn.srcAs})`;
    case 'endian':
      return `r${insn.dst} = ${insn.order}${insn.bits} r${insn.dst}`;
    case 'ja':
      return `${insn.wide ? 'gotol' : 'goto'} pc${sign(insn.off)}`;
    case 'may_goto':
      return `may_goto pc${sign(insn.off)}`;
    case 'jmp': {
      const left = reg(insn.width, insn.dst);
      const right = operand(insn.width, insn.src, hex);
      return `if ${left} ${JMP[insn.op].symbol} ${right} goto pc${sign(insn.off)}`;
    }
    case 'call':
      return `call ${names.call?.(insn.target) ?? callName(insn.target)}`;
    case 'exit':
      return 'exit';
    case 'ldx':
      return `r${insn.dst} = ${memory(insn.size, insn.signed, insn.src, insn.off)}`;
    case 'st':
      return `${memory(insn.size, false, insn.dst, insn.off)} = ${insn.imm}`;
    case 'stx':
      return `${memory(insn.size, false, insn.dst, insn.off)} = r${insn.src}`;
    case 'atomic':
      return atomicText(insn);
    case 'load_acquire':
      return `r${insn.dst} = load_acquire((u${insn.size * 8} *)(r${insn.src} ${sign(insn.off)}))`;
    case 'store_release':
      return `store_release((u${insn.size * 8} *)(r${insn.dst} ${sign(insn.off)}), r${insn.src})`;
    case 'ldimm64':
      return `r${insn.dst} = ${names.imm64?.(insn.imm) ?? `0x${imm64Value(insn.imm).toString(16)}`}`;
    case 'ld_abs':
      return `r0 = *(u${insn.size * 8} *)skb[${insn.imm}]`;
    case 'ld_ind':
      return `r0 = *(u${insn.size * 8} *)skb[r${insn.src} + ${insn.imm}]`;
    default:
      return unreachable(insn);
  }
}

function atomicText(insn: Insn & { kind: 'atomic' }): string {
  const place = `(u${insn.size * 8} *)(r${insn.dst} ${sign(insn.off)})`;
  const prefix = insn.size === 8 ? 'atomic64' : 'atomic';
  if (insn.op === 'cmpxchg') return `r0 = ${prefix}_cmpxchg(${place}, r0, r${insn.src})`;
  if (insn.op === 'xchg') return `r${insn.src} = ${prefix}_xchg(${place}, r${insn.src})`;
  if (insn.fetch) return `r${insn.src} = ${prefix}_fetch_${insn.op}(${place}, r${insn.src})`;
  return `lock *${place} ${ALU[insn.op].symbol} r${insn.src}`;
}

/** The instruction as the log shows it, opcode first: `(b7) r0 = 0`. */
export function kernelInsn(insn: Insn, names: KernelNames = {}): string {
  const code = encodeSlots(insn)[0]!.code;
  return `(${code.toString(16).padStart(2, '0')}) ${kernelText(insn, names)}`;
}
