/** Objects that are linked: what they do then, and that it is what bpftool's linker makes of them. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BtfBuilder, type BtfDeclaredType, type BtfTypeId, parseBtf, VOID } from '../../src/btf/index.ts';
import { linkObjects } from '../../src/cli/gen/link-object.ts';
import { uniqueTypes } from '../../src/cli/gen/unique-types.ts';
import {
  BPF_RELOC,
  type ElfSectionInput,
  type ElfSymbolInput,
  findSection,
  readElf,
  SECTION_FLAG,
  SYMBOL_BIND,
  SYMBOL_TYPE,
  writeElf,
} from '../../src/elf/index.ts';
import { createKernel } from '../../src/index.ts';
import { loadObject, parseObject } from '../../src/loader/index.ts';
import { asm, needsLinux, theLinux } from '../linux/support.ts';
import { skep, temporaryFolder } from './harness.ts';

const folder = temporaryFolder();
const CODE = SECTION_FLAG.alloc | SECTION_FLAG.execinstr;
/** `call` of a function that a relocation names, its addend in the immediate. */
const CALL = Uint8Array.of(0x85, 0x10, 0, 0, 0xff, 0xff, 0xff, 0xff);
const LICENSE: ElfSectionInput = { name: 'license', align: 1, data: new TextEncoder().encode('GPL\0') };
const SECTION = { type: SYMBOL_TYPE.section, bind: SYMBOL_BIND.local };

function join8(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** An XDP program that answers its own static function's value and that of `helper`, which is elsewhere. */
function caller(types: readonly ElfSectionInput[] = []): Uint8Array {
  const main = join8(CALL, asm('r6 = r0'), CALL, asm('r0 += r6\nexit'));
  const relocs = [
    { offset: 0, type: BPF_RELOC.insn32.code, symbol: 0 },
    { offset: 16, type: BPF_RELOC.insn32.code, symbol: 2 },
  ];
  return writeElf({
    sections: [
      { name: '.text', flags: CODE, data: asm('r0 = 3\nexit') },
      { name: 'xdp', flags: CODE, data: main, relocs },
      LICENSE,
      ...types,
    ],
    symbols: [
      { name: '', section: 0, ...SECTION },
      { name: 'own', section: 0, size: 16, type: SYMBOL_TYPE.func, bind: SYMBOL_BIND.local },
      { name: 'helper' },
      { name: 'main', section: 1, size: main.length, type: SYMBOL_TYPE.func },
    ],
  });
}

/** `helper`, which answers one more than the static function beside it. */
function helper(
  value: number,
  bind: number = SYMBOL_BIND.global,
  types: readonly ElfSectionInput[] = [],
): Uint8Array {
  const own = asm(`r0 = ${value}\nexit`);
  const data = join8(own, CALL, asm('r0 += 1\nexit'));
  const symbols: ElfSymbolInput[] = [
    { name: '', section: 0, ...SECTION },
    { name: 'own', section: 0, size: own.length, type: SYMBOL_TYPE.func, bind: SYMBOL_BIND.local },
    { name: 'helper', section: 0, value: own.length, size: 24, type: SYMBOL_TYPE.func, bind },
  ];
  const relocs = [{ offset: own.length, type: BPF_RELOC.insn32.code, symbol: 0 }];
  return writeElf({ sections: [{ name: '.text', flags: CODE, data, relocs }, LICENSE, ...types], symbols });
}

/** Links, loads and runs `main`. */
function answer(...objects: readonly Uint8Array[]): number {
  const bytes = linkObjects(objects.map((object, i) => ({ name: `${i}.o`, bytes: object })));
  using kernel = createKernel();
  using object = loadObject(kernel, parseObject(bytes, 'linked.o'));
  const prog_fd = object.program('main').fd;
  return kernel.bpf.prog_test_run({ prog_fd, data_in: new Uint8Array(64) }).retval;
}

describe('linked symbols', () => {
  it('resolves what is elsewhere and keeps static functions of a name apart', () => {
    expect(answer(caller(), helper(7))).toBe(3 + 7 + 1);
    expect(answer(helper(7), caller())).toBe(3 + 7 + 1);
  });

  it('takes the strong one before weak ones, and the first of these', () => {
    const weak = (value: number) => helper(value, SYMBOL_BIND.weak);
    expect(answer(caller(), weak(10), helper(20))).toBe(24);
    expect(answer(helper(20), weak(10), caller())).toBe(24);
    expect(answer(weak(30), caller(), weak(10))).toBe(34);
  });

  it.each([
    ['two that are strong', [helper(1), helper(2)], "failed to link '1.o': helper is defined in 0.o already"],
    [
      'licences that differ',
      [
        helper(1),
        writeElf({ sections: [{ ...LICENSE, data: new TextEncoder().encode('MIT\0') }], symbols: [] }),
      ],
      'it differs from that of the objects before it',
    ],
    [
      'another byte order',
      [helper(1), writeElf({ littleEndian: false, sections: [LICENSE], symbols: [] })],
      'byte order',
    ],
    [
      'a section of another type',
      [helper(1), writeElf({ sections: [{ name: '.text', data: new Uint8Array(8) }], symbols: [] })],
      'its type and flags are not those of the section .text',
    ],
    ['what is no object', [new Uint8Array(100)], 'not an ELF file'],
  ])('refuses %s', (_, objects, message) => {
    expect(() => linkObjects(objects.map((bytes, i) => ({ name: `${i}.o`, bytes })))).toThrow(message);
  });
});

/** A `.BTF` that declares or defines `helper` with so many integers for parameters. */
function helperTypes(linkage: 'extern' | 'global', parameters: number): ElfSectionInput {
  const builder = new BtfBuilder();
  const type = builder.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bits: 32, bitOffset: 0 });
  const name = linkage === 'extern' ? '' : 'n';
  const params = Array.from({ length: parameters }, () => ({ name, type }));
  const proto = builder.add({ kind: 'func_proto', returns: type, params });
  builder.add({ kind: 'func', name: 'helper', type: proto, linkage });
  return { name: '.BTF', flags: 0, data: builder.encode() };
}

describe('linked types', () => {
  it('makes one function of its declaration and its definition', () => {
    const linked = linkObjects([
      { name: 'a.o', bytes: caller([helperTypes('extern', 1)]) },
      { name: 'b.o', bytes: helper(1, SYMBOL_BIND.global, [helperTypes('global', 1)]) },
    ]);
    const btf = parseBtf(findSection(readElf(linked, 'linked.o'), '.BTF')!.data, '.BTF');
    const functions = btf.named('helper', 'func').map((id) => btf.typeOf(id, 'func'));
    expect(functions).toHaveLength(1);
    expect(functions[0]!.linkage).toBe('global');
    expect(btf.type(functions[0]!.type)).toMatchObject({ params: [{ name: 'n' }] });
    expect(btf.named('int')).toHaveLength(1);
  });

  it('refuses a declaration that is not of the definition', () => {
    const objects = [
      { name: 'a.o', bytes: caller([helperTypes('extern', 2)]) },
      { name: 'b.o', bytes: helper(1, SYMBOL_BIND.global, [helperTypes('global', 1)]) },
    ];
    expect(() => linkObjects(objects)).toThrow('it takes 2 parameters in one and 1 in the other');
  });

  it('finds structs the same that refer to themselves, and what a declaration means', () => {
    const list = (first: number): BtfDeclaredType[] => [
      {
        kind: 'struct',
        name: 'node',
        size: 8,
        bitfields: false,
        members: [{ name: 'next', type: (first + 1) as BtfTypeId, bitOffset: 0, bitSize: 0 }],
      },
      { kind: 'ptr', type: first as BtfTypeId },
    ];
    const { types, id } = uniqueTypes([
      ...list(1),
      ...list(3),
      { kind: 'fwd', name: 'node', of: 'struct' },
      { kind: 'ptr', type: 5 as BtfTypeId },
      { kind: 'ptr', type: VOID },
    ]);
    expect(types.map(({ kind }) => kind)).toEqual(['struct', 'ptr', 'ptr']);
    expect([1, 2, 3, 4, 5, 6, 7].map((old) => id(old as BtfTypeId))).toEqual([1, 2, 1, 2, 1, 2, 3]);
  });
});

describe('skep gen object', () => {
  it('writes one object of two, with the programs and maps of both', async () => {
    const out = join(folder, 'both.o');
    const inputs = ['examples/syn_counter.o', 'examples/firewall.o'];
    const { code, stdout, stderr } = await skep(['gen', 'object', out, ...inputs]);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: '' });
    const both = parseObject(readFileSync(out), 'both.o');
    const each = inputs.map((file) => parseObject(readFileSync(file), file));
    const names = (spec: typeof both) => [...spec.programs.keys(), ...spec.variables.keys()];
    expect(names(both).sort()).toEqual(each.flatMap(names).sort());
    for (const spec of each) {
      for (const [name, map] of spec.maps) {
        if (map.origin !== 'btf') continue;
        const { type, keySize, valueSize, maxEntries } = map;
        expect(both.maps.get(name)).toMatchObject({ type, keySize, valueSize, maxEntries });
      }
    }
    using kernel = createKernel();
    using loaded = loadObject(kernel, both);
    const pass = kernel.bpf.prog_test_run({
      prog_fd: loaded.program('firewall').fd,
      data_in: new Uint8Array(64),
    });
    expect(pass.retval).toBeLessThan(5);
  });

  it('says which object it is that does not fit, with the exit code of bpftool', async () => {
    const out = join(folder, 'none.o');
    const twice = await skep(['gen', 'object', out, 'examples/firewall.o', 'examples/firewall.o']);
    expect(twice.code).toBe(234);
    expect(twice.stderr).toMatch(
      /^Error: failed to link 'examples\/firewall.o': \w+ is defined in .* already/,
    );
    expect(existsSync(out)).toBe(false);
    const missing = await skep(['-j', 'gen', 'object', out, 'nowhere.o']);
    expect(missing.code).toBe(254);
    expect(JSON.parse(missing.stdout)).toEqual({
      error: "failed to link 'nowhere.o': No such file or directory (2)",
    });
  });
});

const CORPUS = 'corpora/selftests-6.12';
const PAIRS = ['linked_funcs', 'linked_vars', 'test_static_linked'];
const hasBpftool = spawnSync('bpftool', ['version']).error === undefined;
const LOAD = 0x18;

/** A program as the kernel has it; ids of maps are left out. */
function instructions(bytes: Uint8Array): string[] {
  const copy = Uint8Array.from(bytes);
  for (let at = 0; at < copy.length; at += 8) {
    if (copy[at] === LOAD && copy[at + 1]! >> 4 !== 0) copy.fill(0, at + 4, at + 8);
  }
  return Buffer.from(copy).toString('hex').match(/.{16}/g) ?? [];
}

needsLinux('objects linked by skep and by bpftool', () => {
  const kernel = theLinux();

  // libbpf's linker leaves the offset 0 of a map that is declared before it is defined, and libbpf 1.1 does not load that.
  it.skipIf(!existsSync(CORPUS))('load with maps that each declares of the other', () => {
    const files = [1, 2].map((n) => join(CORPUS, `linked_maps${n}.bpf.o`));
    const spec = parseObject(
      linkObjects(files.map((name) => ({ name, bytes: readFileSync(name) }))),
      'linked_maps',
    );
    using object = loadObject(kernel, spec);
    expect([...object.programs.keys()].sort()).toEqual([
      'handler_enter1',
      'handler_enter2',
      'handler_exit1',
      'handler_exit2',
    ]);
    const places = [...object.maps.keys()].sort();
    expect(places).toEqual(['.bss', 'map1', 'map2', 'map_weak']);
  });

  it.skipIf(!hasBpftool || !existsSync(CORPUS)).each(PAIRS)('are the same to the kernel: %s', (pair) => {
    const files = [1, 2].map((n) => join(CORPUS, `${pair}${n}.bpf.o`));
    const theirs = join(folder, `${pair}.o`);
    expect(spawnSync('bpftool', ['gen', 'object', theirs, ...files]).status).toBe(0);
    const ours = linkObjects(files.map((name) => ({ name, bytes: readFileSync(name) })));
    const [a, b] = [ours, readFileSync(theirs)].map((bytes) => {
      const spec = parseObject(bytes, pair);
      const programs = [...spec.programs.keys()].sort();
      using object = loadObject(kernel, spec, { programs });
      const loaded = programs.map((name) => {
        const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: object.program(name).fd });
        if (info.kind !== 'prog') throw new Error('not a program');
        return { name, type: info.type, insns: instructions(info.xlated_prog_insns) };
      });
      const maps = [...spec.maps.values()].map(({ name, type, keySize, valueSize, maxEntries, flags }) => ({
        name,
        type,
        keySize,
        valueSize,
        maxEntries,
        flags,
      }));
      return { loaded, maps: maps.sort((x, y) => (x.name < y.name ? -1 : 1)) };
    });
    expect(a!.loaded.every(({ insns }) => insns.length > 0)).toBe(true);
    expect(a).toEqual(b);
  });
});
