/** Which registers an instruction reads and writes: bit i is register i. */
import type { Insn, InsnKind, Operand, Reg } from '../../isa/index.ts';

type Mask = { readonly [K in InsnKind]: (insn: Extract<Insn, { kind: K }>) => number };

const bit = (reg: Reg): number => 1 << reg;
const operand = (src: Operand): number => (src.kind === 'reg' ? bit(src.reg) : 0);

const R0 = 1 << 0;
const R6 = 1 << 6;

/** A call's arguments are not among these: they depend on what is called. */
const READS: Mask = {
  alu: ({ op, dst, src }) => (op === 'mov' ? 0 : bit(dst)) | operand(src),
  neg: ({ dst }) => bit(dst),
  movsx: ({ src }) => bit(src),
  addr_space_cast: ({ src }) => bit(src),
  endian: ({ dst }) => bit(dst),
  ja: () => 0,
  jmp: ({ dst, src }) => bit(dst) | operand(src),
  may_goto: () => 0,
  call: ({ target }) => (target.kind === 'reg' ? bit(target.reg) : 0),
  exit: () => 0,
  ldx: ({ src }) => bit(src),
  st: ({ dst }) => bit(dst),
  stx: ({ dst, src }) => bit(dst) | bit(src),
  atomic: ({ op, dst, src }) => bit(dst) | bit(src) | (op === 'cmpxchg' ? R0 : 0),
  load_acquire: ({ src }) => bit(src),
  store_release: ({ dst, src }) => bit(dst) | bit(src),
  ldimm64: () => 0,
  ld_abs: () => R6,
  ld_ind: ({ src }) => R6 | bit(src),
};

/** A call's result is not among these: it is written when the callee returns. */
const WRITES: Mask = {
  alu: ({ dst }) => bit(dst),
  neg: ({ dst }) => bit(dst),
  movsx: ({ dst }) => bit(dst),
  addr_space_cast: ({ dst }) => bit(dst),
  endian: ({ dst }) => bit(dst),
  ja: () => 0,
  jmp: () => 0,
  may_goto: () => 0,
  call: () => 0,
  exit: () => 0,
  ldx: ({ dst }) => bit(dst),
  st: () => 0,
  stx: () => 0,
  atomic: ({ op, fetch, src }) => (op === 'cmpxchg' ? R0 : fetch ? bit(src) : 0),
  load_acquire: ({ dst }) => bit(dst),
  store_release: () => 0,
  ldimm64: ({ dst }) => bit(dst),
  ld_abs: () => R0,
  ld_ind: () => R0,
};

const look = (mask: Mask, insn: Insn): number => (mask[insn.kind] as (insn: Insn) => number)(insn);

export const reads = (insn: Insn): number => look(READS, insn);
export const writes = (insn: Insn): number => look(WRITES, insn);
