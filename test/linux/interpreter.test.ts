/** Straight-line and branching programs over edge values: the interpreter computes what Linux computes. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { encode, type Insn, type Reg } from '../../src/isa/index.ts';
import { createKernel } from '../../src/kernel/index.ts';
import type { Kernel } from '../../src/sys/index.ts';
import { needsLinux, theLinux } from './support.ts';

const REGS = [0, 1, 2, 3, 4] as const;
const reg = fc.constantFrom<Reg>(...REGS);
const width = fc.constantFrom(32 as const, 64 as const);
const size = fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const);
const slot = fc.constantFrom(-8, -16, -24, -32);
const imm = fc.oneof(
  fc.constantFrom(0, 1, -1, 2, 31, 63, 0x7fff_ffff, -0x8000_0000),
  fc.integer({ min: -1000, max: 1000 }),
);
const value = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 31n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 1n << 63n, (1n << 64n) - 1n),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);
const operand = fc.oneof(
  reg.map((reg) => ({ kind: 'reg', reg }) as const),
  imm.map((imm) => ({ kind: 'imm', imm }) as const),
);

/** Constants that Linux refuses are made ones that it takes. */
function allowed(insn: Extract<Insn, { kind: 'alu' }>): Insn {
  if (insn.src.kind === 'reg') return insn;
  const { imm } = insn.src;
  const shift = insn.op === 'lsh' || insn.op === 'rsh' || insn.op === 'arsh';
  if (shift) return { ...insn, src: { kind: 'imm', imm: imm & (insn.width - 1) } };
  return imm === 0 ? { ...insn, src: { kind: 'imm', imm: 3 } } : insn;
}

const insn: fc.Arbitrary<Insn> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .record({
        kind: fc.constant('alu' as const),
        op: fc.constantFrom(
          ...([
            'add',
            'sub',
            'mul',
            'div',
            'or',
            'and',
            'lsh',
            'rsh',
            'mod',
            'xor',
            'mov',
            'arsh',
            'sdiv',
            'smod',
          ] as const),
        ),
        width,
        dst: reg,
        src: operand,
      })
      .map(allowed),
  },
  fc.record({ kind: fc.constant('neg' as const), width, dst: reg }),
  fc.record({
    kind: fc.constant('movsx' as const),
    width: fc.constant(64 as const),
    bits: fc.constantFrom(8 as const, 16 as const, 32 as const),
    dst: reg,
    src: reg,
  }),
  fc.record({
    kind: fc.constant('endian' as const),
    order: fc.constantFrom('le' as const, 'be' as const, 'bswap' as const),
    bits: fc.constantFrom(16 as const, 32 as const, 64 as const),
    dst: reg,
  }),
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('jmp' as const),
      op: fc.constantFrom(
        ...(['jeq', 'jgt', 'jge', 'jset', 'jne', 'jsgt', 'jsge', 'jlt', 'jle', 'jslt', 'jsle'] as const),
      ),
      width,
      dst: reg,
      src: operand,
      off: fc.constant(1),
    }),
  },
  fc.record({ kind: fc.constant('stx' as const), size, dst: fc.constant<Reg>(10), off: slot, src: reg }),
  fc
    .record({
      kind: fc.constant('ldx' as const),
      size,
      signed: fc.boolean(),
      dst: reg,
      src: fc.constant<Reg>(10),
      off: slot,
    })
    .map((load) => ({ ...load, signed: load.signed && load.size < 8 })),
  fc
    .record({
      kind: fc.constant('atomic' as const),
      op: fc.constantFrom(
        'add' as const,
        'or' as const,
        'and' as const,
        'xor' as const,
        'xchg' as const,
        'cmpxchg' as const,
      ),
      fetch: fc.boolean(),
      size: fc.constantFrom(4 as const, 8 as const),
      dst: fc.constant<Reg>(10),
      off: slot,
      src: reg,
    })
    .map((atomic) => ({ ...atomic, fetch: atomic.fetch || atomic.op === 'xchg' || atomic.op === 'cmpxchg' })),
);

const mix = (from: Reg): Insn[] => [
  { kind: 'alu', op: 'mul', width: 64, dst: 0, src: { kind: 'imm', imm: 31 } },
  { kind: 'alu', op: 'xor', width: 64, dst: 0, src: { kind: 'reg', reg: from } },
];

/** Fills registers and stack, runs the body, and folds all of them into the 32 bits that come back. */
function program(values: readonly bigint[], body: readonly Insn[]): Uint8Array {
  const insns: Insn[] = [
    ...REGS.map((dst): Insn => ({ kind: 'ldimm64', dst, imm: { kind: 'value', value: values[dst]! } })),
    ...([0, 1, 2, 3] as const).map(
      (src): Insn => ({ kind: 'stx', size: 8, dst: 10, off: -8 * (src + 1), src }),
    ),
    ...body,
    // What a last branch jumps over.
    { kind: 'alu', op: 'add', width: 64, dst: 0, src: { kind: 'imm', imm: 0 } },
    ...mix(1),
    ...mix(2),
    ...mix(3),
    ...mix(4),
  ];
  for (const off of [-8, -16, -24, -32]) {
    insns.push({ kind: 'ldx', size: 8, signed: false, dst: 1, src: 10, off }, ...mix(1));
  }
  insns.push(
    { kind: 'alu', op: 'mov', width: 64, dst: 1, src: { kind: 'reg', reg: 0 } },
    { kind: 'alu', op: 'rsh', width: 64, dst: 1, src: { kind: 'imm', imm: 32 } },
    { kind: 'alu', op: 'xor', width: 64, dst: 0, src: { kind: 'reg', reg: 1 } },
    { kind: 'exit' },
  );
  return encode(insns);
}

function run(kernel: Kernel, insns: Uint8Array): number {
  const { fd } = kernel.bpf.prog_load({ prog_type: 'xdp', insns, license: 'GPL' });
  try {
    return kernel.bpf.prog_test_run({ prog_fd: fd, data_in: new Uint8Array(60), data_size_out: 0 }).retval;
  } finally {
    kernel.closeFd(fd);
  }
}

needsLinux('the interpreter', () => {
  it('computes what Linux computes', () => {
    const embedded = createKernel();
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 5, maxLength: 5 }),
        fc.array(insn, { maxLength: 40 }),
        (values, body) => {
          const insns = program(values, body);
          expect(run(embedded, insns)).toBe(run(theLinux(), insns));
        },
      ),
      { numRuns: 500 },
    );
  });
});
