/** Where an instruction comes from: the conformance group that RFC 9669 puts it in, and the first Linux that runs it. */
import { unreachable } from '../base/error.ts';
import type { Insn } from './insn.ts';
import { ALU, ATOMIC, ENDIAN, type Group, IMM64, JMP } from './opcodes.ts';

export interface Origin {
  /** `undefined` where the RFC does not have the instruction. */
  readonly group: Group | undefined;
  /** First Linux version, or `undefined` where none runs it. */
  readonly linux: string | undefined;
}

/** The oldest: before them there was no bpf(2). */
const FIRST = '3.18';

/** Instructions that share their operation's facts with another. Versions are those of the kernel that first took them. */
const LINUX = {
  movsx: '6.6',
  ldxs: '6.6',
  gotol: '6.6',
  may_goto: '6.9',
  addr_space_cast: '6.9',
  load_acquire: '6.15',
  store_release: '6.15',
  fetch: '5.12',
  call_local: '4.16',
  call_kfunc: '5.13',
} as const;

/** @see RFC 9669 §2.4 and Appendix A */
export function origin(insn: Insn): Origin {
  const half = 'width' in insn && insn.width === 64 ? 1 : 0;
  switch (insn.kind) {
    case 'alu':
      return { group: ALU[insn.op].groups[half], linux: ALU[insn.op].linux[half] };
    case 'neg':
      return { group: half === 1 ? 'base64' : 'base32', linux: FIRST };
    case 'movsx':
      return { group: half === 1 ? 'base64' : 'base32', linux: LINUX.movsx };
    case 'addr_space_cast':
      return { group: undefined, linux: LINUX.addr_space_cast };
    case 'endian':
      return { group: insn.bits === 64 ? 'base64' : 'base32', linux: ENDIAN[insn.order].linux };
    case 'ja':
      return { group: 'base32', linux: insn.wide ? LINUX.gotol : FIRST };
    case 'jmp':
      return { group: JMP[insn.op].groups[half], linux: JMP[insn.op].linux[half] };
    case 'may_goto':
      return { group: undefined, linux: LINUX.may_goto };
    case 'call':
      return callOrigin(insn);
    case 'exit':
      return { group: 'base32', linux: FIRST };
    case 'ldx':
      if (insn.signed) return { group: 'base64', linux: LINUX.ldxs };
      return { group: insn.size === 8 ? 'base64' : 'base32', linux: FIRST };
    case 'st':
    case 'stx':
      return { group: insn.size === 8 ? 'base64' : 'base32', linux: FIRST };
    case 'atomic':
      return {
        group: insn.size === 8 ? 'atomic64' : 'atomic32',
        linux: insn.fetch ? LINUX.fetch : ATOMIC[insn.op].linux,
      };
    case 'load_acquire':
    case 'store_release':
      return { group: undefined, linux: LINUX[insn.kind] };
    case 'ldimm64':
      return { group: 'base64', linux: IMM64[insn.imm.kind].linux };
    case 'ld_abs':
    case 'ld_ind':
      return { group: 'packet', linux: FIRST };
    default:
      return unreachable(insn);
  }
}

function callOrigin({ target }: Extract<Insn, { kind: 'call' }>): Origin {
  switch (target.kind) {
    case 'helper':
      return { group: 'base32', linux: FIRST };
    case 'local':
      return { group: 'base32', linux: LINUX.call_local };
    case 'kfunc':
      return { group: 'base32', linux: LINUX.call_kfunc };
    case 'reg':
      return { group: undefined, linux: undefined };
    default:
      return unreachable(target);
  }
}
