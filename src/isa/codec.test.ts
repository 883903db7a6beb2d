import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyInsn } from '../../test/isa/arbitrary.ts';
import {
  type Decoded,
  decode,
  decodeSlot,
  decodeValid,
  encode,
  type Insn,
  readSlot,
  type Slot,
  writeSlot,
} from './index.ts';
import { FORMS } from './opcodes.ts';

const OFFS = [0, 1, 2, 8, 16, 32, -1, 0x7fff, -0x8000];
const IMMS = [
  0, 1, 2, 16, 32, 64, 0x40, 0x41, 0xe0, 0xe1, 0xf1, 0x100, 0x110, 0x1_0000, 0x7fff_ffff, -1, -0x8000_0000,
];

function bytesOf(...slots: readonly Partial<Slot>[]): Uint8Array {
  const bytes = new Uint8Array(slots.length * 8);
  for (const [idx, slot] of slots.entries()) writeSlot(bytes, idx, slot);
  return bytes;
}

/** A slot behind the one that is looked at; it is no instruction, so a pair is only a pair if it should be. */
const ZERO: Slot = { code: 0, dst: 0, src: 0, off: 0, imm: 0 };

/** The fields that Linux, and so the decoder, does not look at. */
function ignored(insn: Insn, slot: Slot): Slot {
  return insn.kind === 'exit' ? { ...slot, off: 0 } : slot;
}

describe('decode and encode', () => {
  test('every slot of the pattern space decodes and encodes to itself, or is named by what is wrong', () => {
    let valid = 0;
    let invalid = 0;
    for (let code = 0; code < 256; code++) {
      for (let dst = 0; dst < 16; dst += dst < 9 ? 3 : 1) {
        for (let src = 0; src < 16; src++) {
          for (const off of OFFS) {
            for (const imm of IMMS) {
              const slot = { code, dst, src, off, imm };
              const result = decodeSlot(slot, ZERO);
              if ('kind' in result) {
                valid++;
                expect(readSlot(encode(result), 0)).toEqual(ignored(result, slot));
              } else {
                invalid++;
                const field = result.field as keyof Slot;
                if (result.value !== slot[field] || !result.problem || !result.linux) {
                  expect.fail(`${JSON.stringify(slot)} is named by ${JSON.stringify(result)}`);
                }
              }
            }
          }
        }
      }
    }
    expect(valid).toBeGreaterThan(50_000);
    expect(invalid).toBeGreaterThan(1_000_000);
  });

  test('what a problem names is what is wrong: with that field mended, something else or nothing is', () => {
    const slots = fc.record({
      code: fc.constantFrom(...FORMS.flatMap((form, code) => (form === undefined ? [] : [code]))),
      dst: fc.nat(15),
      src: fc.nat(15),
      off: fc.constantFrom(...OFFS),
      imm: fc.constantFrom(...IMMS),
    });
    fc.assert(
      fc.property(slots, (slot) => {
        let now: Slot = slot;
        for (let i = 0; i < 5; i++) {
          const result = decodeSlot(now, ZERO);
          if ('kind' in result) return;
          // An atomic's size is in its opcode; any other field is right when it is zero, or 16 of a byte swap.
          const mended =
            result.field === 'code'
              ? 0xdb
              : FORMS[now.code]?.form === 'endian' && result.field === 'imm'
                ? 16
                : 0;
          const cast = result.linux.startsWith('addr_space_cast') ? 1 : mended;
          now = { ...now, [result.field]: cast };
        }
        expect(decodeSlot(now, ZERO)).toHaveProperty('kind');
      }),
      { numRuns: 20_000 },
    );
  });

  test('programs of any instructions, in both byte orders', () => {
    fc.assert(
      fc.property(fc.array(anyInsn, { maxLength: 30 }), fc.boolean(), (insns, littleEndian) => {
        const { insns: decoded, problems } = decode(encode(insns, littleEndian), littleEndian);
        expect(problems).toEqual([]);
        expect(decoded.filter((insn) => insn !== undefined)).toEqual(insns);
      }),
      { numRuns: 3000 },
    );
  });

  test('a big-endian slot has its bytes and its registers the other way round', () => {
    const insn: Insn = { kind: 'ldx', size: 4, signed: false, dst: 1, src: 2, off: 0x1234 };
    expect([...encode(insn)]).toEqual([0x61, 0x21, 0x34, 0x12, 0, 0, 0, 0]);
    expect([...encode(insn, false)]).toEqual([0x61, 0x12, 0x12, 0x34, 0, 0, 0, 0]);
  });

  test('a 64-bit load leaves a hole, and its broken second slot is reported once', () => {
    const load = { code: 0x18, dst: 1, src: 0, off: 0, imm: -1 };
    const good = decode(bytesOf(load, { imm: 2 }, { code: 0x95 }));
    expect(good.insns).toEqual([
      { kind: 'ldimm64', dst: 1, imm: { kind: 'value', value: 0x2_ffff_ffffn } },
      undefined,
      { kind: 'exit' },
    ]);
    const bad = (decoded: Decoded) => decoded.problems.map(({ idx, field }) => `${idx} ${field}`);
    expect(bad(decode(bytesOf(load, { off: 3 }, { code: 0x95 })))).toEqual(['0 second.off']);
    expect(bad(decode(bytesOf(load, { code: 0x95 })))).toEqual(['0 second.code']);
    expect(bad(decode(bytesOf({ code: 0x95 }, load)))).toEqual(['1 second']);
    expect(bad(decode(bytesOf({ ...load, src: 1 }, { imm: 4 })))).toEqual(['0 second.imm']);
    expect(bad(decode(bytesOf({ ...load, src: 7 }, {})))).toEqual(['0 src']);
    expect(bad(decode(bytesOf({ code: 0x95 }).subarray(0, 5)))).toEqual(['0 size']);
  });

  test('sentences name the place, the field and what it must be', () => {
    const sentence = (...slots: readonly Partial<Slot>[]) => {
      try {
        decodeValid(bytesOf(...slots), 'a.o: section xdp');
        return undefined;
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(sentence({ code: 0x95 })).toBeUndefined();
    expect(sentence({ code: 0x95 }, { code: 0xff })).toBe(
      'decoding a.o: section xdp: instruction 1: opcode 0xff is no instruction',
    );
    expect(sentence({ code: 0x07, off: 4 })).toBe(
      'decoding a.o: section xdp: instruction 0: BPF_ALU (opcode 0x7) must have offset 0, not 4',
    );
    expect(sentence({ code: 0xbf, src: 11 })).toBe(
      'decoding a.o: section xdp: instruction 0: source register r11 does not exist: the highest is r10',
    );
    expect(sentence({ code: 0xdb, imm: 0x51 }, { code: 0xcb, imm: 0x51 })).toBe(
      'decoding a.o: section xdp: instruction 1: atomic and works on 4 or 8 bytes, not on 2',
    );
  });

  test.each([
    ['immediate', { kind: 'jmp', op: 'jeq', width: 64, dst: 1, src: { kind: 'imm', imm: 2 ** 31 }, off: 0 }],
    ['offset', { kind: 'ja', wide: false, off: 40_000 }],
    ['destination register', { kind: 'neg', width: 64, dst: 11 }],
    ['unsigned', { kind: 'ldimm64', dst: 1, imm: { kind: 'value', value: -1n } }],
    ['8 bytes', { kind: 'ldx', size: 8, signed: true, dst: 1, src: 1, off: 0 }],
    ['always fetches', { kind: 'atomic', op: 'xchg', fetch: false, size: 8, dst: 1, src: 1, off: 0 }],
    ['8, 16 bits', { kind: 'movsx', width: 32, bits: 32, dst: 1, src: 1 }],
  ])('encode refuses: %s', (why, insn) => {
    expect(() => encode(insn as Insn)).toThrow(why);
  });
});
