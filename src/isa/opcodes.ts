/**
 * The instruction set as facts: each operation once, with its code, its names in both notations and where it comes
 * from. Decoder, encoder, assemblers, disassemblers and the case generator read these tables; none has its own.
 *
 * An opcode byte is `operation | source | class` for arithmetic and jumps and `mode | size | class` for memory.
 *
 * @see RFC 9669 §3 to §5; include/uapi/linux/bpf.h and include/uapi/linux/bpf_common.h
 */
import type { AluOp, AtomicOp, Imm64, JmpOp, Size, Width } from './insn.ts';

/** Conformance groups. @see RFC 9669 §2.4 */
export type Group =
  | 'base32'
  | 'base64'
  | 'atomic32'
  | 'atomic64'
  | 'divmul32'
  | 'divmul64'
  | 'packet'
  | 'linux';

/** The instruction class: the low three bits of the opcode. @see RFC 9669 §3.2 */
export const CLASS = { ld: 0, ldx: 1, st: 2, stx: 3, alu: 4, jmp: 5, jmp32: 6, alu64: 7 } as const;
export const CLASS_MASK = 0x07;

/** Where the second operand of arithmetic and jumps comes from. @see RFC 9669 §4 */
export const SOURCE = { imm: 0x00, reg: 0x08 } as const;

/** Addressing modes of loads and stores. @see RFC 9669 §5 */
export const MODE = { imm: 0x00, abs: 0x20, ind: 0x40, mem: 0x60, memsx: 0x80, atomic: 0xc0 } as const;

export interface SizeFact {
  readonly code: number;
  /** Suffix of the mnemonic notation. */
  readonly suffix: 'b' | 'h' | 'w' | 'dw';
  /** Name of the C type that LLVM's notation casts with, without the sign. */
  readonly bits: 8 | 16 | 32 | 64;
}

/** Sizes of memory accesses, keyed by bytes. @see RFC 9669 §5 */
export const SIZE = {
  1: { code: 0x10, suffix: 'b', bits: 8 },
  2: { code: 0x08, suffix: 'h', bits: 16 },
  4: { code: 0x00, suffix: 'w', bits: 32 },
  8: { code: 0x18, suffix: 'dw', bits: 64 },
} as const satisfies Record<Size, SizeFact>;

export interface OpFact {
  /** The operation's bits of the opcode. */
  readonly code: number;
  /** The operator in LLVM's notation. */
  readonly symbol: string;
  /** Conformance group of the 32-bit and of the 64-bit form. */
  readonly groups: readonly [Group, Group];
  /** First Linux version of the 32-bit and of the 64-bit form. */
  readonly linux: readonly [string, string];
}

export interface AluFact extends OpFact {
  /** Value of the offset field, which tells signed from unsigned division. */
  readonly off: 0 | 1;
}

const base = ['base32', 'base64'] as const;
const divmul = ['divmul32', 'divmul64'] as const;
const first = ['3.18', '3.18'] as const;

/** Arithmetic with two operands. The mnemonic is the key. @see RFC 9669 §4.1 */
export const ALU = {
  add: { code: 0x00, off: 0, symbol: '+=', groups: base, linux: first },
  sub: { code: 0x10, off: 0, symbol: '-=', groups: base, linux: first },
  mul: { code: 0x20, off: 0, symbol: '*=', groups: divmul, linux: first },
  div: { code: 0x30, off: 0, symbol: '/=', groups: divmul, linux: first },
  sdiv: { code: 0x30, off: 1, symbol: 's/=', groups: divmul, linux: ['6.6', '6.6'] },
  or: { code: 0x40, off: 0, symbol: '|=', groups: base, linux: first },
  and: { code: 0x50, off: 0, symbol: '&=', groups: base, linux: first },
  lsh: { code: 0x60, off: 0, symbol: '<<=', groups: base, linux: first },
  rsh: { code: 0x70, off: 0, symbol: '>>=', groups: base, linux: first },
  mod: { code: 0x90, off: 0, symbol: '%=', groups: divmul, linux: first },
  smod: { code: 0x90, off: 1, symbol: 's%=', groups: divmul, linux: ['6.6', '6.6'] },
  xor: { code: 0xa0, off: 0, symbol: '^=', groups: base, linux: first },
  mov: { code: 0xb0, off: 0, symbol: '=', groups: base, linux: first },
  arsh: { code: 0xc0, off: 0, symbol: 's>>=', groups: base, linux: first },
} as const satisfies Record<AluOp, AluFact>;

/** Arithmetic codes that are instructions of their own kind. @see RFC 9669 §4.1, §4.2 */
export const NEG_CODE = 0x80;
export const END_CODE = 0xd0;

/** Value of the offset field of a register move that casts between address spaces. */
export const ADDR_SPACE_CAST_OFF = 1;

/** Widths that a sign-extending move extends from, by the width that it extends to. @see RFC 9669 §4.1 */
export const MOVSX_BITS = { 32: [8, 16], 64: [8, 16, 32] } as const satisfies Record<
  Width,
  readonly (8 | 16 | 32)[]
>;

export interface EndianFact {
  readonly class: number;
  readonly source: number;
  /** Mnemonics before the width: the first is printed, all are read. */
  readonly mnemonics: readonly string[];
  readonly linux: string;
}

/** Byte swaps, keyed by the name that LLVM's notation prints before the width. @see RFC 9669 §4.2 */
export const ENDIAN = {
  le: { class: CLASS.alu, source: SOURCE.imm, mnemonics: ['le'], linux: '3.18' },
  be: { class: CLASS.alu, source: SOURCE.reg, mnemonics: ['be'], linux: '3.18' },
  bswap: { class: CLASS.alu64, source: SOURCE.imm, mnemonics: ['swap', 'bswap'], linux: '6.6' },
} as const satisfies Record<'le' | 'be' | 'bswap', EndianFact>;

export const ENDIAN_BITS = [16, 32, 64] as const;

/** Conditional jumps. The mnemonic is the key. @see RFC 9669 §4.3 */
export const JMP = {
  jeq: { code: 0x10, symbol: '==', groups: base, linux: ['5.1', '3.18'] },
  jgt: { code: 0x20, symbol: '>', groups: base, linux: ['5.1', '3.18'] },
  jge: { code: 0x30, symbol: '>=', groups: base, linux: ['5.1', '3.18'] },
  jset: { code: 0x40, symbol: '&', groups: base, linux: ['5.1', '3.18'] },
  jne: { code: 0x50, symbol: '!=', groups: base, linux: ['5.1', '3.18'] },
  jsgt: { code: 0x60, symbol: 's>', groups: base, linux: ['5.1', '3.18'] },
  jsge: { code: 0x70, symbol: 's>=', groups: base, linux: ['5.1', '3.18'] },
  jlt: { code: 0xa0, symbol: '<', groups: base, linux: ['5.1', '4.14'] },
  jle: { code: 0xb0, symbol: '<=', groups: base, linux: ['5.1', '4.14'] },
  jslt: { code: 0xc0, symbol: 's<', groups: base, linux: ['5.1', '4.14'] },
  jsle: { code: 0xd0, symbol: 's<=', groups: base, linux: ['5.1', '4.14'] },
} as const satisfies Record<JmpOp, OpFact>;

/** Jump codes that are instructions of their own kind. @see RFC 9669 §4.3; `BPF_JCOND` is Linux's */
export const JA_CODE = 0x00;
export const CALL_CODE = 0x80;
export const EXIT_CODE = 0x90;
export const JCOND_CODE = 0xe0;

export interface AtomicFact {
  /** The immediate without the fetch bit where fetching is optional, with it where it is not. */
  readonly imm: number;
  /** Always fetches. */
  readonly fetches: boolean;
  /** The operator of LLVM's non-fetching form. */
  readonly symbol?: string;
  readonly linux: string;
}

/** Bit of an atomic's immediate: the old value is written back. @see RFC 9669 §5.3 */
export const FETCH = 0x01;

/** Atomic read-modify-write operations, in the immediate. The mnemonic is the key. @see RFC 9669 §5.3 */
export const ATOMIC = {
  add: { imm: 0x00, fetches: false, symbol: '+=', linux: '3.18' },
  or: { imm: 0x40, fetches: false, symbol: '|=', linux: '5.12' },
  and: { imm: 0x50, fetches: false, symbol: '&=', linux: '5.12' },
  xor: { imm: 0xa0, fetches: false, symbol: '^=', linux: '5.12' },
  xchg: { imm: 0xe1, fetches: true, linux: '5.12' },
  cmpxchg: { imm: 0xf1, fetches: true, linux: '5.12' },
} as const satisfies Record<AtomicOp, AtomicFact>;

/** Immediates of the atomic load and store. @see include/uapi/linux/bpf.h, `BPF_LOAD_ACQ`, `BPF_STORE_REL` (Linux 6.15) */
export const LOAD_ACQUIRE = 0x100;
export const STORE_RELEASE = 0x110;

export interface Imm64Fact {
  /** Value of the source register field. */
  readonly src: number;
  readonly linux: string;
  /** What the second slot's immediate is; `undefined` when it must be zero. */
  readonly second: 'value' | 'off' | 'btf_fd' | undefined;
  /** Linux takes any second immediate and overwrites it. */
  readonly ignoresSecond: boolean;
}

/** What a 64-bit immediate load loads. @see RFC 9669 §5.4 */
export const IMM64 = {
  value: { src: 0, linux: '3.18', second: 'value', ignoresSecond: false },
  map_fd: { src: 1, linux: '3.18', second: undefined, ignoresSecond: false },
  map_value: { src: 2, linux: '5.2', second: 'off', ignoresSecond: false },
  btf_id: { src: 3, linux: '5.6', second: 'btf_fd', ignoresSecond: false },
  func: { src: 4, linux: '5.13', second: undefined, ignoresSecond: true },
  map_idx: { src: 5, linux: '5.14', second: undefined, ignoresSecond: false },
  map_idx_value: { src: 6, linux: '5.14', second: 'off', ignoresSecond: false },
} as const satisfies Record<Imm64['kind'], Imm64Fact>;

/** Values of the source register field of `call`. @see RFC 9669 §4.3.1 */
export const CALL_SRC = { helper: 0, local: 1, kfunc: 2 } as const;

/** The highest register. @see RFC 9669 §2.1 */
export const MAX_REG = 10;

function keys<K extends string>(table: Readonly<Record<K, unknown>>): readonly K[] {
  return Object.keys(table) as K[];
}

export const ALU_OPS = keys(ALU);
export const JMP_OPS = keys(JMP);
export const ATOMIC_OPS = keys(ATOMIC);
export const IMM64_KINDS = keys(IMM64);
export const ENDIAN_ORDERS = keys(ENDIAN);
export const SIZES = [1, 2, 4, 8] as const satisfies readonly Size[];
export const WIDTHS = [32, 64] as const satisfies readonly Width[];

/** What an opcode byte says before any other field is looked at. */
export type Form =
  /** Binary arithmetic; `signed` is the operation that the offset field 1 selects, where there is one. */
  | {
      readonly form: 'alu';
      readonly op: AluOp;
      readonly signed: AluOp | undefined;
      readonly width: Width;
      readonly source: 'reg' | 'imm';
    }
  | { readonly form: 'neg'; readonly width: Width }
  | { readonly form: 'endian'; readonly order: keyof typeof ENDIAN }
  | {
      readonly form: 'jmp';
      readonly op: JmpOp;
      readonly width: Width;
      readonly source: 'reg' | 'imm';
    }
  | { readonly form: 'ja'; readonly wide: boolean }
  | { readonly form: 'may_goto' }
  | { readonly form: 'call' }
  | { readonly form: 'callx' }
  | { readonly form: 'exit' }
  | { readonly form: 'ldimm64' }
  | { readonly form: 'ld_abs' | 'ld_ind'; readonly size: 1 | 2 | 4 }
  | { readonly form: 'ldx'; readonly size: Size; readonly signed: boolean }
  | { readonly form: 'st' | 'stx' | 'atomic'; readonly size: Size };

function forms(): readonly (Form | undefined)[] {
  const table: (Form | undefined)[] = new Array(256).fill(undefined);
  for (const width of WIDTHS) {
    const alu = width === 32 ? CLASS.alu : CLASS.alu64;
    const jmp = width === 32 ? CLASS.jmp32 : CLASS.jmp;
    for (const source of ['imm', 'reg'] as const) {
      for (const op of ALU_OPS) {
        const { code, off } = ALU[op];
        if (off !== 0) continue;
        const signed = ALU_OPS.find((other) => ALU[other].code === code && ALU[other].off === 1);
        table[code | SOURCE[source] | alu] = { form: 'alu', op, signed, width, source };
      }
      for (const op of JMP_OPS) {
        table[JMP[op].code | SOURCE[source] | jmp] = { form: 'jmp', op, width, source };
      }
    }
    table[NEG_CODE | alu] = { form: 'neg', width };
    table[JA_CODE | jmp] = { form: 'ja', wide: width === 32 };
  }
  for (const order of ENDIAN_ORDERS) {
    table[END_CODE | ENDIAN[order].source | ENDIAN[order].class] = { form: 'endian', order };
  }
  table[CALL_CODE | CLASS.jmp] = { form: 'call' };
  table[CALL_CODE | SOURCE.reg | CLASS.jmp] = { form: 'callx' };
  table[EXIT_CODE | CLASS.jmp] = { form: 'exit' };
  table[JCOND_CODE | CLASS.jmp] = { form: 'may_goto' };
  table[MODE.imm | SIZE[8].code | CLASS.ld] = { form: 'ldimm64' };
  for (const size of SIZES) {
    const { code } = SIZE[size];
    table[MODE.mem | code | CLASS.ldx] = { form: 'ldx', size, signed: false };
    table[MODE.mem | code | CLASS.st] = { form: 'st', size };
    table[MODE.mem | code | CLASS.stx] = { form: 'stx', size };
    table[MODE.atomic | code | CLASS.stx] = { form: 'atomic', size };
    if (size === 8) continue;
    table[MODE.memsx | code | CLASS.ldx] = { form: 'ldx', size, signed: true };
    table[MODE.abs | code | CLASS.ld] = { form: 'ld_abs', size };
    table[MODE.ind | code | CLASS.ld] = { form: 'ld_ind', size };
  }
  return table;
}

/** What each of the 256 opcode bytes is; `undefined` is no instruction. Computed from the tables above. */
export const FORMS: readonly (Form | undefined)[] = forms();
