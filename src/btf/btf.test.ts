import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { typeGraph } from '../../test/btf/arbitrary.ts';
import { InputError } from '../base/error.ts';
import {
  alignOf,
  type Btf,
  BtfBuilder,
  type BtfDeclaredType,
  type BtfTypeId,
  encodeBtf,
  fieldAt,
  parseBtf,
  sizeOf,
} from './index.ts';

function types(btf: Btf): BtfDeclaredType[] {
  return [...btf.ids()].map((id) => btf.type(id) as BtfDeclaredType);
}

function build(list: readonly BtfDeclaredType[], options = {}): Btf {
  const builder = new BtfBuilder(options);
  for (const type of list) builder.add(type);
  return builder.build('test');
}

const id = (n: number) => n as BtfTypeId;
const INT: BtfDeclaredType = { kind: 'int', name: 'int', size: 4, encoding: 1, bits: 32, bitOffset: 0 };
const LONG: BtfDeclaredType = { kind: 'int', name: 'long', size: 8, encoding: 1, bits: 64, bitOffset: 0 };
const CHAR: BtfDeclaredType = { kind: 'int', name: 'char', size: 1, encoding: 1, bits: 8, bitOffset: 0 };

describe('reading is the inverse of writing', () => {
  it('for any type graph, in either byte order', () => {
    fc.assert(
      fc.property(typeGraph(20), fc.boolean(), (list, littleEndian) => {
        const btf = build(list, { littleEndian });
        expect(btf.littleEndian).toBe(littleEndian);
        expect(types(btf)).toEqual(list);
        expect(encodeBtf(btf)).toEqual(btf.bytes);
      }),
      { numRuns: 200 },
    );
  });

  it('for a split BTF', () => {
    fc.assert(
      fc.property(typeGraph(6), typeGraph(6, 7), (first, second) => {
        const base = build([...first, ...Array.from({ length: 6 - first.length }, () => INT)]);
        const split = build(second, { base });
        expect(split.firstId).toBe(7);
        expect(types(split)).toEqual(second);
        expect(split.type(id(1))).toEqual(first[0]);
        expect(encodeBtf(split)).toEqual(split.bytes);
        const again = parseBtf(split.bytes, 'again', base);
        expect(types(again)).toEqual(second);
      }),
      { numRuns: 100 },
    );
  });

  it('never crashes or hangs on changed bytes', () => {
    let rejected = 0;
    fc.assert(
      fc.property(
        typeGraph(12),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 6 }),
        fc.option(fc.nat()),
        (list, changes, cut) => {
          const bytes = build(list).bytes.slice();
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          try {
            const btf = parseBtf(cut === null ? bytes : bytes.subarray(0, cut % bytes.length), 'changed');
            for (const type of btf.ids()) {
              btf.type(type);
              alignOf(btf, type);
            }
          } catch (error) {
            expect(error).toBeInstanceOf(InputError);
            rejected++;
          }
        },
      ),
      { numRuns: 500 },
    );
    expect(rejected).toBeGreaterThan(50);
  });
});

describe('lookup', () => {
  const btf = build([
    INT,
    { kind: 'struct', name: 'foo', size: 0, members: [], bitfields: false },
    { kind: 'typedef', name: 'foo', type: id(2) },
    { kind: 'struct', name: 'foo___v2', size: 0, members: [], bitfields: false },
  ]);

  it('finds types by name and kind', () => {
    expect(btf.find('foo', 'typedef')).toBe(3);
    expect(btf.find('foo')).toBe(2);
    expect(btf.named('foo')).toEqual([2, 3]);
    expect(btf.find('bar')).toBeUndefined();
    expect(btf.find('foo', 'union')).toBeUndefined();
    expect(btf.nameIndex('essential').find('foo')).toEqual([2, 3, 4]);
  });

  it('names the id that is not there', () => {
    expect(() => btf.type(id(99))).toThrow('there is no type 99; the ids are 0 to 4');
  });
});

describe('sizes and fields', () => {
  const btf = build([
    INT,
    LONG,
    CHAR,
    { kind: 'array', type: id(3), indexType: id(1), length: 16 },
    {
      kind: 'union',
      name: '',
      size: 8,
      bitfields: false,
      members: [
        { name: 'inner', type: id(2), bitOffset: 0, bitSize: 0 },
        { name: 'half', type: id(1), bitOffset: 0, bitSize: 0 },
      ],
    },
    { kind: 'ptr', type: id(0) },
    {
      kind: 'struct',
      name: 'task',
      size: 40,
      bitfields: true,
      members: [
        { name: 'pid', type: id(1), bitOffset: 0, bitSize: 0 },
        { name: 'flag', type: id(1), bitOffset: 33, bitSize: 3 },
        { name: '', type: id(5), bitOffset: 64, bitSize: 0 },
        { name: 'comm', type: id(4), bitOffset: 128, bitSize: 0 },
        { name: 'next', type: id(6), bitOffset: 256, bitSize: 0 },
      ],
    },
    { kind: 'array', type: id(7), indexType: id(1), length: 3 },
    { kind: 'func_proto', returns: id(0), params: [] },
  ]);

  it('computes size and alignment', () => {
    expect(sizeOf(btf, id(8))).toBe(120);
    expect(alignOf(btf, id(8))).toBe(8);
    expect(alignOf(btf, id(4))).toBe(1);
    expect(() => sizeOf(btf, id(9))).toThrow('type 9 (FUNC_PROTO (anon)) has no size');
  });

  it('finds fields by path', () => {
    expect(fieldAt(btf, id(7), 'comm[3]')).toEqual({ type: 3, bitOffset: 152, bitSize: 0 });
    expect(fieldAt(btf, id(7), 'half')).toEqual({ type: 1, bitOffset: 64, bitSize: 0 });
    expect(fieldAt(btf, id(7), 'flag')).toEqual({ type: 1, bitOffset: 33, bitSize: 3 });
    expect(fieldAt(btf, id(8), '[2].inner')).toEqual({ type: 2, bitOffset: 704, bitSize: 0 });
    expect(() => fieldAt(btf, id(7), 'nope')).toThrow("there is no member 'nope' in struct task");
    expect(() => fieldAt(btf, id(7), 'comm[16]')).toThrow('index 16 is past the 16 elements');
    expect(() => fieldAt(btf, id(7), 'comm[')).toThrow('the path is not well-formed');
  });
});

describe('what is not well-formed is named with its place', () => {
  const encode = (...list: BtfDeclaredType[]) => {
    const builder = new BtfBuilder();
    for (const type of list) builder.add(type);
    return builder.encode();
  };
  const word = (bytes: Uint8Array, at: number, value: number) => {
    const copy = bytes.slice();
    new DataView(copy.buffer).setUint32(at, value, true);
    return copy;
  };
  const typedef = (type: number): BtfDeclaredType => ({ kind: 'typedef', name: 't', type: id(type) });
  const constant = (type: number): BtfDeclaredType => ({ kind: 'const', type: id(type) });
  const struct = (type: number, bitOffset = 0, size = 4): BtfDeclaredType => ({
    kind: 'struct',
    name: 's',
    size,
    bitfields: false,
    members: [{ name: 'm', type: id(type), bitOffset, bitSize: 0 }],
  });
  const array = (type: number): BtfDeclaredType => ({
    kind: 'array',
    type: id(type),
    indexType: id(type),
    length: 2,
  });

  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'a BTF header needs at least 8 bytes at offset 100, but the data has 0'],
    ['magic', new Uint8Array(24), 'no BTF at offset 100: the magic number is 0x0000, not 0xeb9f'],
    ['version', encode(INT).with(2, 9), 'BTF version 9 at offset 102 is unknown (1 is known)'],
    ['header length', word(encode(INT), 4, 8), 'the header length 8 at offset 104 is less than 24'],
    [
      'cut',
      encode(INT).subarray(0, 30),
      'type section needs 16 bytes at offset 124, but the data ends at 130',
    ],
    [
      'overlap',
      word(encode(INT), 16, 4),
      'the type section at offset 124 and the string section at 128 overlap',
    ],
    ['kind', word(encode(INT), 28, 0x1f000000), 'type 1 at offset 124 has the unknown kind 31'],
    [
      'info',
      word(encode(INT), 28, 0x01010000),
      'type 1 at offset 124 has unknown bits in its info word 0x1010000',
    ],
    [
      'vlen',
      word(encode(struct(0)), 28, 0x0400ffff),
      'type 1 at offset 124 (STRUCT with 65535 elements) needs 786432 bytes, but the type section ends at offset 148',
    ],
    [
      'name',
      word(encode(INT), 24, 777),
      'has a name at string offset 777, but the string table ends at 5 (at offset 124)',
    ],
    ['id', encode(typedef(7)), 'refers to type 7, but the highest type id is 1 (at offset 132)'],
    [
      'member',
      encode(INT, struct(1, 64)),
      'member 0 begins at bit 64, past the end of the 4 bytes (at offset 160)',
    ],
    [
      'modifiers',
      encode(typedef(2), constant(3), typedef(1)),
      'type 1 (TYPEDEF t) at offset 124 contains itself: type 1 (TYPEDEF t) → type 2 (CONST (anon)) → type 3 (TYPEDEF t) → type 1',
    ],
    ['array', encode(array(1)), 'type 1 (ARRAY (anon)) at offset 124 contains itself'],
    ['struct', encode(struct(2), array(1)), 'type 1 (STRUCT s) at offset 124 contains itself'],
    [
      'pointers',
      encode({ kind: 'ptr', type: id(1) }),
      'type 1 (PTR (anon)) at offset 124 is declared by itself',
    ],
    [
      'nesting',
      encode(...Array.from({ length: 300 }, (_, i) => constant(i + 2)), INT),
      'nests types more than 256 deep',
    ],
  ])('%s', (_, bytes, message) => {
    expect(() => parseBtf(bytes, 'a.o: section .BTF', undefined, 100)).toThrow(`a.o: section .BTF: `);
    expect(() => parseBtf(bytes, 'a.o: section .BTF', undefined, 100)).toThrow(message);
  });

  it('accepts a longer header', () => {
    const bytes = encode(INT);
    const longer = new Uint8Array(bytes.length + 8);
    longer.set(bytes.subarray(0, 24));
    longer.set(bytes.subarray(24), 32);
    expect(types(parseBtf(word(longer, 4, 32), 'x'))).toEqual([INT]);
  });
});
