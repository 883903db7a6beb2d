import { describe, expect, test } from 'vitest';
import { InputError } from '../base/error.ts';
import { BPF_RELOC, EM_BPF, readBpfElf, readElf, SECTION_TYPE, writeBpfObject, writeElf } from './index.ts';

const exit = Uint8Array.of(0x95, 0, 0, 0, 0, 0, 0, 0);
const call = Uint8Array.of(0x85, 0, 0, 0, 0, 0, 0, 0);
const ldimm64 = Uint8Array.of(0x18, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
const join = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((p) => [...p]));

function object(littleEndian = true): Uint8Array {
  return writeBpfObject({
    littleEndian,
    functions: [
      {
        name: 'prog',
        section: 'xdp',
        insns: join(ldimm64, call, exit),
        relocs: [
          { insn: 0, kind: 'map', symbol: 'counts' },
          { insn: 2, kind: 'call', symbol: 'sub' },
        ],
      },
      { name: 'sub', section: '.text', insns: exit, static: true },
    ],
    maps: [{ name: 'counts', type: 1, keySize: 4, valueSize: 8, maxEntries: 16 }],
  });
}

function sentence(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    return (error as InputError).message;
  }
  throw new Error('nothing was thrown');
}

describe.each([true, false])('an object that was written (little-endian: %s)', (littleEndian) => {
  const elf = readBpfElf(object(littleEndian), 'a.o');

  test('reads back as it was described', () => {
    expect(elf.machine).toBe(EM_BPF);
    expect(elf.littleEndian).toBe(littleEndian);
    expect(elf.sections.map((s) => s.name)).toEqual([
      '',
      'xdp',
      '.text',
      'maps',
      'license',
      '.symtab',
      '.strtab',
      '.relxdp',
    ]);
    expect(elf.symbols.map((s) => s.name)).toEqual(['', 'sub', 'prog', 'counts', '_license']);
  });

  test('has its relocations against the renumbered symbols', () => {
    const [relocs] = elf.relocs;
    expect(elf.sections[relocs!.target]?.name).toBe('xdp');
    expect(relocs!.relocs.map((r) => [r.offset, r.type, elf.symbols[r.symbol]?.name])).toEqual([
      [0, BPF_RELOC.insn64.code, 'counts'],
      [16, BPF_RELOC.insn32.code, 'sub'],
    ]);
  });
});

describe('bad files are refused with the file, the section and the offset', () => {
  const good = object();
  const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset);
  const headerAt = Number(view(good).getBigUint64(40, true));
  /** Changes a field of a section header: 24 offset, 32 size, 40 link, 44 info, 0 name. */
  const patched = (edit: (v: DataView, section: (i: number) => number) => void) => {
    const copy = good.slice();
    edit(view(copy), (i) => headerAt + i * 64);
    return copy;
  };
  const cases: [string, Uint8Array, RegExp][] = [
    ['empty', new Uint8Array(0), /a\.o: the file is empty/],
    ['not ELF', Uint8Array.of(1, 2, 3, 4), /a\.o: not an ELF file: the bytes at offset 0/],
    ['header cut', good.slice(0, 40), /a\.o: the ELF header needs 64 bytes .* ends at 40/],
    ['32-bit', patched((v) => v.setUint8(4, 1)), /a\.o: ELF header at offset 4: .* 32-bit/],
    ['byte order', patched((v) => v.setUint8(5, 3)), /a\.o: ELF header at offset 5/],
    ['machine', patched((v) => v.setUint16(18, 62, true)), /a\.o: ELF header at offset 18: machine 62/],
    ['executable', patched((v) => v.setUint16(16, 2, true)), /a\.o: ELF header at offset 16/],
    [
      'sections cut',
      good.slice(0, good.length - 1),
      /a\.o: section table \(8 sections\) needs .* offset \d+/,
    ],
    ['wild table', patched((v) => v.setBigUint64(40, 1n << 60n, true)), /section table offset at offset 40/],
    [
      'wild section',
      patched((v, s) => v.setBigUint64(s(1) + 24, 0xffffffn, true)),
      /section 1 \(xdp\) needs 32 bytes at offset 16777215/,
    ],
    [
      'overlap',
      patched((v, s) => v.setBigUint64(s(2) + 24, 64n, true)),
      /section 1 \(xdp\) .*overlaps section 2/,
    ],
    ['header overlap', patched((v, s) => v.setBigUint64(s(1) + 24, 0n, true)), /overlaps/],
    [
      'section name',
      patched((v, s) => v.setUint32(s(1), 9999, true)),
      /name of section 1: string offset 9999 is past the table of \d+ bytes at offset \d+/,
    ],
    [
      'name table',
      patched((v) => v.setUint16(62, 1, true)),
      /offset 62: section 1, .* is not a string table/,
    ],
    [
      'strtab link',
      patched((v, s) => v.setUint32(s(5) + 40, 77, true)),
      /section 5 \(\.symtab\).*section 77/,
    ],
    ['reloc link', patched((v, s) => v.setUint32(s(7) + 40, 1, true)), /section 7 \(\.relxdp\).*section 1/],
    [
      'reloc target',
      patched((v, s) => v.setUint32(s(7) + 44, 50, true)),
      /section 7 \(\.relxdp\).*section 50/,
    ],
    [
      'table size',
      patched((v, s) => v.setBigUint64(s(7) + 32, 31n, true)),
      /section 7 .*not a multiple of 16/,
    ],
  ];
  test.each(cases)('%s', (_, bytes, message) => {
    expect(sentence(() => readBpfElf(bytes, 'a.o'))).toMatch(message);
  });

  test('relocations past the section, or against no symbol', () => {
    const section = (offset: number, symbol: number) => {
      const bytes = writeElf({
        sections: [{ name: 'xdp', data: exit, relocs: [{ offset, type: 1, symbol: 0 }] }],
        symbols: [{ name: 'm' }],
      });
      const rel = readElf(bytes, 'b.o').sections.find((s) => s.type === SECTION_TYPE.rel);
      return { bytes, at: rel!.offset, symbol };
    };
    expect(sentence(() => section(8, 0))).toMatch(
      /relocation 0 at offset \d+ is for byte 8 of section 1 \(xdp\)/,
    );
    const { bytes, at } = section(0, 0);
    view(bytes).setUint32(at + 12, 900, true);
    expect(sentence(() => readElf(bytes, 'b.o'))).toMatch(/names symbol 900, but the symbol table has 2/);
  });

  test('any mutated byte gives a file or an InputError', () => {
    let seed = 1;
    const next = (n: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
      return seed % n;
    };
    for (let i = 0; i < 5000; i++) {
      const copy = good.slice();
      for (let n = 0; n <= next(4); n++) copy[next(copy.length)] = next(256);
      try {
        readElf(copy, 'a.o');
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
      }
    }
  });
});
