import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyInsn } from '../../test/isa/arbitrary.ts';
import { InputError } from '../base/error.ts';
import {
  assembleLlvm,
  assembleMnemonic,
  decode,
  decodeValid,
  encode,
  type Insn,
  LLVM_STYLE,
  type LlvmStyle,
  listing,
  toLlvm,
  toMnemonic,
} from './index.ts';

const STYLES: readonly LlvmStyle[] = (['hex', 'decimal'] as const).flatMap((numbers) =>
  [false, true].map((alu32): LlvmStyle => ({ numbers, alu32, pseudo: 'exact' })),
);

/** The bytes of an assembly's only instruction, as hex. */
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const failure = (assemble: () => unknown) => {
  try {
    assemble();
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing was thrown';
};

describe('a program printed and assembled again is the same', () => {
  const programs = fc.array(anyInsn, { minLength: 1, maxLength: 20 });

  test.each(STYLES)('LLVM notation: $numbers, alu32 $alu32', (style) => {
    fc.assert(
      fc.property(programs, (insns) => {
        expect(assembleLlvm(insns.map((insn) => toLlvm(insn, style)).join('\n')).insns).toEqual(insns);
      }),
      { numRuns: 1000 },
    );
  });

  test('mnemonic notation', () => {
    fc.assert(
      fc.property(programs, fc.boolean(), (insns, littleEndian) => {
        const text = insns.map(toMnemonic).join('\n');
        expect(assembleMnemonic(text, { littleEndian }).bytes).toEqual(encode(insns, littleEndian));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('LLVM notation', () => {
  // Bytes and text as llvm-mc 19 and llvm-objdump 19 have them, with --mcpu=v4.
  test.each([
    ['0721000000000000', undefined],
    ['0701000005000000', 'r1 += 0x5'],
    ['04010000feffffff', 'w1 += -0x2'],
    ['1521fcff11000000', undefined],
    ['1501fcff11000000', 'if r1 == 0x11 goto -0x4'],
    ['ae21040000000000', 'if w1 < w2 goto +0x4'],
    ['0500030000000000', 'goto +0x3'],
    ['06000000feffffff', 'gotol -0x2'],
    ['e500050000000000', 'may_goto +0x5'],
    ['8500000005000000', 'call 0x5'],
    ['85100000ffffffff', 'call -0x1'],
    ['8d03000000000000', 'callx r3'],
    ['9500000000000000', 'exit'],
    ['18010000fbffffff00000000ffffffff', 'r1 = -0x5 ll'],
    ['18110000120000000000000000000000', 'ld_pseudo\tr1, 0x1, 0x12'],
    ['2000000004000000', 'r0 = *(u32 *)skb[0x4]'],
    ['4820000000000000', 'r0 = *(u16 *)skb[r2]'],
    ['6121fcff00000000', 'w1 = *(u32 *)(r2 - 0x4)'],
    ['7921000000000000', 'r1 = *(u64 *)(r2 + 0x0)'],
    ['9121040000000000', 'r1 = *(s8 *)(r2 + 0x4)'],
    ['62010000feffffff', '*(u32 *)(r1 + 0x0) = -0x2'],
    ['7321040000000000', '*(u8 *)(r1 + 0x4) = w2'],
    ['8403000000000000', 'w3 = -w3'],
    ['bf21200000000000', 'r1 = (s32)r2'],
    ['bc21080000000000', 'w1 = (s8)w2'],
    ['bf21010001000000', 'r1 = addr_space_cast(r2, 0x0, 0x1)'],
    ['dc01000010000000', 'r1 = be16 r1'],
    ['d401000040000000', 'r1 = le64 r1'],
    ['d701000020000000', 'r1 = bswap32 r1'],
    ['3701010000000000', 'r1 s/= 0x0'],
    ['9c21010000000000', 'w1 s%= w2'],
    ['cf21000000000000', 'r1 s>>= r2'],
    ['c321fcff50000000', 'lock *(u32 *)(r1 - 0x4) &= w2'],
    ['db21fcff01000000', 'r2 = atomic_fetch_add((u64 *)(r1 - 0x4), r2)'],
    ['c321fcffe1000000', 'w2 = xchg32_32(r1 - 0x4, w2)'],
    ['db21fcfff1000000', 'r0 = cmpxchg_64(r1 - 0x4, r0, r2)'],
  ])('%s is %s', (bytes, text) => {
    const slot = Uint8Array.from(Buffer.from(bytes, 'hex'));
    const style = { alu32: true, pseudo: 'llvm' } as const;
    expect(listing(slot, { style }).map((line) => line.insn && toLlvm(line.insn, style))).toEqual([text]);
    // LLVM writes calls of subprograms and helpers alike.
    if (text !== undefined && !bytes.startsWith('8510')) expect(hex(assembleLlvm(text).bytes)).toBe(bytes);
  });

  test('what LLVM cannot tell apart is printed so that it can be read back', () => {
    const texts = [
      'call pc+3',
      'call kernel-function#77',
      'call kernel-function#77[fd_idx:2]',
      'r1 = map[id:5]',
      'r1 = map[id:5][0]+16',
      'r1 = map[idx:5]',
      'r1 = map[idx:5]+16',
      'r1 = btf[id:7]',
      'r1 = btf[fd:3,id:7]',
      'r1 = subprog[-3]',
      'r0 = *(u8 *)skb[r2 + 0x4]',
    ];
    const { insns } = assembleLlvm(texts.join('\n'));
    expect(insns.map((insn) => toLlvm(insn))).toEqual(texts);
    expect(LLVM_STYLE.pseudo).toBe('exact');
  });

  test('labels, comments and separators', () => {
    const { bytes, labels, lines } = assembleLlvm(`
      # counts down
      r1 = 3; r0 = 0x10 ll   // two slots
    again: r1 -= 1
      if r1 != 0 goto again ; call sub
      goto 1f
    1: goto 1b
    sub:
      exit /* the end */`);
    const text = [
      'r1 = 3',
      'r0 = 16 ll',
      'r1 -= 1',
      'if r1 != 0 goto -2',
      'call pc+2',
      'goto +0',
      'goto -1',
      'exit',
    ];
    expect(hex(bytes)).toBe(hex(assembleLlvm(text.join('\n')).bytes));
    expect([...labels]).toEqual([
      ['again', 3],
      ['sub', 8],
    ]);
    expect(lines).toEqual([3, 3, 4, 5, 5, 6, 7, 9]);
  });

  test('names are resolved by the caller', () => {
    const options = {
      helper: (name: string) => (name === 'bpf_map_lookup_elem' ? 1 : undefined),
      kfunc: (name: string) => (name === 'bpf_rcu_read_lock' ? { btfId: 9, fdIdx: 0 } : undefined),
      constant: (name: string) => (name === 'XDP_DROP' ? 1n : undefined),
    };
    const text =
      'call bpf_map_lookup_elem; call bpf_map_lookup_elem#1; call bpf_rcu_read_lock#9; r0 = XDP_DROP + 1';
    expect(assembleLlvm(text, options).insns.map((insn) => toLlvm(insn))).toEqual([
      'call 0x1',
      'call 0x1',
      'call kernel-function#9',
      'r0 = 0x2',
    ]);
  });

  test.each([
    ['r1 = ', '<asm>:1:6: expected a register, a number or a memory access, found the end of the line'],
    ['exit\nr11 += 1', '<asm>:2:1: expected an instruction, found "r11"'],
    ['r1 =+ r2', '<asm>:1:7: expected a register, a number or a memory access, found "r2"'],
    ['r1 += w2', '<asm>:1:7: expected a 64-bit register (r2), found "w2"'],
    ['r1 ? 2', '<asm>:1:4: "?" begins no operand and no operator'],
    ['r1 : 2', '<asm>:1:6: expected an instruction, found "2"'],
    [
      'r1 = 5000000000',
      '<asm>:1:6: expected a 32-bit number (write "ll" behind a 64-bit one), not 5000000000, found "5000000000"',
    ],
    ['r1 = *(u24 *)(r2 + 0)', '<asm>:1:8: expected u8, u16, u32, u64, s8, s16 or s32, found "u24"'],
    [
      'r1 = *(u32 *)(r2 + 40000)',
      '<asm>:1:18: expected an offset from -32768 to 32767, not 40000, found "+"',
    ],
    [
      'w1 = *(u64 *)(r2 + 0)',
      '<asm>:1:7: expected r1 on the left: only unsigned loads of up to 4 bytes name w registers, found "("',
    ],
    ['if r1 = 5 goto +1', '<asm>:1:7: expected a comparison operator, found "="'],
    ['if r1 == 5 got +1', '<asm>:1:12: expected "goto", found "got"'],
    ['goto nowhere', '<asm>:1:6: there is no label nowhere'],
    ['a:\na: exit', '<asm>:2:1: label a is defined twice, found "a"'],
    ['exit exit', '<asm>:1:6: expected the end of the instruction, found "exit"'],
    ['r1 = be16 r2', '<asm>:1:11: expected r1, the register that is swapped, found "r2"'],
    [
      'r2 = atomic_fetch_add((u16 *)(r1 + 0), r2)',
      '<asm>:1:38: expected u32 or u64 before: atomics have no 16-bit form, found ","',
    ],
    [
      'goto +40000',
      '<asm>:1: a jump over 40000 instructions does not fit into 16 bits; use the wide jump (gotol, ja32)',
    ],
    ['call r1', '<asm>:1:6: expected a function; a register is called by callx, found "r1"'],
  ])('%j is refused', (text, message) => {
    expect(failure(() => assembleLlvm(text))).toBe(message);
  });
});

describe('mnemonic notation', () => {
  test.each([
    ['ldxw %r0, [%r1+4]', 'r0 = *(u32 *)(r1 + 0x4)'],
    ['ldxdw %r0, [%r1-0x10]', 'r0 = *(u64 *)(r1 - 0x10)'],
    ['ldxsh %r0, [%r1]', 'r0 = *(s16 *)(r1 + 0x0)'],
    ['stw [%r1+4], 0xffffffff', '*(u32 *)(r1 + 0x4) = -0x1'],
    ['stxb [%r10-1], %r2', '*(u8 *)(r10 - 0x1) = r2'],
    ['mov %r0, -1', 'r0 = -0x1'],
    ['mov32 %r0, %r1', 'w0 = w1'],
    ['lddw %r0, 0x1122334455667788', 'r0 = 0x1122334455667788 ll'],
    ['lock fetch add32 [%r10-4], %r1', 'w1 = atomic_fetch_add((u32 *)(r10 - 0x4), w1)'],
    ['lock cmpxchg [%r10-8], %r1', 'r0 = cmpxchg_64(r10 - 0x8, r0, r1)'],
    ['jsgt32 %r1, 0x80000000, +2', 'if w1 s> -0x80000000 goto +0x2'],
    ['ja32 -1', 'gotol -0x1'],
    ['movsx832 %r2, %r1', 'w2 = (s8)w1'],
    ['movsx3264 %r2, %r1', 'r2 = (s32)r1'],
    ['be16 %r0', 'r0 = be16 r0'],
    ['swap64 %r0', 'r0 = bswap64 r0'],
    ['bswap64 %r0', 'r0 = bswap64 r0'],
    ['call local -3', 'call pc-3'],
    ['call helper 5', 'call 0x5'],
    ['call %r2', 'callx r2'],
    ['callx %r2', 'callx r2'],
    ['smod %r0, 3', 'r0 s%= 0x3'],
  ])('%s is %s', (mnemonic, llvm) => {
    expect(assembleMnemonic(mnemonic).insns.map((insn: Insn) => toLlvm(insn))).toEqual([llvm]);
  });

  test('a jump to exit without such a label goes to the first exit', () => {
    const text = (label: string) => `jeq %r1, 0, exit\nmov %r0, 1\nexit\n${label}\nmov %r0, 2\nexit`;
    const target = (text: string) => {
      const [jump] = decodeValid(assembleMnemonic(text).bytes, 'test');
      return jump?.kind === 'jmp' ? jump.off : undefined;
    };
    expect(target(text(''))).toBe(1);
    expect(target(text('exit:'))).toBe(2);
  });

  test.each([
    ['mov r0, 1', '<asm>:1:5: expected a register (%r0 to %r10), found "r0"'],
    ['mov %r0 1', '<asm>:1:9: expected ",", found "1"'],
    ['movv %r0, 1', '<asm>:1:1: expected a mnemonic, found "movv"'],
    ['ldxw %r0, [%r1+4', '<asm>:1:17: expected "]", found the end of the line'],
    ['lock nand [%r1], %r0', '<asm>:1:6: expected an atomic operation, found "nand"'],
  ])('%j is refused', (text, message) => {
    expect(failure(() => assembleMnemonic(text))).toBe(message);
  });
});

test('a listing names jump targets by the last symbol before them', () => {
  const { bytes } = assembleLlvm('if r1 == 0 goto +1; goto +1; r0 = 5 ll; goto -6; exit');
  const symbols = [
    { name: 'prog', offset: 8, type: 2 },
    { name: 'LBB0_1', offset: 16, type: 0 },
  ];
  const lines = listing(Uint8Array.from([...bytes, 0xff, 0, 0, 0, 0, 0, 0, 0]), { section: 'xdp', symbols });
  expect(lines.map(({ idx, text }) => `${idx}: ${text}`)).toEqual([
    '0: if r1 == 0x0 goto +0x1 <LBB0_1>',
    '1: goto +0x1 <LBB0_1+0x8>',
    '2: r0 = 0x5 ll',
    '4: goto -0x6',
    '5: exit',
    '6: <unknown>',
  ]);
  expect(lines.at(-1)?.problem?.problem).toBe('opcode 0xff is no instruction');
});

test('any text assembles or is refused with its place', () => {
  const words =
    'r0 w1 r10 r11 %r1 = += s>>= - + * ( ) [ ] , : ; # 5 0x1 -1 u32 s8 ll if goto call callx exit lock skb map btf id mov ldxw stxdw lddw ja jeq local pc'.split(
      ' ',
    );
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 3 })), { maxLength: 12 }),
      (parts) => {
        for (const assemble of [assembleLlvm, assembleMnemonic]) {
          try {
            decodeValid(assemble(parts.join(' ')).bytes, 'what was assembled');
          } catch (error) {
            expect(error).toBeInstanceOf(InputError);
            expect((error as InputError).message).toMatch(/^<asm>:\d+/);
          }
        }
      },
    ),
    { numRuns: 5000 },
  );
});

test('any bytes decode to instructions and problems', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.boolean(), (bytes, littleEndian) => {
      const { insns, problems } = decode(bytes, littleEndian);
      expect(insns.length).toBe(Math.floor(bytes.length / 8));
      const listed = listing(bytes, { littleEndian });
      expect(listed.filter((line) => line.insn === undefined).length).toBeGreaterThanOrEqual(
        problems.length - 1,
      );
    }),
    { numRuns: 5000 },
  );
});
