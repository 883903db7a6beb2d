/** Random valid instructions, for properties. */
import fc from 'fast-check';
import type { Insn } from '../../src/isa/index.ts';
import { ALU_OPS, JMP_OPS } from '../../src/isa/opcodes.ts';

const reg = fc.nat(10) as fc.Arbitrary<0 | 1>;
const off = fc.integer({ min: -0x8000, max: 0x7fff });
const imm = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const u32 = fc.nat(2 ** 32 - 1);
const width = fc.constantFrom(32 as const, 64 as const);
const size = fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const);
const operand = fc.oneof(
  fc.record({ kind: fc.constant('reg' as const), reg }),
  fc.record({ kind: fc.constant('imm' as const), imm }),
);
const kind = <K extends string>(name: K) => fc.constant(name);

/** Any valid instruction. */
export const anyInsn: fc.Arbitrary<Insn> = fc.oneof(
  fc.record({
    kind: kind('alu'),
    op: fc.constantFrom(...ALU_OPS),
    width,
    dst: reg,
    src: operand,
  }),
  fc.record({ kind: kind('neg'), width, dst: reg }),
  fc.record({
    kind: kind('movsx'),
    width: fc.constant(64 as const),
    bits: fc.constantFrom(8 as const, 16 as const, 32 as const),
    dst: reg,
    src: reg,
  }),
  fc.record({
    kind: kind('movsx'),
    width,
    bits: fc.constantFrom(8 as const, 16 as const),
    dst: reg,
    src: reg,
  }),
  fc.constantFrom([0, 1], [1, 0]).chain(([dstAs, srcAs]) =>
    fc.record({
      kind: kind('addr_space_cast'),
      dst: reg,
      src: reg,
      dstAs: fc.constant(dstAs!),
      srcAs: fc.constant(srcAs!),
    }),
  ),
  fc.record({
    kind: kind('endian'),
    order: fc.constantFrom('le' as const, 'be' as const, 'bswap' as const),
    bits: fc.constantFrom(16 as const, 32 as const, 64 as const),
    dst: reg,
  }),
  fc.record({ kind: kind('ja'), wide: fc.constant(false), off }),
  fc.record({ kind: kind('ja'), wide: fc.constant(true), off: imm }),
  fc.record({
    kind: kind('jmp'),
    op: fc.constantFrom(...JMP_OPS),
    width,
    dst: reg,
    src: operand,
    off,
  }),
  fc.record({ kind: kind('may_goto'), off }),
  fc.record({
    kind: kind('call'),
    target: fc.oneof(
      fc.record({ kind: kind('helper'), id: imm }),
      fc.record({ kind: kind('local'), off: imm }),
      fc.record({ kind: kind('kfunc'), btfId: u32, fdIdx: off }),
      fc.record({ kind: kind('reg'), reg }),
    ),
  }),
  fc.record({ kind: kind('exit') }),
  fc.record({ kind: kind('ldx'), size, signed: fc.constant(false), dst: reg, src: reg, off }),
  fc.record({
    kind: kind('ldx'),
    size: fc.constantFrom(1 as const, 2 as const, 4 as const),
    signed: fc.constant(true),
    dst: reg,
    src: reg,
    off,
  }),
  fc.record({ kind: kind('st'), size, dst: reg, off, imm }),
  fc.record({ kind: kind('stx'), size, dst: reg, off, src: reg }),
  fc.record({
    kind: kind('atomic'),
    op: fc.constantFrom('add' as const, 'or' as const, 'and' as const, 'xor' as const),
    fetch: fc.boolean(),
    size: fc.constantFrom(4 as const, 8 as const),
    dst: reg,
    off,
    src: reg,
  }),
  fc.record({
    kind: kind('atomic'),
    op: fc.constantFrom('xchg' as const, 'cmpxchg' as const),
    fetch: fc.constant(true),
    size: fc.constantFrom(4 as const, 8 as const),
    dst: reg,
    off,
    src: reg,
  }),
  fc.record({ kind: kind('load_acquire'), size, dst: reg, src: reg, off }),
  fc.record({ kind: kind('store_release'), size, dst: reg, off, src: reg }),
  fc.record({
    kind: kind('ldimm64'),
    dst: reg,
    imm: fc.oneof(
      fc.record({ kind: kind('value'), value: fc.bigInt(0n, 2n ** 64n - 1n) }),
      fc.record({ kind: kind('map_fd'), fd: imm }),
      fc.record({ kind: kind('map_value'), fd: imm, off: u32 }),
      fc.record({ kind: kind('btf_id'), id: u32, btfFd: imm }),
      fc.record({ kind: kind('func'), off: imm }),
      fc.record({ kind: kind('map_idx'), idx: imm }),
      fc.record({ kind: kind('map_idx_value'), idx: imm, off: u32 }),
    ),
  }),
  fc.record({ kind: kind('ld_abs'), size: fc.constantFrom(1 as const, 2 as const, 4 as const), imm }),
  fc.record({
    kind: kind('ld_ind'),
    size: fc.constantFrom(1 as const, 2 as const, 4 as const),
    src: reg,
    imm,
  }),
);
