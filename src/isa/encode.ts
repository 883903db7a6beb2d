/**
 * Instructions to bytes. Checks that every value fits its field and names the one that does not; whether the
 * instruction makes sense where it stands is the verifier's question.
 */
import { InputError, unreachable } from '../base/error.ts';
import { type Insn, type Operand, slots } from './insn.ts';
import {
  ADDR_SPACE_CAST_OFF,
  ALU,
  ATOMIC,
  CALL_CODE,
  CALL_SRC,
  CLASS,
  END_CODE,
  ENDIAN,
  EXIT_CODE,
  FETCH,
  IMM64,
  JA_CODE,
  JCOND_CODE,
  JMP,
  LOAD_ACQUIRE,
  MAX_REG,
  MODE,
  MOVSX_BITS,
  NEG_CODE,
  SIZE,
  SOURCE,
  STORE_RELEASE,
} from './opcodes.ts';
import { SLOT_SIZE, type Slot, writeSlot } from './slot.ts';

type Fields = Partial<Slot> & { readonly code: number };

/** Bytes of one instruction or of several in a row. @throws InputError `isa-encode` when a value does not fit its field */
export function encode(insns: Insn | readonly Insn[], littleEndian = true): Uint8Array {
  const list: readonly Insn[] = 'kind' in insns ? [insns] : insns;
  let count = 0;
  for (const insn of list) count += slots(insn);
  const bytes = new Uint8Array(count * SLOT_SIZE);
  let idx = 0;
  for (const insn of list) {
    for (const slot of encodeSlots(insn)) writeSlot(bytes, idx++, slot, littleEndian);
  }
  return bytes;
}

/** The slots of an instruction: two for a 64-bit immediate load, else one. @throws InputError `isa-encode` */
export function encodeSlots(insn: Insn): readonly Slot[] {
  if (insn.kind === 'ldimm64') return encodeImm64(insn);
  return [checked(insn, fields(insn))];
}

function operand(src: Operand): { readonly source: number; readonly src: number; readonly imm: number } {
  return src.kind === 'reg'
    ? { source: SOURCE.reg, src: src.reg, imm: 0 }
    : { source: SOURCE.imm, src: 0, imm: src.imm };
}

function fields(insn: Exclude<Insn, { kind: 'ldimm64' }>): Fields {
  switch (insn.kind) {
    case 'alu': {
      const { code, off } = ALU[insn.op];
      const { source, src, imm } = operand(insn.src);
      return { code: code | source | aluClass(insn.width), dst: insn.dst, src, off, imm };
    }
    case 'neg':
      return { code: NEG_CODE | aluClass(insn.width), dst: insn.dst };
    case 'movsx': {
      const allowed: readonly number[] = MOVSX_BITS[insn.width];
      if (!allowed.includes(insn.bits)) {
        refuse(insn, `can extend from ${allowed.join(', ')} bits to ${insn.width}, not from ${insn.bits}`);
      }
      const code = ALU.mov.code | SOURCE.reg | aluClass(insn.width);
      return { code, dst: insn.dst, src: insn.src, off: insn.bits };
    }
    case 'addr_space_cast': {
      for (const as of [insn.dstAs, insn.srcAs]) checkRange(insn, 'address space', as, 0, 0xffff);
      return {
        code: ALU.mov.code | SOURCE.reg | CLASS.alu64,
        dst: insn.dst,
        src: insn.src,
        off: ADDR_SPACE_CAST_OFF,
        imm: (insn.dstAs << 16) | insn.srcAs,
      };
    }
    case 'endian': {
      const fact = ENDIAN[insn.order];
      return { code: END_CODE | fact.source | fact.class, dst: insn.dst, imm: insn.bits };
    }
    case 'ja':
      return insn.wide
        ? { code: JA_CODE | CLASS.jmp32, imm: insn.off }
        : { code: JA_CODE | CLASS.jmp, off: insn.off };
    case 'jmp': {
      const { source, src, imm } = operand(insn.src);
      const cls = insn.width === 32 ? CLASS.jmp32 : CLASS.jmp;
      return { code: JMP[insn.op].code | source | cls, dst: insn.dst, src, off: insn.off, imm };
    }
    case 'may_goto':
      return { code: JCOND_CODE | CLASS.jmp, off: insn.off };
    case 'call': {
      const { target } = insn;
      const code = CALL_CODE | CLASS.jmp;
      switch (target.kind) {
        case 'helper':
          return { code, src: CALL_SRC.helper, imm: target.id };
        case 'local':
          return { code, src: CALL_SRC.local, imm: target.off };
        case 'kfunc':
          return { code, src: CALL_SRC.kfunc, off: target.fdIdx, imm: u32(insn, 'BTF id', target.btfId) };
        case 'reg':
          return { code: code | SOURCE.reg, dst: target.reg };
        default:
          return unreachable(target);
      }
    }
    case 'exit':
      return { code: EXIT_CODE | CLASS.jmp };
    case 'ldx': {
      if (insn.signed && insn.size === 8) refuse(insn, 'has no sign-extending form of 8 bytes');
      const mode = insn.signed ? MODE.memsx : MODE.mem;
      const { dst, src, off } = insn;
      return { code: mode | SIZE[insn.size].code | CLASS.ldx, dst, src, off };
    }
    case 'st': {
      const { dst, off, imm } = insn;
      return { code: MODE.mem | SIZE[insn.size].code | CLASS.st, dst, off, imm };
    }
    case 'stx': {
      const { dst, off, src } = insn;
      return { code: MODE.mem | SIZE[insn.size].code | CLASS.stx, dst, off, src };
    }
    case 'atomic': {
      const fact = ATOMIC[insn.op];
      if (fact.fetches && !insn.fetch) refuse(insn, `${insn.op} always fetches`);
      const { dst, off, src } = insn;
      const imm = fact.imm | (insn.fetch ? FETCH : 0);
      return { code: MODE.atomic | SIZE[insn.size].code | CLASS.stx, dst, off, src, imm };
    }
    case 'load_acquire':
    case 'store_release': {
      const imm = insn.kind === 'load_acquire' ? LOAD_ACQUIRE : STORE_RELEASE;
      const { dst, off, src } = insn;
      return { code: MODE.atomic | SIZE[insn.size].code | CLASS.stx, dst, off, src, imm };
    }
    case 'ld_abs':
      return { code: MODE.abs | SIZE[insn.size].code | CLASS.ld, imm: insn.imm };
    case 'ld_ind':
      return { code: MODE.ind | SIZE[insn.size].code | CLASS.ld, src: insn.src, imm: insn.imm };
    default:
      return unreachable(insn);
  }
}

function aluClass(width: 32 | 64): number {
  return width === 32 ? CLASS.alu : CLASS.alu64;
}

function encodeImm64(insn: Extract<Insn, { kind: 'ldimm64' }>): readonly Slot[] {
  const { imm } = insn;
  let low: number;
  let high = 0;
  switch (imm.kind) {
    case 'value':
      if (BigInt.asUintN(64, imm.value) !== imm.value) {
        refuse(insn, `value ${imm.value} is not an unsigned 64-bit number`);
      }
      low = Number(BigInt.asIntN(32, imm.value));
      high = Number(BigInt.asIntN(32, imm.value >> 32n));
      break;
    case 'map_fd':
      low = imm.fd;
      break;
    case 'map_value':
      low = imm.fd;
      high = u32(insn, 'offset into the value', imm.off);
      break;
    case 'btf_id':
      low = u32(insn, 'BTF id', imm.id);
      high = imm.btfFd;
      break;
    case 'func':
      low = imm.off;
      break;
    case 'map_idx':
      low = imm.idx;
      break;
    case 'map_idx_value':
      low = imm.idx;
      high = u32(insn, 'offset into the value', imm.off);
      break;
    default:
      return unreachable(imm);
  }
  const code = MODE.imm | SIZE[8].code | CLASS.ld;
  return [
    checked(insn, { code, dst: insn.dst, src: IMM64[imm.kind].src, imm: low }),
    checked(insn, { code: 0, imm: high }),
  ];
}

/** An unsigned 32-bit value as the signed field that holds it. */
function u32(insn: Insn, what: string, value: number): number {
  checkRange(insn, what, value, 0, 0xffff_ffff);
  return value | 0;
}

function checked(insn: Insn, slot: Fields): Slot {
  const { code, dst = 0, src = 0, off = 0, imm = 0 } = slot;
  checkRange(insn, 'destination register', dst, 0, MAX_REG);
  checkRange(insn, 'source register', src, 0, MAX_REG);
  checkRange(insn, 'offset', off, -0x8000, 0x7fff);
  checkRange(insn, 'immediate', imm, -0x8000_0000, 0x7fff_ffff);
  return { code, dst, src, off, imm };
}

function checkRange(insn: Insn, what: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    refuse(insn, `${what} ${value} is not an integer from ${min} to ${max}`);
  }
}

function refuse(insn: Insn, why: string): never {
  throw new InputError('isa-encode', `encoding ${insn.kind}: ${why}`);
}
