/**
 * The loader on the real kernel: the committed objects run, and every program of Debian's xdp-tools and libbpf-tools is
 * parsed, and loaded or refused for a reason that is the kernel's. Whether the instructions are libbpf's is measured by
 * `npm run parity:core`.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../src/base/error.ts';
import { writeBpfObject } from '../../src/elf/index.ts';
import { linkProgram, loadObject, type ObjectSpec, parseObject } from '../../src/loader/index.ts';
import type { Fd } from '../../src/sys/index.ts';
import { parse } from '../loader/objects.ts';
import { mountBpffs } from './place.ts';
import { asm, linux, needsLinux, theLinux, thrown, u32, u64 } from './support.ts';

const PACKET = new Uint8Array(64);
const XDP_PASS = 2;
const XDP_DROP = 1;

/** BTF of the running kernel that CO-RE needs. */
const hasTypes = linux?.vmlinuxBtf() !== undefined;

needsLinux('every compiler', () => {
  const kernel = theLinux();
  const objects = ['simple.clang14-v1.o', 'simple.clang19-v4.o', 'simple.gcc12.o'];

  test.each(objects)('%s runs, and its variables are what was set', (name) => {
    const spec = parse(name);
    spec.variables.get('factor')!.set(3);
    spec.variables.get('offset')!.set(10);
    spec.variables.get('threshold')!.set(100);
    using object = loadObject(kernel, spec);
    const count = object.program('count').fd;
    const run = () => kernel.bpf.prog_test_run({ prog_fd: count, data_in: PACKET }).retval;
    expect(run()).toBe(XDP_PASS);
    kernel.bpf.map_update_elem({ map_fd: object.map('counts').fd, key: u32(1), value: u64(4n) });
    // second(4) + third(1) + first(1), with other = 6.
    expect(run()).toBe(4 * 3 + 10 + 6 + 100 + (3 + 10));
    object.writeVariable('factor', u32(0));
    expect(run()).toBe(10 + 6 + 100 + 10);
    expect(object.readVariable('other')).toEqual(u32(6));
  });

  test("Rust's program counts and takes its verdict from its constant", () => {
    const spec = parse('rust_counter.o');
    spec.variables.get('VERDICT')!.set(u32(XDP_DROP));
    using object = loadObject(kernel, spec);
    const { retval } = kernel.bpf.prog_test_run({
      prog_fd: object.program('count').fd,
      data_in: PACKET,
      repeat: 3,
    });
    expect(retval).toBe(XDP_DROP);
    expect(kernel.bpf.map_lookup_elem({ map_fd: object.map('COUNTS').fd, key: u32(1) })).toEqual(u64(3n));
  });
});

needsLinux('features', () => {
  const kernel = theLinux();

  test.skipIf(!hasTypes)('maps of maps, tail calls, callbacks, externs; a map pinned by name', () => {
    using bpffs = mountBpffs();
    const options = { pinRoot: bpffs.path };
    const spec = parse('features.o');
    using object = loadObject(kernel, spec, options);
    const run = (name: string) =>
      kernel.bpf.prog_test_run({ prog_fd: object.program(name).fd, data_in: PACKET }).retval;
    // The tail call goes to leaf, which drops.
    expect(run('main_prog')).toBe(XDP_DROP);
    // bpf_loop's callback added 0 + 1 + 2 + 3, leaf weigh(2) = 2 * threshold.
    expect(object.readVariable('seen')).toEqual(u64(6n + 14n));
    const inner = kernel.bpf.map_lookup_elem({ map_fd: object.map('outer').fd, key: u32(3) });
    expect(inner?.length).toBe(4);

    using again = loadObject(kernel, parse('features.o'), { ...options, programs: ['leaf'] });
    const id = (fd: Fd) => {
      const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
      return info.kind === 'map' ? info.id : undefined;
    };
    expect(id(again.map('pinned').fd)).toBe(id(object.map('pinned').fd));
  });

  test.skipIf(!hasTypes)('configuration values and kernel functions', () => {
    using bpffs = mountBpffs();
    const spec = parse('features.o');
    using object = loadObject(kernel, spec, { pinRoot: bpffs.path, programs: ['symbols', 'kfuncs'] });
    const value = kernel.bpf.map_lookup_elem({ map_fd: object.map('.kconfig').fd, key: u32(0) })!;
    const place = spec.externs.get('CONFIG_BPF_SYSCALL')!;
    expect(place.kind === 'kconfig' && value[place.offset]).toBe(1);
    const { retval } = kernel.bpf.prog_test_run({ prog_fd: object.program('kfuncs').fd });
    expect(retval).toBe(0);
  });

  test('iproute2: tail calls between programs of sections that say no type', () => {
    using bpffs = mountBpffs();
    const spec = withoutPins(parse('iproute2.o'));
    using object = loadObject(kernel, spec, { type: 'sched_cls', pinRoot: bpffs.path });
    const run = () =>
      kernel.bpf.prog_test_run({ prog_fd: object.program('classify').fd, data_in: PACKET }).retval;
    expect(run()).toBe(0);
    kernel.bpf.map_update_elem({ map_fd: object.map('shared').fd, key: u32(0), value: u64(1n) });
    expect(run()).toBe(3);
  });

  test.skipIf(!hasTypes)('struct_ops: the programs and the table that the kernel takes', () => {
    using object = loadObject(kernel, parse('struct_ops.o'));
    expect(object.programs.size).toBe(3);
    const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: object.map('skep_cc').fd });
    expect(info).toMatchObject({ kind: 'map', type: 'struct_ops' });
  });
});

/** A test's bpf filesystem has no folders; iproute2 makes its own. */
function withoutPins(spec: ObjectSpec): ObjectSpec {
  const maps = new Map([...spec.maps].map(([name, map]) => [name, { ...map, pin: undefined }]));
  return { ...spec, maps };
}

needsLinux('CO-RE on the running kernel', () => {
  const kernel = theLinux();

  test.skipIf(!hasTypes)('answers of all kinds, and poison where they are only guarded', () => {
    using object = loadObject(kernel, parse('core_kinds.o'), { programs: ['fields', 'types'] });
    const run = (name: string) =>
      kernel.bpf.prog_test_run({ prog_fd: object.program(name).fd, ctx_in: u64(0n, 0n, 0n) });
    run('types');
    const out = new BigUint64Array(object.readVariable('out').buffer);
    expect(out.slice(20, 22)).toEqual(BigUint64Array.of(1n, 0n));
    expect(out[22]).toBeGreaterThan(1000n);
    expect(out[23]).toBe(0n);
    expect(out[25]).toBeGreaterThan(0n);
    expect(out[26]).toBe(0n);
    // BPF_MAP_TYPE_RINGBUF, which the object says is 1000.
    expect(out.slice(30, 33)).toEqual(BigUint64Array.of(1n, 0n, 27n));
    expect(object.program('types').poisoned.map((p) => p.problem)).toEqual([
      expect.stringContaining('NO_SUCH_VALUE'),
    ]);
    expect(object.program('fields').poisoned.map((p) => p.problem)).toEqual([
      expect.stringContaining('no_such_field'),
    ]);
  });
});

needsLinux('an object that skep wrote', () => {
  const kernel = theLinux();

  test('loads and runs: a map, and a subprogram of another section', () => {
    const bytes = writeBpfObject({
      functions: [
        {
          name: 'written',
          section: 'xdp',
          insns: asm('*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nr1 = 0 ll\ncall 1\ncall 0\nexit'),
          relocs: [
            { insn: 3, kind: 'map', symbol: 'counts' },
            { insn: 6, kind: 'call', symbol: 'verdict' },
          ],
        },
        { name: 'verdict', section: '.text', insns: asm('r0 = 1\nexit'), static: true },
      ],
      maps: [{ name: 'counts', type: 1, keySize: 4, valueSize: 8, maxEntries: 16 }],
    });
    using object = loadObject(kernel, parseObject(bytes, 'written.o'));
    const { retval } = kernel.bpf.prog_test_run({ prog_fd: object.program('written').fd, data_in: PACKET });
    expect(retval).toBe(XDP_DROP);
  });
});

needsLinux('refusals', () => {
  const kernel = theLinux();
  const fds = () => readdirSync('/proc/self/fd').length;

  test('the log names the instruction, and nothing stays open', () => {
    const spec = parse('simple.clang19-v4.o');
    const index = spec.programs.get('pass')!.func;
    const functions = spec.functions.map((f, i) =>
      i === index ? { ...f, insns: Uint8Array.of(0x95, 0, 0, 0, 0, 0, 0, 0), refs: [], lines: [] } : f,
    );
    const before = fds();
    const error = thrown(() => loadObject(kernel, { ...spec, functions }));
    expect(error).toMatchObject({ code: 'loader-prog-load', errno: 'EACCES' });
    expect(error.message).toContain('program pass (section xdp)');
    expect(error.detail).toContain('R0 !read_ok');
    expect(fds()).toBe(before);
  });
});

const folder = process.env.SKEP_DEBIAN_OBJECTS ?? join(import.meta.dirname, '../../corpora/debian');
const objects = existsSync(folder) ? readdirSync(folder).filter((f) => f.endsWith('.o')) : [];

describe("Debian's objects", () => {
  test.skipIf(objects.length === 0)('all parse, and every program links', () => {
    let programs = 0;
    for (const name of objects) {
      const spec = parseObject(readFileSync(join(folder, name)), name);
      for (const program of spec.programs.values()) {
        expect(linkProgram(spec, program).insns.length).toBeGreaterThan(0);
        expect(program.type).toBeDefined();
        programs++;
      }
    }
    expect(programs).toBeGreaterThan(0);
  });

  /** Reasons that are this kernel's: what an object is attached to, or reads, is not in it. */
  const LACKING = new Set(['loader-attach-target', 'loader-ksym']);

  test.skipIf(objects.length === 0 || !hasTypes)(
    'each program loads, or this kernel lacks what it needs',
    () => {
      const kernel = theLinux();
      const count = { loaded: 0, lacking: 0, forbidden: 0 };
      const other: string[] = [];
      for (const name of objects) {
        const spec = parseObject(readFileSync(join(folder, name)), name);
        const sizes = [...spec.maps.values()].filter(
          (m) => m.maxEntries === 0 && m.type !== 'perf_event_array',
        );
        const stacks = sizes.filter((m) => m.type === 'stack_trace');
        const options = {
          maxEntries: Object.fromEntries(sizes.map((m) => [m.name, 64])),
          valueSize: Object.fromEntries(stacks.map((m) => [m.name, 127 * 8])),
        };
        for (const program of spec.programs.keys()) {
          try {
            loadObject(kernel, spec, { ...options, programs: [program] }).close();
            count.loaded++;
          } catch (error) {
            if (!(error instanceof InputError)) throw error;
            if (LACKING.has(error.code) || error.message.includes('the kernel lacks what it needs'))
              count.lacking++;
            // Tracing of kernel functions may be compiled out or forbidden.
            else if (error.code === 'loader-prog-load' && error.errno === 'EPERM') count.forbidden++;
            else other.push(`${name} ${program}: ${error.message}`);
          }
        }
      }
      expect(other).toEqual([]);
      expect(count.loaded).toBeGreaterThan(0);
      console.log(`loaded ${count.loaded}, lacking ${count.lacking}, forbidden ${count.forbidden}`);
    },
  );
});
