import { describe, expect, test } from 'vitest';
import { FakeKernel, parse } from '../../test/loader/objects.ts';
import { InputError } from '../base/error.ts';
import { BtfBuilder, parseBtf, sizeOf } from '../btf/index.ts';
import type { Fd } from '../sys/index.ts';
import { loadObject } from './index.ts';
import { sanitizeBtf } from './sanitize-btf.ts';

/** A kernel with just the types that the test object is attached to or calls. */
function smallVmlinux(): Uint8Array {
  const btf = new BtfBuilder();
  const int = btf.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bits: 32, bitOffset: 0 });
  const task = btf.add({ kind: 'struct', name: 'task_struct', size: 4, bitfields: false, members: [] });
  const pointer = btf.add({ kind: 'ptr', type: task });
  const get = btf.add({ kind: 'func_proto', returns: pointer, params: [{ name: 'pid', type: int }] });
  btf.add({ kind: 'func', name: 'bpf_task_from_pid', type: get, linkage: 'static' });
  const hook = btf.add({ kind: 'func_proto', returns: int, params: [] });
  btf.add({ kind: 'func', name: 'bpf_lsm_file_open', type: hook, linkage: 'static' });
  return btf.encode();
}

const kernel = () =>
  new FakeKernel({ btf: smallVmlinux(), kconfig: { CONFIG_HZ: '250', CONFIG_BPF_SYSCALL: 'y' } });

const word = (bytes: Uint8Array, at = 0) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
const refusal = (run: () => unknown): InputError => {
  try {
    run();
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};

describe('loading', () => {
  test('makes the BTF first, then maps, then programs; data is written and frozen', () => {
    const fake = kernel();
    const spec = parse('features.o');
    spec.variables.get('threshold')!.set(99);
    const object = loadObject(fake, spec);
    const order = fake.calls
      .map((c) => c.command)
      .filter((c) => c === 'btf_load' || c === 'prog_load' || c === 'map_create');
    expect(order[0]).toBe('btf_load');
    expect(order.lastIndexOf('map_create')).toBeLessThan(order.indexOf('prog_load'));
    expect([...object.programs.keys()].sort()).toEqual(['kfuncs', 'leaf', 'main_prog', 'symbols']);

    const rodata = object.map('.rodata');
    const write = fake.of('map_update_elem').find((a) => a.map_fd === rodata.fd)!;
    expect(word(write.value, spec.variables.get('threshold')!.offset)).toBe(99);
    const frozen = fake.of('map_freeze').map((a) => a.map_fd);
    expect(frozen).toEqual(['.rodata', '.rodata.tuning', '.kconfig'].map((n) => object.map(n).fd));
    object.close();
    expect([...fake.open]).toEqual([]);
  });

  test("sizes that depend on the kernel, types that the kernel takes no BTF for, flags, the caller's numbers", () => {
    const fake = kernel();
    const object = loadObject(fake, parse('features.o'), { maxEntries: { counts: 5 } });
    const created = new Map(fake.of('map_create').map((a) => [a.map_name, a]));
    expect(created.get('events')).toMatchObject({ max_entries: 4 });
    expect(created.get('events')?.btf_fd).toBeUndefined();
    expect(created.get('ring')).toMatchObject({ max_entries: 8192 });
    expect(created.get('counts')).toMatchObject({ max_entries: 5, map_flags: 1, btf_fd: object.btfFd });
    expect(created.get('bloom')).toMatchObject({ map_extra: 3n });
    expect(object.map('counts').maxEntries).toBe(5);
  });

  test('only the maps that are used, when that is asked for', () => {
    const fake = kernel();
    const names = (programs: string[]) =>
      [...loadObject(fake, parse('features.o'), { programs, maps: 'used' }).maps.keys()].sort();
    expect(names(['on_demand'])).toEqual([]);
    expect(names(['symbols'])).toEqual(['.bss', '.kconfig']);
    expect(names(['main_prog'])).toContain('tails');
    expect(names(['main_prog'])).not.toContain('bloom');
  });

  test('inner maps: a template that is let go of, and the maps at their indexes', () => {
    const fake = kernel();
    const object = loadObject(fake, parse('features.o'));
    const outer = fake.of('map_create').find((a) => a.map_name === 'outer')!;
    expect(outer.inner_map_fd).toBeDefined();
    expect(fake.open.has(outer.inner_map_fd!)).toBe(false);
    const slots = fake.of('map_update_elem').filter((a) => a.map_fd === object.map('outer').fd);
    expect(slots.map((a) => [word(a.key!), word(a.value)])).toEqual([
      [0, object.map('inner_one').fd],
      [3, object.map('inner_two').fd],
    ]);
    const tails = fake.of('map_update_elem').filter((a) => a.map_fd === object.map('tails').fd);
    expect(tails.map((a) => [word(a.key!), word(a.value)])).toEqual([[1, object.program('leaf').fd]]);
  });

  test('configuration values: present, absent and made up', () => {
    const fake = kernel();
    const spec = parse('features.o');
    const object = loadObject(fake, spec);
    const value = fake.of('map_update_elem').find((a) => a.map_fd === object.map('.kconfig').fd)!.value;
    const at = (name: string) => {
      const found = spec.externs.get(name);
      if (found?.kind !== 'kconfig') throw new Error(`${name} is no configuration value`);
      return found.size === 4 ? word(value, found.offset) : value[found.offset];
    };
    expect(at('LINUX_KERNEL_VERSION')).toBe((6 << 16) | (18 << 8) | 44);
    expect(at('CONFIG_HZ')).toBe(250);
    expect(at('CONFIG_BPF_SYSCALL')).toBe(1);
    expect(at('CONFIG_NO_SUCH_OPTION')).toBe(0);
    // The spec is not the kernel's: loading leaves it as it was.
    expect(spec.maps.get('.kconfig')!.data!.every((b) => b === 0)).toBe(true);
  });

  test('kernel symbols: an address, a function by type, and what is absent can only stand unreached', () => {
    const fake = kernel();
    loadObject(fake, parse('features.o'));
    const insns = (name: string) => fake.of('prog_load').find((a) => a.prog_name === name)!.insns;
    const symbols = insns('symbols');
    const loads: bigint[] = [];
    for (let at = 0; at < symbols.length; at += 8) {
      if (symbols[at] !== 0x18 || symbols[at + 1]! >> 4 !== 0) continue;
      loads.push(BigInt(word(symbols, at + 4)) | (BigInt(word(symbols, at + 12)) << 32n));
      at += 8;
    }
    expect(loads).toContain(0xffff_ffff_8100_1234n);
    expect(loads).toContain(0n);
    const calls: string[] = [];
    const kfuncs = insns('kfuncs');
    for (let at = 0; at < kfuncs.length; at += 8) {
      if (kfuncs[at] === 0x85) calls.push(`${kfuncs[at + 1]! >> 4}:${word(kfuncs, at + 4)}`);
    }
    // bpf_task_from_pid is type 5; bpf_task_release and no_such_kfunc are not there.
    expect(calls).toEqual(['0:2002000000', '2:5', '0:2002000000']);
  });

  test('functions and lines go with the program, at its own instruction numbers', () => {
    const fake = kernel();
    loadObject(fake, parse('features.o'), { programs: ['leaf'] });
    const attr = fake.of('prog_load')[0]!;
    expect(attr.prog_name).toBe('leaf');
    expect(attr.func_info!.length).toBe(2 * 8);
    expect(word(attr.func_info!, 0)).toBe(0);
    expect(word(attr.line_info!, 0)).toBe(0);
    const last = word(attr.line_info!, attr.line_info!.length - 16);
    expect(last).toBeLessThan(attr.insns.length / 8);
  });

  test('a program of an LSM hook: its target by type, and it may sleep', () => {
    const fake = kernel();
    loadObject(fake, parse('features.o'), { programs: ['sleepable'] });
    expect(fake.of('prog_load')[0]).toMatchObject({
      prog_type: 'lsm',
      expected_attach_type: 'lsm_mac',
      attach_btf_id: 7,
      prog_flags: 16,
    });
  });

  test('pinned maps are made once, then shared', () => {
    const fake = kernel();
    const options = { programs: ['leaf'], pinRoot: '/pins' };
    const first = loadObject(fake, parse('features.o'), options);
    expect(fake.pinned.get('/pins/pinned')).toBe(first.map('pinned').fd);
    const second = loadObject(fake, parse('features.o'), options);
    expect(second.map('pinned').fd).toBe(first.map('pinned').fd);
    expect(fake.of('map_create').filter((a) => a.map_name === 'pinned')).toHaveLength(1);
    const other = refusal(() =>
      loadObject(fake, parse('features.o'), { ...options, maxEntries: { pinned: 9 } }),
    );
    expect(other.message).toMatch(
      /map pinned: the map pinned as \/pins\/pinned can't be used: its max_entries is 1, .* 9/,
    );
  });

  test("a given map is used, not made, and stays the caller's", () => {
    const fake = kernel();
    const given = fake.bpf.map_create({
      map_type: 'hash',
      key_size: 4,
      value_size: 16,
      max_entries: 16,
      map_flags: 1,
    });
    const object = loadObject(fake, parse('features.o'), { reuseMaps: { counts: given } });
    expect(object.map('counts').fd).toBe(given);
    object.close();
    expect([...fake.open]).toEqual([given]);
  });

  test('iproute2: the type is given, and tail calls are put into the prog array', () => {
    const fake = kernel();
    const spec = parse('iproute2.o');
    expect(refusal(() => loadObject(fake, spec)).message).toMatch(
      /program tail_zero: section 42\/0 says no program type/,
    );
    const object = loadObject(fake, spec, { type: 'sched_cls', programs: ['classify'] });
    const tails = fake.of('map_update_elem').filter((a) => a.map_fd === object.map('jumps').fd);
    expect(tails.map((a) => [word(a.key!), word(a.value)])).toEqual([
      [0, object.program('tail_zero').fd],
      [3, object.program('tail_three').fd],
    ]);
    expect(fake.pinned.has('/sys/fs/bpf/tc/globals/shared')).toBe(true);
  });
});

describe('kernels that are older than the compiler', () => {
  /** Refuses BTF that has one of these kinds. */
  const lacking = (...kinds: string[]) => {
    const fake = kernel();
    fake.refuse = (call) => {
      if (call.command !== 'btf_load') return;
      const btf = parseBtf(call.attr.btf, 'loaded');
      const unknown = [...btf.ids()].find((id) => kinds.includes(btf.kind(id)));
      if (unknown !== undefined)
        throw new InputError('fake', `what is ${btf.describe(unknown)}?`, { errno: 'EINVAL' });
    };
    return fake;
  };

  test.each([[['datasec', 'var']], [['func', 'func_proto', 'datasec', 'var']]])(
    'without %s: the rest of the BTF is used',
    (kinds) => {
      const fake = lacking(...kinds);
      const object = loadObject(fake, parse('features.o'));
      expect(object.btfFd).toBeDefined();
      const counts = fake.of('map_create').find((a) => a.map_name === 'counts')!;
      const loaded = parseBtf(fake.of('btf_load').at(-1)!.btf, 'loaded');
      expect(loaded.describe(counts.btf_value_type_id!)).toBe(
        `type ${counts.btf_value_type_id} (STRUCT value)`,
      );
      const described = fake.of('prog_load').some((a) => a.func_info !== undefined);
      expect(described).toBe(!kinds.includes('func'));
      object.close();
      expect([...fake.open]).toEqual([]);
    },
  );

  test('every kind that is younger than BTF has a stand-in of its size', () => {
    const btf = new BtfBuilder();
    const int = btf.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bits: 32, bitOffset: 0 });
    const float = btf.add({ kind: 'float', name: 'double', size: 8 });
    const wide = { name: 'wide', size: 8, signed: true, values: [{ name: 'big', value: -1n }] };
    const enum64 = btf.add({ kind: 'enum64', ...wide });
    const tag = btf.add({ kind: 'type_tag', name: 'user', type: int, attribute: false });
    btf.add({ kind: 'decl_tag', name: 'note', type: float, component: -1, attribute: false });
    const old = lacking('float', 'enum64', 'type_tag', 'decl_tag');
    const { bytes } = sanitizeBtf(old, btf.build('new'))!;
    old.bpf.btf_load({ btf: bytes });
    const made = parseBtf(bytes, 'old');
    expect([float, enum64].map((id) => [made.kind(id), sizeOf(made, id)])).toEqual([
      ['struct', 8],
      ['union', 8],
    ]);
    expect(made.type(tag)).toEqual({ kind: 'const', type: int });
  });

  test('a kernel that knows every kind refused for another reason', () => {
    expect(sanitizeBtf(kernel(), parse('features.o').btf!)).toBeUndefined();
  });
});

describe('when something fails', () => {
  test('at any call, everything that was made is closed again', () => {
    const healthy = kernel();
    loadObject(healthy, parse('features.o'));
    const total = healthy.calls.length;
    for (let n = 0; n < total; n++) {
      const fake = kernel();
      let at = 0;
      fake.refuse = (call) => {
        if (at++ >= n && call.command !== 'obj_get')
          throw new InputError('fake', 'refused', { errno: 'EPERM' });
      };
      expect(refusal(() => loadObject(fake, parse('features.o'))).message).toMatch(/refused/);
      expect([...fake.open]).toEqual([]);
    }
  });

  test("a verifier's refusal names the program, and has the errno and the log", () => {
    const fake = kernel();
    fake.refuse = (call) => {
      if (call.command !== 'prog_load') return;
      const detail = call.attr.log_level ? { detail: 'R1 !read_ok' } : {};
      throw new InputError('fake', 'refused', { errno: 'EACCES', ...detail });
    };
    const error = refusal(() => loadObject(fake, parse('features.o'), { programs: ['leaf'] }));
    expect(error).toMatchObject({ code: 'loader-prog-load', errno: 'EACCES', detail: 'R1 !read_ok' });
    expect(error.message).toMatch(/^features\.o: program leaf \(section xdp\): refused/);
  });

  test('BTF that the kernel refuses is left out', () => {
    const fake = kernel();
    fake.refuse = (call) => {
      if (call.command === 'btf_load') throw new InputError('fake', 'no BTF here', { errno: 'EINVAL' });
    };
    const object = loadObject(fake, parse('features.o'));
    expect(object.btfFd).toBeUndefined();
    expect(object.btfProblem?.message).toBe('no BTF here');
    expect(fake.of('prog_load').every((a) => a.func_info === undefined)).toBe(true);
    expect(fake.of('map_create').every((a) => a.btf_fd === undefined)).toBe(true);
  });

  test('sentences for names, byte order, symbols and types that are not there', () => {
    const fake = kernel();
    const load = (name: string, options = {}) =>
      refusal(() => loadObject(fake, parse(name), options)).message;
    expect(load('features.o', { programs: ['nope'] })).toMatch(
      /there is no program nope; there are: .*main_prog/,
    );
    expect(load('simple.big-endian.o')).toMatch(/big-endian/);
    fake.ksym = () => undefined;
    expect(load('features.o')).toMatch(/section \.ksyms: the kernel has no symbol schedule/);
    const bare = new FakeKernel({ kconfig: { CONFIG_BPF_SYSCALL: 'y' } });
    expect(refusal(() => loadObject(bare, parse('core_kinds.o'), { programs: ['fields'] })).message).toMatch(
      /CO-RE relocations need the kernel's types, but the kernel has no BTF/,
    );
    expect([...fake.open, ...bare.open]).toEqual([] as Fd[]);
  });

  test('a configuration value of another shape is refused', () => {
    const fake = new FakeKernel({ btf: smallVmlinux(), kconfig: { CONFIG_BPF_SYSCALL: 'm' } });
    expect(refusal(() => loadObject(fake, parse('features.o'))).message).toMatch(
      /section \.kconfig: extern CONFIG_BPF_SYSCALL: its value m is no bool/,
    );
  });
});
