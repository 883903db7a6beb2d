import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../base/error.ts';
import {
  BtfBuilder,
  type BtfDeclaredType,
  BtfStringBuilder,
  type BtfTypeId,
  declareC,
  decodeValue,
  dumpC,
  dumpRaw,
  encodeBtf,
  encodeBtfExt,
  encodeValue,
  formatValue,
  formatValueLine,
  parseBtf,
  parseBtfExt,
  prototypeC,
  rawType,
  trySizeOf,
  validateBtf,
} from './index.ts';

const FOLDER = join(import.meta.dirname, '../../test/btf');
const read = (name: string) => new Uint8Array(readFileSync(join(FOLDER, name)));
const shapes = parseBtf(read('shapes.btf'), 'shapes.o: section .BTF');

/** Compares with a file; `BLESS=1` writes it. */
function golden(name: string, text: string): void {
  const path = join(FOLDER, name);
  if (process.env.BLESS) writeFileSync(path, text);
  expect(text).toBe(readFileSync(path, 'utf8'));
}

const id = (n: number) => n as BtfTypeId;

describe('dumps', () => {
  it('as C', () => golden('shapes.c.golden', dumpC(shapes)));
  it('as records', () => golden('shapes.raw.golden', dumpRaw(shapes)));

  it('one type with what it needs', () => {
    const text = dumpC(shapes, { ids: [shapes.find('mutual_b', 'struct')!], bare: true });
    expect(text).toContain('struct mutual_b {\n\tstruct mutual_a a;\n\tstruct bits bi;\n};\n\n');
    expect(text).toContain('struct mutual_b;\n\nstruct mutual_a {');
    expect(text).not.toContain('struct self');
    expect(text).not.toContain('#');
  });

  it('one declaration', () => {
    const self = shapes.typeOf(shapes.find('self', 'struct')!, 'struct');
    const spelled = self.members.map(({ name, type }) => declareC(shapes, type, name));
    expect(spelled).toContain('struct self * const prev');
    expect(spelled).toContain('volatile const int * restrict const p');
    expect(spelled).toContain('const char *names[7]');
    expect(spelled).toContain('int (*parr)[8]');
    expect(spelled).toContain('vf (*ret)(int)');
    expect(prototypeC(shapes, shapes.find('gf', 'func')!)).toBe('int gf(int x)');
  });

  it('numbers a name that is taken', () => {
    const builder = new BtfBuilder();
    const int = builder.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bits: 32, bitOffset: 0 });
    for (const size of [4, 8]) {
      const members = Array.from({ length: size / 4 }, (_, i) => ({
        name: `m${i}`,
        type: int,
        bitOffset: i * 32,
        bitSize: 0,
      }));
      const made = builder.add({ kind: 'struct', name: 'same', size, members, bitfields: false });
      builder.add({ kind: 'typedef', name: 'same_t', type: made });
    }
    builder.add({ kind: 'enum', name: '', size: 4, signed: false, values: [{ name: 'same_t', value: 1 }] });
    const text = dumpC(builder.build('test'), { bare: true });
    expect(text).toContain('struct same___2 {');
    expect(text).toContain('typedef struct same___2 same_t___2;');
    expect(text).toContain('same_t___3 = 1,');
  });

  it('refuses what C can not declare', () => {
    const builder = new BtfBuilder();
    const anonymous: BtfDeclaredType = {
      kind: 'struct',
      name: '',
      size: 8,
      bitfields: false,
      members: [{ name: 'next', type: id(2), bitOffset: 0, bitSize: 0 }],
    };
    builder.add(anonymous);
    builder.add({ kind: 'ptr', type: id(1) });
    const btf = builder.build('test');
    expect(() => dumpC(btf)).toThrow(
      "type 1 (STRUCT (anon)) can't be written as C: it needs its own definition",
    );
    expect(() => declareC(btf, id(1))).toThrow('nested more than 64 deep');
  });

  it('has the keys of bpftool in JSON', () => {
    expect(JSON.stringify(rawType(shapes, shapes.find('e8', 'enum')!))).toMatch(
      /^\{"id":\d+,"kind":"ENUM","name":"e8","encoding":"\w+","size":1,"vlen":2,"values":\[\{"name":"A1","val":0\}/,
    );
  });
});

describe('changed bytes', () => {
  it('make an error or a result, whatever is done with them', () => {
    const bytes = read('shapes.btf');
    let parsed = 0;
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(fc.nat({ max: 600 }), fc.oneof(fc.nat({ max: 110 }), fc.nat({ max: 0xffffffff }))),
          {
            minLength: 1,
            maxLength: 4,
          },
        ),
        (changes) => {
          const changed = bytes.slice();
          const view = new DataView(changed.buffer);
          for (const [word, value] of changes) view.setUint32(24 + word * 4, value, true);
          const attempt = (step: () => unknown) => {
            try {
              step();
            } catch (error) {
              if (!(error instanceof InputError)) throw error;
            }
          };
          attempt(() => {
            const btf = parseBtf(changed, 'changed');
            parsed++;
            for (const step of [validateBtf, dumpC, dumpRaw, encodeBtf]) attempt(() => step(btf));
            for (const type of btf.ids()) {
              const size = trySizeOf(btf, type) ?? Number.POSITIVE_INFINITY;
              if (size > 1000) continue;
              const value = new Uint8Array(size).fill(0x41);
              attempt(() => encodeValue(btf, type, decodeValue(btf, type, value)));
              attempt(() => formatValue(btf, type, value, { indent: 0 }));
              attempt(() => formatValueLine(btf, type, value));
            }
          });
        },
      ),
      { numRuns: 300 },
    );
    expect(parsed).toBeGreaterThan(10);
  });
});

describe('.BTF.ext', () => {
  const bytes = read('shapes.btf.ext');
  const ext = parseBtfExt(bytes, 'shapes.o: section .BTF.ext', shapes, 0x1000);

  it('gives functions and lines', () => {
    expect(ext.funcInfo.map(({ section, records }) => [section, records.length])).toEqual([['.text', 3]]);
    expect(shapes.nameOf(ext.funcInfo[0]!.records[0]!.type)).toBe('gf');
    const line = ext.lineInfo[0]!.records[0]!;
    expect(line.file).toMatch(/shapes\.c$/);
    expect(line.text).toContain('int gf(int x)');
    expect(line.line).toBeGreaterThan(0);
  });

  it('is written as it was read', () => {
    const strings = new BtfStringBuilder(shapes.strings);
    const written = encodeBtfExt(ext, strings);
    expect(strings.bytes()).toEqual(shapes.strings.bytes);
    const again = parseBtfExt(written, 'again', shapes);
    expect(again).toEqual(ext);
  });

  it('is written with CO-RE records, in either byte order', () => {
    for (const littleEndian of [true, false]) {
      const builder = new BtfBuilder({ littleEndian });
      const int = builder.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bits: 32, bitOffset: 0 });
      const made = {
        funcInfo: [],
        lineInfo: [],
        coreRelos: [
          {
            section: 'xdp',
            records: [{ insnOffset: 8, type: int, access: '0:1', kind: 'type_matches' as const }],
          },
        ],
      };
      const written = encodeBtfExt(made, builder.strings, littleEndian);
      expect(parseBtfExt(written, 'x', builder.build('y'))).toEqual(made);
    }
  });

  it('tolerates records that are longer than known', () => {
    const view = new DataView(bytes.buffer);
    const header = view.getUint32(4, true);
    const size = view.getUint32(12, true);
    const count = (size - 12) / 8;
    const part = new Uint8Array(12 + count * 12);
    part.set(bytes.subarray(header, header + 12));
    new DataView(part.buffer).setUint32(0, 12, true);
    for (let i = 0; i < count; i++)
      part.set(bytes.subarray(header + 12 + i * 8, header + 20 + i * 8), 12 + i * 12);
    const longer = new Uint8Array(24 + part.length);
    longer.set(bytes.subarray(0, 8));
    longer.set(part, 24);
    const head = new DataView(longer.buffer);
    head.setUint32(4, 24, true);
    head.setUint32(12, part.length, true);
    expect(parseBtfExt(longer, 'longer', shapes).funcInfo).toEqual(ext.funcInfo);
  });

  it.each<[string, (view: DataView, header: number) => void, string]>([
    ['magic', (v) => v.setUint16(0, 7, true), 'no BTF at offset 4096'],
    ['version', (v) => v.setUint8(2, 9), 'version 9 at offset 4098 is unknown'],
    [
      'record size',
      (v, h) => v.setUint32(h, 7, true),
      'the record size 7 is not a multiple of 4 that is at least 8',
    ],
    [
      'count',
      (v, h) => v.setUint32(h + 8, 1e9, true),
      "the 1000000000 records of section '.text' run past the end",
    ],
    ['no records', (v, h) => v.setUint32(h + 8, 0, true), "section '.text' has no records"],
    ['type', (v, h) => v.setUint32(h + 16, 9999, true), 'refers to type 9999, but the highest type id is'],
    [
      'string',
      (v, h) => v.setUint32(h + 4, 99999, true),
      'is at string offset 99999, but the string table ends',
    ],
    ['part', (v) => v.setUint32(12, 1e9, true), 'func_info needs 1000000000 bytes'],
  ])('refuses a wrong %s', (_, change, message) => {
    const copy = bytes.slice();
    change(new DataView(copy.buffer), new DataView(copy.buffer).getUint32(4, true));
    expect(() => parseBtfExt(copy, 'a.o: section .BTF.ext', shapes, 4096)).toThrow(message);
  });
});
