import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readBits, writeBits } from './bits.ts';
import {
  type Btf,
  BtfBuilder,
  type BtfTypeId,
  type BtfValueInput,
  decodeValue,
  encodeValue,
  formatValue,
  formatValueLine,
} from './index.ts';

function make(littleEndian = true): { btf: Btf; value: BtfTypeId; section: BtfTypeId } {
  const builder = new BtfBuilder({ littleEndian });
  const int = builder.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bits: 32, bitOffset: 0 });
  const u8 = builder.add({ kind: 'int', name: 'unsigned char', size: 1, encoding: 0, bits: 8, bitOffset: 0 });
  const char = builder.add({ kind: 'int', name: 'char', size: 1, encoding: 1, bits: 8, bitOffset: 0 });
  const u64 = builder.add({ kind: 'int', name: 'long', size: 8, encoding: 0, bits: 64, bitOffset: 0 });
  const bool = builder.add({ kind: 'int', name: '_Bool', size: 1, encoding: 4, bits: 8, bitOffset: 0 });
  const text = builder.add({ kind: 'array', type: char, indexType: int, length: 8 });
  const many = builder.add({ kind: 'array', type: u8, indexType: int, length: 7 });
  const color = builder.add({
    kind: 'enum',
    name: 'color',
    size: 4,
    signed: true,
    values: [
      { name: 'RED', value: 0 },
      { name: 'BLUE', value: -3 },
    ],
  });
  const ptr = builder.add({ kind: 'ptr', type: int });
  const double = builder.add({ kind: 'float', name: 'double', size: 8 });
  const union = builder.add({
    kind: 'union',
    name: '',
    size: 4,
    bitfields: false,
    members: [{ name: 'inner', type: int, bitOffset: 0, bitSize: 0 }],
  });
  const members = [
    ['n', int, 0, 0],
    ['low', int, 32, 3],
    ['high', int, 35, 20],
    ['flag', bool, 56, 0],
    ['big', u64, 64, 0],
    ['text', text, 128, 0],
    ['color', color, 192, 0],
    ['', union, 224, 0],
    ['p', ptr, 256, 0],
    ['d', double, 320, 0],
    ['many', many, 384, 0],
  ] as const;
  const value = builder.add({
    kind: 'struct',
    name: 'value',
    size: 56,
    bitfields: true,
    members: members.map(([name, type, bitOffset, bitSize]) => ({ name, type, bitOffset, bitSize })),
  });
  const variable = builder.add({ kind: 'var', name: 'limit', type: int, linkage: 'global' });
  const other = builder.add({ kind: 'var', name: 'color_of', type: color, linkage: 'static' });
  const section = builder.add({
    kind: 'datasec',
    name: '.data',
    size: 12,
    vars: [
      { type: variable, offset: 0, size: 4 },
      { type: other, offset: 8, size: 4 },
    ],
  });
  return { btf: builder.build('test'), value, section };
}

const int = (bits: number) => fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 });
const values = fc.record({
  n: int(32),
  low: int(3),
  high: int(20),
  flag: fc.boolean(),
  big: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  text: fc.stringMatching(/^[ -~]{0,8}$/),
  color: fc.constantFrom<string | number>('RED', 'BLUE', 5, -9),
  inner: int(32),
  p: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((n) => `0x${n.toString(16)}`),
  d: fc.double({ noNaN: true }),
  many: fc.array(fc.nat({ max: 255 }), { minLength: 7, maxLength: 7 }),
});

describe('values', () => {
  it('are read as they were written, in either byte order', () => {
    for (const littleEndian of [true, false]) {
      const { btf, value } = make(littleEndian);
      fc.assert(
        fc.property(values, (given) => {
          expect(decodeValue(btf, value, encodeValue(btf, value, given))).toEqual(given);
        }),
      );
    }
  });

  it('in bits leave their neighbours alone', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 20, maxLength: 20 }),
        fc.nat({ max: 64 }),
        fc.integer({ min: 1, max: 90 }),
        fc.bigInt({ min: 0n, max: 2n ** 90n }),
        fc.boolean(),
        (bytes, offset, width, value, littleEndian) => {
          const copy = bytes.slice();
          writeBits(copy, offset, width, value, littleEndian);
          expect(readBits(copy, offset, width, littleEndian)).toBe(BigInt.asUintN(width, value));
          writeBits(copy, offset, width, readBits(bytes, offset, width, littleEndian), littleEndian);
          expect(copy).toEqual(bytes);
        },
      ),
    );
  });

  it('of sections are their variables', () => {
    const { btf, section } = make();
    const bytes = encodeValue(btf, section, { limit: -7, color_of: 'BLUE' });
    expect(decodeValue(btf, section, bytes)).toEqual({ limit: -7, color_of: 'BLUE' });
    encodeValue(btf, section, { limit: 1 }, bytes);
    expect(decodeValue(btf, section, bytes)).toEqual({ limit: 1, color_of: 'BLUE' });
    expect(formatValue(btf, section, bytes)).toBe('{".data":[{"limit":1},{"color_of":"BLUE"}]}');
  });

  it.each<[BtfValueInput, string]>([
    [{ n: 2 ** 31 * 2 }, "writing type 1 (INT int) at 'n': 4294967296 does not fit signed 32 bits"],
    [{ low: 9 }, "at 'low': 9 does not fit signed 3 bits"],
    [{ many: [1, 256] }, "at 'many[1]': 256 does not fit unsigned 8 bits"],
    [{ many: [1, 2, 3, 4, 5, 6, 7, 8] }, "at 'many': the value has 8 elements; the array has 7"],
    [{ text: 'far too long' }, "at 'text': far too long is longer than 8 bytes"],
    [{ color: 'GREEN' }, "at 'color': GREEN is not an integer"],
    [{ nope: 1 }, "has a member 'nope' that the type lacks"],
    [{ n: 1.5 }, "at 'n': 1.5 is not an integer"],
    [7, '7 is not an object of members'],
    [{ many: 7 }, "at 'many': 7 is not an array"],
  ])('that do not fit are named: %j', (given, message) => {
    const { btf, value } = make();
    expect(() => encodeValue(btf, value, given)).toThrow(message);
  });

  it('need enough bytes', () => {
    const { btf, value } = make();
    expect(() => decodeValue(btf, value, new Uint8Array(55))).toThrow(
      'a value of type 12 (STRUCT value) takes 56 bytes, but there are 55',
    );
  });

  it('accept numbers as text, and bytes', () => {
    const { btf, value } = make();
    const bytes = encodeValue(btf, value, { n: '-2', big: '0xff', many: new Uint8Array([9, 8]) });
    expect(decodeValue(btf, value, bytes)).toMatchObject({ n: -2, big: 255n, many: [9, 8, 0, 0, 0, 0, 0] });
  });
});

describe('on one line', () => {
  it('is for people', () => {
    const { btf, value } = make();
    const bytes = encodeValue(btf, value, {
      n: 7,
      low: -1,
      flag: true,
      text: 'curl',
      color: 'BLUE',
      p: '0xffff0000',
      many: [1, 2],
    });
    expect(formatValueLine(btf, value, bytes)).toBe(
      '{n: 7, low: -1, high: 0, flag: true, big: 0, text: "curl", color: BLUE, inner: 0, p: 0xffff0000, d: 0, ' +
        'many: [1, 2, 0 × 5]}',
    );
  });
});
