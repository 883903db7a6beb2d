import { describe, expect, test } from 'vitest';
import { parse, readObject } from '../../test/loader/objects.ts';
import { InputError } from '../base/error.ts';
import { BtfBuilder, type BtfTypeId } from '../btf/index.ts';
import { SYMBOL_TYPE, writeElf } from '../elf/index.ts';
import { linkProgram, type MapSpec, parseObject } from './index.ts';

const brief = (map: MapSpec | undefined) =>
  map && [map.type, map.keySize, map.valueSize, map.maxEntries, map.flags];

describe('features.o: what clang says with BTF', () => {
  const spec = parse('features.o');

  test('programs by section, several in one, one on demand', () => {
    const rows = [...spec.programs.values()].map((p) => [p.name, p.section, p.type, p.autoload, p.target]);
    expect(rows.sort()).toEqual(
      [
        ['main_prog', 'xdp', 'xdp', true, undefined],
        ['leaf', 'xdp', 'xdp', true, undefined],
        ['on_demand', '?xdp', 'xdp', false, undefined],
        ['symbols', 'raw_tp/sys_enter', 'raw_tracepoint', true, 'sys_enter'],
        ['kfuncs', 'syscall', 'syscall', true, undefined],
        ['sleepable', '?lsm.s/file_open', 'lsm', false, 'file_open'],
      ].sort(),
    );
    expect(spec.programs.get('sleepable')).toMatchObject({
      sleepable: true,
      attach: 'lsm_mac',
      attachBtf: true,
    });
    expect(spec.license).toBe('GPL');
  });

  test('maps with every attribute', () => {
    expect(brief(spec.maps.get('counts'))).toEqual(['hash', 4, 16, 16, 1]);
    expect(brief(spec.maps.get('events'))).toEqual(['perf_event_array', 4, 4, 0, 0]);
    expect(brief(spec.maps.get('ring'))).toEqual(['ringbuf', 0, 0, 5000, 0]);
    expect(spec.maps.get('bloom')?.extra).toBe(3n);
    expect(spec.maps.get('pinned')?.pin).toBe('pinned');
    expect(spec.maps.get('counts')?.pin).toBeUndefined();
    expect(spec.btf!.nameOf(spec.maps.get('counts')!.valueType)).toBe('value');
  });

  test('maps in maps, and programs in a prog array', () => {
    const outer = spec.maps.get('outer')!;
    expect(brief(outer.inner)).toEqual(['array', 4, 8, 2, 0]);
    expect(outer.slots).toEqual([
      { index: 0, kind: 'map', name: 'inner_one' },
      { index: 3, kind: 'map', name: 'inner_two' },
    ]);
    expect(spec.maps.get('tails')?.slots).toEqual([{ index: 1, kind: 'prog', name: 'leaf' }]);
    expect(brief(spec.maps.get('tails'))).toEqual(['prog_array', 4, 4, 2, 0]);
  });

  test("global data as maps, named as libbpf names them, read-only where it is the program's", () => {
    const names = ['.rodata', '.rodata.tuning', '.data', '.bss', '.kconfig'];
    expect(names.map((name) => spec.maps.get(name)?.kernelName)).toEqual([
      'features.rodata',
      '.rodata.tuning',
      'features.data',
      'features.bss',
      'feature.kconfig',
    ]);
    expect(names.map((name) => spec.maps.get(name)?.frozen)).toEqual([true, true, false, false, true]);
    expect(names.map((name) => spec.maps.get(name)?.flags)).toEqual([1152, 1152, 1024, 1024, 1152]);
  });

  test('variables by name, typed', () => {
    const value = (name: string) => spec.variables.get(name)?.get();
    expect(value('threshold')).toBe(7);
    expect(value('signed_limit')).toBe(-5n);
    expect(value('verbose')).toBe(true);
    expect(value('custom')).toBe(300);
    expect(value('seen')).toBe(0n);
    expect(value('hidden_counter')).toBe(3);
    expect(value('total')).toEqual(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0));
    expect(new TextDecoder().decode(value('banner') as Uint8Array)).toBe('skep\0\0\0\0');
  });

  test('externs: configuration, symbols, functions', () => {
    const rows = [...spec.externs.values()].map((e) => [e.name, e.kind, e.weak]).sort();
    expect(rows).toEqual([
      ['CONFIG_BPF_SYSCALL', 'kconfig', false],
      ['CONFIG_HZ', 'kconfig', true],
      ['CONFIG_NO_SUCH_OPTION', 'kconfig', true],
      ['LINUX_KERNEL_VERSION', 'kconfig', false],
      ['bpf_task_from_pid', 'kfunc', true],
      ['bpf_task_release', 'kfunc', true],
      ['no_such_kfunc', 'kfunc', true],
      ['no_such_symbol', 'ksym', true],
      ['schedule', 'ksym', false],
    ]);
    expect(spec.externs.get('schedule')).toMatchObject({ type: undefined });
    expect(spec.externs.get('CONFIG_BPF_SYSCALL')).toMatchObject({ shape: 'bool', size: 1, offset: 12 });
  });

  test('a program and its subprograms become one, in the order of calling, each once', () => {
    const linked = linkProgram(spec, spec.programs.get('main_prog')!);
    expect(linked.funcs.map((f) => f.name)).toEqual(['main_prog', 'step', 'grade', 'weigh']);
    expect(linked.lines[0]?.insn).toBe(0);
    for (const { insn } of linked.funcs) expect(linked.lines.some((l) => l.insn === insn)).toBe(true);
    expect(linked.refs.map((r) => r.kind)).not.toContain('call');
  });

  test('sections of the BTF have sizes, and externs have places', () => {
    const btf = spec.btf!;
    for (const id of btf.ids()) {
      if (btf.kind(id) !== 'datasec') continue;
      const section = btf.typeOf(id, 'datasec');
      expect(section.size).toBeGreaterThan(0);
      const offsets = section.vars.map((v) => v.offset);
      expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
    }
  });

  test('the same bytes give the same spec, and a parse does not share bytes with its input', () => {
    const bytes = readObject('features.o');
    const first = parseObject(bytes, 'features.o');
    bytes.fill(0);
    const again = parse('features.o');
    expect(first.maps).toEqual(again.maps);
    expect(first.functions).toEqual(again.functions);
    expect(first.programs).toEqual(again.programs);
  });
});

describe('variables are set before loading', () => {
  const spec = () => parse('features.o');
  const refusal = (name: string, value: Parameters<NonNullable<ReturnType<typeof pick>>['set']>[0]) =>
    expect(() => pick(name)!.set(value));
  const pick = (name: string) => spec().variables.get(name);

  test('numbers, bigints, booleans and bytes', () => {
    const { variables, maps } = spec();
    variables.get('threshold')!.set(0xffff_ffff);
    variables.get('signed_limit')!.set(-9n);
    variables.get('verbose')!.set(false);
    variables.get('banner')!.set(new TextEncoder().encode('hive'));
    expect(variables.get('threshold')!.get()).toBe(0xffff_ffff);
    expect(variables.get('signed_limit')!.get()).toBe(-9n);
    expect(variables.get('verbose')!.get()).toBe(false);
    const { offset, map } = variables.get('banner')!;
    expect([...maps.get(map)!.data!.subarray(offset, offset + 5)]).toEqual([0x68, 0x69, 0x76, 0x65, 0]);
  });

  test('what does not fit is refused with the name', () => {
    refusal('threshold', 2 ** 32).toThrow(
      /variable threshold \(\.rodata\): 4294967296 does not fit into 32 bits/,
    );
    refusal('threshold', 1.5).toThrow(/1\.5 is not an integer/);
    refusal('banner', new Uint8Array(9)).toThrow(/9 bytes do not fit into its 8/);
    refusal('total', 1).toThrow(/it is no scalar; pass its 16 bytes/);
  });
});

describe('every compiler', () => {
  const objects = ['simple.clang14-v1.o', 'simple.clang19-v4.o', 'simple.gcc12.o', 'simple.big-endian.o'];

  test.each(objects)('%s has the same programs, map and data', (name) => {
    const spec = parse(name);
    expect([...spec.programs.keys()].sort()).toEqual(['count', 'pass']);
    expect(brief(spec.maps.get('counts'))).toEqual(['hash', 4, 8, 16, 0]);
    const values = ['factor', 'other', 'offset', 'threshold'].map((v) => spec.variables.get(v)?.get());
    expect(values).toEqual([5, 6, 0, 7]);
    const linked = linkProgram(spec, spec.programs.get('count')!);
    expect(linked.funcs.map((f) => f.name).sort()).toEqual(['count', 'first', 'second', 'third']);
    const data = linked.refs.flatMap((r) => (r.kind === 'data' ? [`${r.map}+${r.off}`] : []));
    const expected = ['factor', 'offset', 'other', 'threshold'].map((variable) => {
      const { map, offset } = spec.variables.get(variable)!;
      return `${map}+${offset}`;
    });
    expect(new Set(data)).toEqual(new Set(expected));
  });

  test("a big-endian object's instructions are in the little-endian form", () => {
    const { functions } = parse('simple.big-endian.o');
    const last = functions[0]!.insns.subarray(-8);
    expect([...last]).toEqual([0x95, 0, 0, 0, 0, 0, 0, 0]);
  });

  test('Rust: a maps section in aya’s layout, subprograms in .text.NAME, a constant of its own section', () => {
    const spec = parse('rust_counter.o');
    expect(brief(spec.maps.get('COUNTS'))).toEqual(['array', 4, 8, 4, 0]);
    expect([...spec.programs.keys()]).toEqual(['count']);
    expect(linkProgram(spec, spec.programs.get('count')!).funcs.map((f) => f.name)).toEqual([
      'count',
      'bump',
    ]);
    expect(spec.maps.get('.rodata.VERDICT')?.data).toEqual(Uint8Array.of(2, 0, 0, 0));
  });

  test('iproute2: ids, pinning, an inner map, tail calls by section name', () => {
    const spec = parse('iproute2.o');
    expect([...spec.programs.values()].map((p) => [p.name, p.type, p.tail])).toEqual([
      ['tail_zero', undefined, { id: 42, index: 0 }],
      ['tail_three', undefined, { id: 42, index: 3 }],
      ['classify', undefined, undefined],
    ]);
    expect(spec.maps.get('jumps')?.id).toBe(42);
    expect(spec.maps.get('shared')?.pin).toBe('tc/globals/shared');
    expect(spec.maps.get('outer')).toMatchObject({
      inner: { name: 'inner', type: 'array' },
      slots: [{ index: 2, kind: 'map', name: 'inner' }],
    });
  });

  test('struct_ops: programs at the offsets of their members', () => {
    const ops = parse('struct_ops.o').maps.get('skep_cc')?.structOps;
    expect(ops).toMatchObject({ typeName: 'tcp_congestion_ops', link: true });
    expect(ops?.funcs).toEqual([
      { offset: 0, program: 'skep_ssthresh' },
      { offset: 8, program: 'skep_cong_avoid' },
      { offset: 16, program: 'skep_undo_cwnd' },
    ]);
  });
});

describe('bad objects', () => {
  const good = readObject('features.o');
  const sentence = (bytes: Uint8Array): string => {
    try {
      parseObject(bytes, 'bad.o');
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
      return (error as InputError).message;
    }
    return '';
  };

  /** An object with one map in `.maps`, whose struct has these members. */
  const mapObject = (declare: (btf: BtfBuilder) => { name: string; type: BtfTypeId }[]) => {
    const btf = new BtfBuilder();
    const members = declare(btf).map((m, i) => ({ ...m, bitOffset: i * 64, bitSize: 0 }));
    const size = members.length * 8;
    const type = btf.add({ kind: 'struct', name: '', size, bitfields: false, members });
    const variable = btf.add({ kind: 'var', name: 'huge', type, linkage: 'global' });
    btf.add({ kind: 'datasec', name: '.maps', size: 0, vars: [{ type: variable, offset: 0, size }] });
    return writeElf({
      sections: [
        { name: '.maps', data: new Uint8Array(size) },
        { name: '.BTF', data: btf.encode() },
      ],
      symbols: [{ name: 'huge', section: 0, size, type: SYMBOL_TYPE.object }],
    });
  };
  const uint = (btf: BtfBuilder, length: number) => {
    const type = btf.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bits: 32, bitOffset: 0 });
    return btf.add({ kind: 'ptr', type: btf.add({ kind: 'array', type, indexType: type, length }) });
  };

  test('2^32 map entries, an unknown map type, an unknown attribute', () => {
    const entries = mapObject((btf) => {
      const values = [{ name: 'entries', value: 2n ** 32n }];
      const type = btf.add({ kind: 'enum64', name: '', size: 8, signed: false, values });
      return [
        { name: 'type', type: uint(btf, 1) },
        { name: 'max_entries', type },
      ];
    });
    expect(sentence(entries)).toBe(
      'bad.o: section 1 (.maps): map huge at offset 0: attribute max_entries is 4294967296, ' +
        'which does not fit into 32 bits',
    );
    const unknown = mapObject((btf) => [{ name: 'type', type: uint(btf, 99) }]);
    expect(sentence(unknown)).toMatch(/section 1 \(\.maps\): map huge at offset 0: map type 99 is unknown/);
    const attribute = mapObject((btf) => [{ name: 'colour', type: uint(btf, 1) }]);
    expect(sentence(attribute)).toMatch(/map huge at offset 0: attribute colour is unknown/);
  });

  test('BTF that goes round in a circle', () => {
    const cyclic = mapObject((btf) => {
      const next = btf.nextId;
      btf.add({ kind: 'typedef', name: 'a', type: (next + 1) as BtfTypeId });
      btf.add({ kind: 'typedef', name: 'b', type: next });
      return [{ name: 'type', type: next }];
    });
    expect(sentence(cyclic)).toMatch(/^bad\.o: section 2 \(\.BTF\).*offset \d+/);
  });

  /** An object with one program and a relocation in it. */
  const relocObject = (insns: number[], offset: number, value = 0) =>
    writeElf({
      sections: [
        { name: 'xdp', data: Uint8Array.from(insns), flags: 6, relocs: [{ offset, type: 1, symbol: 1 }] },
        { name: '.data', data: new Uint8Array(8), flags: 3 },
      ],
      symbols: [
        { name: 'p', section: 0, size: insns.length, type: SYMBOL_TYPE.func },
        { name: 'd', section: 1, value, size: 4, type: SYMBOL_TYPE.object },
      ],
    });
  const exit = [0x95, 0, 0, 0, 0, 0, 0, 0];
  const wide = [0x18, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

  test('wild relocations', () => {
    expect(sentence(relocObject([...wide, ...exit], 0))).toBe('');
    expect(sentence(relocObject([...wide, ...exit], 3))).toMatch(
      /section 1 \(xdp\): relocation R_BPF_64_64 against d at offset 3: it does not fall on an instruction/,
    );
    expect(sentence(relocObject(exit, 0))).toMatch(/at offset 0: the instruction \(opcode 0x95\) is neither/);
    expect(sentence(relocObject([...exit, ...wide.slice(0, 8)], 8))).toMatch(
      /at offset 8: .* no second half in p/,
    );
    expect(sentence(relocObject([...wide, ...exit], 0, 9))).toMatch(/byte 9 is not in section 2 \(8 bytes\)/);
  });

  test('code that is no whole number of instructions', () => {
    expect(sentence(relocObject([...wide, ...exit, 0], 0))).toMatch(
      /section 1 \(xdp\): 25 bytes of code at offset 64 are not a multiple of 8/,
    );
  });

  test('cut at every 64th byte: a sentence that names the file', () => {
    for (let length = 0; length < good.length; length += 64) {
      expect(sentence(good.slice(0, length))).toMatch(/^bad\.o: /);
    }
  });

  test('mutated bytes give a spec or a sentence', () => {
    let seed = 7;
    const next = (n: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
      return (seed >>> 8) % n;
    };
    const objects = ['features.o', 'core_kinds.o', 'iproute2.o', 'simple.gcc12.o', 'struct_ops.o'].map(
      readObject,
    );
    for (let i = 0; i < 1000; i++) {
      const copy = new Uint8Array(objects[next(objects.length)]!);
      for (let n = 0; n <= next(4); n++) copy[next(copy.length)] = next(256);
      try {
        const spec = parseObject(copy, 'bad.o');
        for (const program of spec.programs.values()) linkProgram(spec, program);
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
      }
    }
  });
});
