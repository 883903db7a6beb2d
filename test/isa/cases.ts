/**
 * The project's own instruction cases, generated from the opcode table: every operation, width, operand and size on
 * edge values. A case is a few instructions between a load and a store of a state (r0, r2, r3 and 16 bytes of memory); a
 * program runs them over many states in a row, each read from memory, so that no verifier knows the values.
 *
 * Not here, since they need more than registers and memory: packet loads, address space casts, calls of helpers and
 * kernel functions, 64-bit loads of anything but a value, calls through a register.
 */
import {
  encode,
  type Insn,
  type Operand,
  type Reg,
  type Size,
  slots,
  type Width,
} from '../../src/isa/index.ts';
import {
  ALU_OPS,
  ATOMIC,
  ATOMIC_OPS,
  ENDIAN_BITS,
  ENDIAN_ORDERS,
  JMP_OPS,
  MOVSX_BITS,
  SIZES,
  WIDTHS,
} from '../../src/isa/opcodes.ts';

/** Where an instance of a case stands. */
export interface Place {
  /** Offset of the state's 16 bytes of memory from r6. */
  readonly cell: number;
  /** The `off` of a local call that is the body's instruction number `slot`, to the subprogram `r0 = r2 - r3`. */
  readonly call: (slot: number) => number;
}

export interface InsnCase {
  readonly name: string;
  /** May use r0, r2, r3, r4, r5 and the stack; r6 is the memory. */
  readonly body: (place: Place) => readonly Insn[];
  /** Whether r3 matters: if not, a third of the states does. */
  readonly pairs: boolean;
  /** Whether the stack or the cell's content matters. */
  readonly memory: boolean;
  /** Why Linux's verifier refuses it; absent where Linux runs it. */
  readonly refused?: string;
  /** The same with the immediate in r3: it must do the same. */
  readonly asRegister?: (place: Place) => readonly Insn[];
}

/** Values of registers: zero, one, all ones, sign boundaries, shift amounts in and out of range, patterns. */
export const EDGES: readonly bigint[] = [
  0n,
  1n,
  2n,
  7n,
  31n,
  32n,
  63n,
  64n,
  0x7fffn,
  0x8000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x0123_4567_89ab_cdefn,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0xfedc_ba98_7654_3210n,
  0xffff_ffff_8000_0000n,
  0xffff_ffff_ffff_fff9n,
  0xffff_ffff_ffff_ffffn,
];

/** The same for immediates. */
export const IMM_EDGES: readonly number[] = [
  0, 1, 2, 7, 16, 31, 32, 33, 63, 64, 0x7fff, 0x7fff_ffff, -0x8000_0000, -0x8000, -7, -1,
];

const SHIFTS: readonly string[] = ['lsh', 'rsh', 'arsh'];
const DIVISIONS: readonly string[] = ['div', 'mod', 'sdiv', 'smod'];

const reg = (reg: Reg): Operand => ({ kind: 'reg', reg });
const imm = (imm: number): Operand => ({ kind: 'imm', imm });
const mov = (dst: Reg, src: Operand): Insn => ({ kind: 'alu', op: 'mov', width: 64, dst, src });
const ja = (off: number, wide = false): Insn => ({ kind: 'ja', wide, off });
const ldx = (size: Size, dst: Reg, src: Reg, off: number): Insn => ({
  kind: 'ldx',
  size,
  signed: false,
  dst,
  src,
  off,
});
const stx = (size: Size, dst: Reg, off: number, src: Reg): Insn => ({ kind: 'stx', size, dst, off, src });

function alu(): readonly InsnCase[] {
  return ALU_OPS.flatMap((op) =>
    WIDTHS.flatMap((width): readonly InsnCase[] => {
      const apply = (src: Operand): Insn => ({ kind: 'alu', op, width, dst: 2, src });
      const name = `${op}${width}`;
      const immediate = IMM_EDGES.map((value): InsnCase => {
        const refused = refusal(op, width, value);
        return {
          name: `${name} imm ${value}`,
          body: () => [apply(imm(value)), mov(3, imm(value))],
          asRegister: () => [mov(3, imm(value)), apply(reg(3))],
          pairs: false,
          memory: false,
          ...(refused === undefined ? {} : { refused }),
        };
      });
      return [
        { name: `${name} reg`, body: () => [apply(reg(3))], pairs: true, memory: false },
        { name: `${name} same reg`, body: () => [apply(reg(2))], pairs: false, memory: false },
        ...immediate,
      ];
    }),
  );
}

function refusal(op: string, width: Width, value: number): string | undefined {
  if (SHIFTS.includes(op) && (value < 0 || value >= width)) return `invalid shift ${value}`;
  if (DIVISIONS.includes(op) && value === 0) return 'div by zero';
  return undefined;
}

function unary(): readonly InsnCase[] {
  const single = (name: string, ...insns: readonly Insn[]): InsnCase => ({
    name,
    body: () => insns,
    pairs: false,
    memory: false,
  });
  return [
    ...WIDTHS.map((width) => single(`neg${width}`, { kind: 'neg', width, dst: 2 })),
    ...WIDTHS.flatMap((width) =>
      MOVSX_BITS[width].flatMap((bits) => [
        single(`movsx${bits}${width}`, { kind: 'movsx', width, bits, dst: 0, src: 2 }),
        single(`movsx${bits}${width} same reg`, { kind: 'movsx', width, bits, dst: 2, src: 2 }),
      ]),
    ),
    ...ENDIAN_ORDERS.flatMap((order) =>
      ENDIAN_BITS.map((bits) => single(`${order}${bits}`, { kind: 'endian', order, bits, dst: 2 })),
    ),
    ...EDGES.map((value) =>
      single(`ldimm64 ${value}`, { kind: 'ldimm64', dst: 2, imm: { kind: 'value', value } }),
    ),
  ];
}

/** Jumps forward and back, taken and not: r0 says which way it went. */
function jumps(): readonly InsnCase[] {
  return JMP_OPS.flatMap((op) =>
    WIDTHS.flatMap((width): readonly InsnCase[] => {
      const jump = (src: Operand, off: number): Insn => ({ kind: 'jmp', op, width, dst: 2, src, off });
      const forward = (src: Operand) => [mov(0, imm(1)), jump(src, 1), mov(0, imm(2))];
      const back = (src: Operand) => [
        mov(0, imm(1)),
        ja(2),
        mov(0, imm(3)),
        ja(1),
        jump(src, -3),
        mov(4, imm(0)),
      ];
      const name = `${op}${width}`;
      const both = (operand: string, src: Operand, before: readonly Insn[]) => [
        { name: `${name} ${operand}`, body: () => [...before, ...forward(src)] },
        { name: `${name} back ${operand}`, body: () => [...before, ...back(src)] },
      ];
      return [
        ...both('reg', reg(3), []).map((one) => ({ ...one, pairs: true, memory: false })),
        ...both('same reg', reg(2), []).map((one) => ({ ...one, pairs: false, memory: false })),
        ...IMM_EDGES.flatMap((value) => {
          const same = mov(3, imm(value));
          const registers = both('', reg(3), [same]);
          return both(`imm ${value}`, imm(value), [same]).map((one, i) => ({
            ...one,
            asRegister: registers[i]!.body,
            pairs: false,
            memory: false,
          }));
        }),
      ];
    }),
  );
}

function unconditional(): readonly InsnCase[] {
  const single = (name: string, body: InsnCase['body']): InsnCase => ({
    name,
    body,
    pairs: false,
    memory: false,
  });
  return [
    ...[false, true].flatMap((wide) => [
      // What is jumped over can be reached otherwise: Linux refuses instructions that nothing reaches.
      single(`ja${wide ? 32 : ''}`, () => [
        mov(0, imm(1)),
        { kind: 'jmp', op: 'jeq', width: 64, dst: 2, src: imm(0), off: 1 },
        ja(1, wide),
        mov(0, imm(2)),
      ]),
      single(`ja${wide ? 32 : ''} back`, () => [
        mov(0, imm(1)),
        ja(2, wide),
        mov(0, imm(3)),
        ja(1, wide),
        ja(-3, wide),
      ]),
    ]),
    single('loop', () => [
      mov(0, imm(0)),
      mov(4, imm(5)),
      { kind: 'alu', op: 'add', width: 64, dst: 0, src: reg(2) },
      { kind: 'alu', op: 'sub', width: 64, dst: 4, src: imm(1) },
      { kind: 'jmp', op: 'jne', width: 64, dst: 4, src: imm(0), off: -3 },
    ]),
    single('may_goto', () => [mov(0, imm(1)), { kind: 'may_goto', off: 1 }, mov(0, imm(2))]),
    {
      name: 'call local',
      body: (place) => [
        { kind: 'call', target: { kind: 'local', off: place.call(0) } },
        mov(2, imm(0)),
        mov(3, imm(0)),
      ],
      pairs: true,
      memory: false,
    },
  ];
}

function memory(): readonly InsnCase[] {
  const cases: InsnCase[] = [];
  const add = (name: string, body: InsnCase['body'], pairs = false) =>
    cases.push({ name, body, pairs, memory: true });
  for (const size of SIZES) {
    for (const off of new Set([0, 1, 8 - size])) {
      add(`ldx${size} +${off}`, ({ cell }) => [ldx(size, 2, 6, cell + off)]);
      if (size !== 8) {
        add(`ldxs${size} +${off}`, ({ cell }) => [
          { kind: 'ldx', size, signed: true, dst: 2, src: 6, off: cell + off },
        ]);
      }
      add(`stx${size} +${off}`, ({ cell }) => [stx(size, 6, cell + off, 2)]);
      // Unlike a packet, the stack wants aligned accesses.
      if (off % size !== 0) continue;
      add(`stx${size} stack -${16 - off}`, ({ cell }) => [
        ...toStack(cell),
        stx(size, 10, off - 16, 2),
        ...fromStack(cell),
      ]);
    }
    for (const value of IMM_EDGES) {
      add(`st${size} imm ${value}`, ({ cell }) => [{ kind: 'st', size, dst: 6, off: cell + 1, imm: value }]);
    }
    for (const off of new Set([0, 8 - size])) {
      add(`load_acquire${size} +${off}`, ({ cell }) => [
        ...toStack(cell),
        { kind: 'load_acquire', size, dst: 2, src: 10, off: off - 16 },
      ]);
      add(`store_release${size} +${off}`, ({ cell }) => [
        ...toStack(cell),
        { kind: 'store_release', size, dst: 10, off: off - 16, src: 2 },
        ...fromStack(cell),
      ]);
    }
  }
  return cases;
}

/** Copies the cell to the stack at r10-16, through r4. Atomics work there, not on packets. */
function toStack(cell: number): readonly Insn[] {
  return [ldx(8, 4, 6, cell), stx(8, 10, -16, 4), ldx(8, 4, 6, cell + 8), stx(8, 10, -8, 4)];
}

function fromStack(cell: number): readonly Insn[] {
  return [ldx(8, 4, 10, -16), stx(8, 6, cell, 4), ldx(8, 4, 10, -8), stx(8, 6, cell + 8, 4)];
}

function atomics(): readonly InsnCase[] {
  return ATOMIC_OPS.flatMap((op) =>
    ([4, 8] as const).flatMap((size) =>
      (ATOMIC[op].fetches ? [true] : [false, true]).flatMap((fetch) =>
        [...new Set([0, 8 - size])].map(
          (off): InsnCase => ({
            name: `${fetch ? 'fetch ' : ''}${op}${size * 8} +${off}`,
            body: ({ cell }) => [
              ...toStack(cell),
              { kind: 'atomic', op, fetch, size, dst: 10, off: off - 16, src: 2 },
              ...fromStack(cell),
            ],
            pairs: true,
            memory: true,
          }),
        ),
      ),
    ),
  );
}

/** Every case, by kind. */
export const CASES: readonly InsnCase[] = [
  ...alu(),
  ...unary(),
  ...jumps(),
  ...unconditional(),
  ...memory(),
  ...atomics(),
];

/** r0, r2, r3 and 16 bytes. */
export const STATE_BYTES = 40;
/** States of one program: an XDP test packet has room for some 3,500 bytes. */
export const STATES = 72;

/** The states that a case is run over, in blocks of at most `STATES` that a program takes at once. */
export function stateBlocks(one: InsnCase): readonly Uint8Array[] {
  const states: (readonly bigint[])[] = [];
  for (const [i, a] of EDGES.entries()) {
    for (const [j, b] of EDGES.entries()) {
      if (!one.pairs && !one.memory && j > 0) break;
      // A memory case without a pair still wants its register and its cell to differ: every third of the pairs.
      if (!one.pairs && one.memory && (i + j) % 3 !== 0) continue;
      // r0 is what cmpxchg compares with: equal to the cell in one state of two.
      states.push([(i + j) % 2 === 0 ? b : a, a, b, b, EDGES[(i * 5 + j * 3) % EDGES.length]!]);
    }
  }
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < states.length; at += STATES) {
    const block = states.slice(at, at + STATES);
    blocks.push(new Uint8Array(BigUint64Array.from(block.flat()).buffer));
  }
  return blocks;
}

function count(insns: readonly Insn[]): number {
  return insns.reduce((sum, insn) => sum + slots(insn), 0);
}

/**
 * The program that runs a case over `states` states.
 *
 * @param prologue puts the memory's address into r6
 * @param body the case's own or its register form
 */
export function caseProgram(body: InsnCase['body'], states: number, prologue: readonly Insn[]): Uint8Array {
  const place = (base: number, call: Place['call']) => {
    const off = base * STATE_BYTES;
    return [
      ldx(8, 0, 6, off),
      ldx(8, 2, 6, off + 8),
      ldx(8, 3, 6, off + 16),
      ...body({ cell: off + 24, call }),
      stx(8, 6, off, 0),
      stx(8, 6, off + 8, 2),
      stx(8, 6, off + 16, 3),
    ];
  };
  const stateSlots = count(place(0, () => 0));
  const end = count(prologue) + states * stateSlots + 2;
  const insns: Insn[] = [...prologue];
  let calls = false;
  for (let i = 0; i < states; i++) {
    const start = count(prologue) + i * stateSlots + 3;
    insns.push(
      ...place(i, (slot) => {
        calls = true;
        return end - (start + slot) - 1;
      }),
    );
  }
  insns.push(mov(0, imm(0)), { kind: 'exit' });
  // A subprogram that nothing calls is unreachable, which Linux refuses.
  if (calls) {
    insns.push(mov(0, reg(2)), { kind: 'alu', op: 'sub', width: 64, dst: 0, src: reg(3) }, { kind: 'exit' });
  }
  return encode(insns);
}

/** The difference of two runs of a block, as text, or `undefined` when they agree. */
export function difference(block: Uint8Array, left: Uint8Array, right: Uint8Array): string | undefined {
  const view = (bytes: Uint8Array) => new BigUint64Array(bytes.slice().buffer);
  const [before, a, b] = [view(block), view(left), view(right)];
  const words = STATE_BYTES / 8;
  for (let at = 0; at < before.length; at += words) {
    const part = (all: BigUint64Array) => [...all.subarray(at, at + words)].map((v) => `0x${v.toString(16)}`);
    const [x, y] = [part(a).join(' '), part(b).join(' ')];
    if (x !== y) return `r0 r2 r3 memory ${part(before).join(' ')}: ${x} against ${y}`;
  }
  return undefined;
}
