/** Loader options on the machine's own kernel: globals, names, pins, which programs and maps; links, pinned and updated. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import {
  enableStats,
  featureNames,
  hasFeature,
  hasHelper,
  hasMapType,
  hasProgType,
  KernelSymbols,
  loadObject,
  type ObjectSpec,
  openLink,
  ProcessSymbols,
  parseObject,
  parsePrefix,
  readStack,
} from '../../src/loader/index.ts';
import { makeCgroup, mountBpffs } from '../linux/place.ts';
import { needsLinux, theLinux, thrown } from '../linux/support.ts';

const kernel = theLinux();
let parsed: ObjectSpec | undefined;
/** Loading does not change it. */
const hooks = (): ObjectSpec => {
  parsed ??= parseObject(readFileSync(join(import.meta.dirname, '../linux/objects/hooks.o')), 'hooks.o');
  return parsed;
};
const u64 = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);

afterAll(() => {
  expect(kernel.name).toBe('linux');
});

needsLinux('loading', () => {
  test('globals are set by name and type, and the spec stays as it was', () => {
    const spec = hooks();
    using object = loadObject(kernel, spec, {
      programs: ['count_xdp'],
      maps: 'used',
      globals: { runs: 40n, answer: -7, only_pid: 12 },
    });
    object.program('count_xdp').test({ data: new Uint8Array(64), repeat: 2 });
    expect(u64(object.readVariable('runs'))).toBe(42n);
    expect([...object.readVariable('answer')]).toEqual([249, 255, 255, 255]);
    expect(spec.variables.get('runs')?.get()).toBe(0n);
    const unknown = thrown(() => loadObject(kernel, spec, { globals: { run: 1 } }));
    expect(unknown.message).toMatch(/^hooks\.o: there is no global variable run; there are: .*runs/);
    const large = thrown(() => loadObject(kernel, spec, { globals: { only_pid: 1n << 40n } }));
    expect(large.message).toContain('does not fit into 32 bits');
  });

  test('programs and maps are renamed, resized, chosen and pinned', () => {
    using bpffs = mountBpffs();
    const path = join(bpffs.path, 'numbers');
    {
      using object = loadObject(kernel, hooks(), {
        programs: ['count_xdp'],
        maps: 'used',
        autocreate: { numbers: true },
        rename: { count_xdp: 'my_xdp', numbers: 'my_numbers' },
        maxEntries: { numbers: 99 },
        pin: { numbers: path },
      });
      expect(object.program('count_xdp').info().name).toBe('my_xdp');
      expect(object.map('numbers').info()).toMatchObject({ name: 'my_numbers', max_entries: 99 });
      expect(object.map('numbers').pinned).toBe(path);
      expect([...object.maps.keys()].sort()).toEqual(['.bss', 'numbers']);
    }
    const options = { programs: ['count_xdp'], maps: 'used', autocreate: { numbers: true } } as const;
    const other = thrown(() => loadObject(kernel, hooks(), { ...options, reusePinned: { numbers: path } }));
    expect(other.message).toContain("can't be used: its max_entries is 99, the object's is 8");
    using object = loadObject(kernel, hooks(), {
      ...options,
      maxEntries: { numbers: 99 },
      reusePinned: { numbers: path },
    });
    expect(object.map('numbers').info().name).toBe('my_numbers');
    kernel.files.unlink(path);
  });

  test('a failed load leaves nothing pinned', () => {
    using bpffs = mountBpffs();
    const at = (name: string) => join(bpffs.path, name);
    const options = {
      programs: ['count_xdp'],
      maps: 'used',
      autocreate: { numbers: true, stacks: true },
    } as const;
    const failed = thrown(() =>
      loadObject(kernel, hooks(), {
        ...options,
        pin: { numbers: at('numbers'), stacks: at('no/such/folder') },
      }),
    );
    expect(failed.errno).toBe('ENOENT');
    const names = kernel.files.read_directory(bpffs.path)?.map(({ name }) => name);
    expect(names).not.toContain('numbers');
  });

  test("the kernel's types come from a file", () => {
    const read = () =>
      parseObject(readFileSync(join(import.meta.dirname, '../linux/objects/iterators.o')), 'iterators.o');
    using object = loadObject(kernel, read(), { programs: ['list_maps'], btf: '/sys/kernel/btf/vmlinux' });
    expect(object.program('list_maps').attachType).toBe('trace_iter');
    const missing = thrown(() =>
      loadObject(kernel, read(), { programs: ['list_maps'], btf: '/no/such/file' }),
    );
    expect(missing).toMatchObject({ errno: 'ENOENT', code: 'loader-no-btf' });
  });

  test('a token needs a file system that delegates', () => {
    using bpffs = mountBpffs();
    const refused = thrown(() => loadObject(kernel, hooks(), { programs: ['count_xdp'], token: bpffs.path }));
    expect(refused.code).toBe('linux-token-create');
  });

  test('statistics count while they are enabled', () => {
    using object = loadObject(kernel, hooks(), { programs: ['count_xdp'], maps: 'used' });
    const program = object.program('count_xdp');
    const run = () => program.test({ data: new Uint8Array(64), repeat: 5 });
    {
      using _stats = enableStats(kernel);
      run();
    }
    const { run_cnt } = program.info();
    expect(run_cnt).toBe(5n);
  });
});

needsLinux('links', () => {
  test('are pinned, found again, updated and detached', () => {
    using bpffs = mountBpffs();
    using cgroup = makeCgroup();
    const pathname = join(bpffs.path, 'link');
    using first = loadObject(kernel, hooks(), { programs: ['count_skb_egress'], maps: 'used' });
    using second = loadObject(kernel, hooks(), { programs: ['count_skb_egress'], maps: 'used' });
    const link = first.attach('count_skb_egress', { cgroup: cgroup.path });
    expect(link.kind).toBe('cgroup');
    expect(link.info()).toMatchObject({ type: 'cgroup', attach_type: 'cgroup_inet_egress' });
    link.pin(pathname);
    link.close();
    const ids = () =>
      kernel.bpf.prog_query({ target_fd: cgroup.fd, attach_type: 'cgroup_inet_egress' }).prog_ids;
    expect(ids()).toEqual([first.program('count_skb_egress').info().id]);
    const again = openLink(kernel, pathname);
    again.update(second.program('count_skb_egress'));
    expect(ids()).toEqual([second.program('count_skb_egress').info().id]);
    again.detach();
    expect(ids()).toEqual([]);
    again.close();
    kernel.files.unlink(pathname);
  });

  test('are closed with their object', () => {
    using cgroup = makeCgroup();
    {
      using object = loadObject(kernel, hooks(), { programs: ['count_skb_egress'], maps: 'used' });
      object.attach('count_skb_egress', { cgroup: cgroup.path });
      object.program('count_skb_egress').attachCgroup(cgroup.path, { mode: 'multi' });
      expect(object.links.size).toBe(2);
    }
    const query = kernel.bpf.prog_query({ target_fd: cgroup.fd, attach_type: 'cgroup_inet_egress' });
    expect(query.prog_ids).toEqual([]);
  });

  test('all or none', () => {
    using object = loadObject(kernel, hooks(), { programs: ['count_tp_btf', 'count_kprobe'], maps: 'used' });
    if (kernel.kconfig('CONFIG_KPROBES') === 'y') return;
    expect(thrown(() => object.attachAll()).message).toContain('the kernel has no kprobes');
    expect(object.links.size).toBe(0);
  });
});

needsLinux('what does not fit', () => {
  const loaded = (
    program: string,
    use: (program: ReturnType<ReturnType<typeof loadObject>['program']>) => void,
  ) => {
    using object = loadObject(kernel, hooks(), { programs: [program], maps: 'used' });
    use(object.program(program));
    expect(object.links.size).toBe(0);
  };

  test.each<
    readonly [string, string, string, (p: ReturnType<ReturnType<typeof loadObject>['program']>) => unknown]
  >([
    [
      'a device that is not there',
      'count_xdp',
      "there is no network device 'nope'; there are: ",
      (p) => p.attachXdp('nope'),
    ],
    [
      'another type',
      'count_tcx',
      'only xdp programs are attached to network devices as XDP, and it is a sched_cls program',
      (p) => p.attachXdp('lo'),
    ],
    [
      'an attach type that does not fit',
      'count_bind4',
      'a control group has no such hook',
      (p) => p.attachCgroup('/', { type: 'tcx_ingress' }),
    ],
    [
      'a path that is no control group',
      'count_bind4',
      'attaching program count_bind4 (section cgroup/bind4)',
      (p) => p.attachCgroup('/tmp'),
    ],
    [
      'a path that is not there',
      'count_bind4',
      "opening '/no/such/folder': No such file or directory (ENOENT)",
      (p) => p.attachCgroup('/no/such/folder'),
    ],
    [
      'no place at all',
      'count_xdp',
      'its section does not say where: name a network device',
      (p) => p.attach(),
    ],
    [
      'a tracepoint that is not there',
      'count_tracepoint',
      'looking for tracepoint nope/nope',
      (p) => p.attachTracepoint('nope', 'nope'),
    ],
    [
      'a raw tracepoint that is not there',
      'count_raw_tracepoint',
      "raw tracepoint 'nope'",
      (p) => p.attachRawTracepoint('nope'),
    ],
    [
      'a function that a file has not',
      'count_uprobe',
      'it has no function nope',
      (p) => p.attachUprobe('/bin/sh', { symbol: 'nope' }),
    ],
    [
      'a file that is no program',
      'count_uprobe',
      '/etc/passwd',
      (p) => p.attachUprobe('/etc/passwd', { symbol: 'nope' }),
    ],
    [
      'a library that is nowhere',
      'count_uprobe',
      'looking for libnope.so.1: it is in none of',
      (p) => p.attachUprobe('libnope.so.1', { symbol: 'nope' }),
    ],
    [
      'a program without the maps of USDT',
      'count_uprobe',
      'include <bpf/usdt.bpf.h>',
      (p) => p.attachUsdt('/bin/sh', 'a', 'b'),
    ],
  ])('%s', (_, program, words, attach) => {
    loaded(program, (p) => {
      const { message } = thrown(() => attach(p));
      expect(message).toContain(words);
      expect(message).not.toContain('\n');
    });
  });

  test('a pin of another kind, and a path that is no pin', () => {
    using bpffs = mountBpffs();
    using object = loadObject(kernel, hooks(), { programs: ['count_xdp'], maps: 'used' });
    const path = join(bpffs.path, 'prog');
    object.program('count_xdp').pin(path);
    expect(thrown(() => openLink(kernel, path)).message).toMatch(/is a prog, not a link$/);
    object.program('count_xdp').unpin();
    expect(thrown(() => openLink(kernel, path)).errno).toBe('ENOENT');
    expect(thrown(() => openLink(kernel, '/etc/passwd')).message).toContain(
      "opening the pinned object '/etc/passwd'",
    );
  });

  test('addresses', () => {
    expect([...parsePrefix('10.1.0.0/16').address]).toEqual([10, 1, 0, 0]);
    expect(parsePrefix('fd00::/64')).toEqual({
      address: Uint8Array.of(0xfd, ...Array(15).fill(0)),
      length: 64,
    });
    expect([...parsePrefix('::ffff:1.2.3.4').address].slice(10)).toEqual([255, 255, 1, 2, 3, 4]);
    for (const bad of [
      '',
      '1.2.3',
      '1.2.3.256',
      '010.0.0.1',
      '1.2.3.4::1',
      '1.2.3.4/33',
      '::1::',
      'fd00:/64',
      '1:2:3:4:5:6:7:8:9',
      '::/x',
    ]) {
      expect(thrown(() => parsePrefix(bad)).code).toBe('loader-address');
    }
  });
});

needsLinux('features', () => {
  test('of a kernel of 6.18 are known', () => {
    expect(hasProgType(kernel, 'xdp')).toBe(true);
    expect(hasMapType(kernel, 'task_storage')).toBe(true);
    expect(hasHelper(kernel, 'xdp', 'redirect_map')).toBe(true);
    expect(hasHelper(kernel, 'xdp', 'get_stackid')).toBe(false);
    const has = featureNames.filter((feature) => hasFeature(kernel, feature));
    expect(has).toEqual(
      expect.arrayContaining(['large_insn_limit', 'bounded_loops', 'isa_v2', 'isa_v3', 'isa_v4', 'btf']),
    );
  });
});

needsLinux('stacks', () => {
  test('of a profile have names', () => {
    using object = loadObject(kernel, hooks(), { programs: ['sample_stacks'], maps: 'used' });
    const link = object.program('sample_stacks').attachSampling({ frequency: 2000, pid: process.pid });
    const end = process.hrtime.bigint() + 100_000_000n;
    while (process.hrtime.bigint() < end) kernel.bpf.prog_get_next_id({ start_id: 0 });
    link.close();
    const id = (name: string) => new DataView(object.readVariable(name).buffer).getInt32(0, true);
    const user = readStack(kernel, object.map('stacks'), id('user_stack'));
    const symbols = new ProcessSymbols(kernel, process.pid);
    const files = user?.map((address) => symbols.find(address)?.from).filter((from) => from !== undefined);
    expect(files).toContain('node');
    const inside = readStack(kernel, object.map('stacks'), id('kernel_stack')) ?? [];
    const names = new KernelSymbols(kernel);
    expect(names.find(names.address('do_nanosleep')! + 1n)?.name).toBe('do_nanosleep');
    for (const address of inside) expect(names.find(address)).toBeDefined();
    expect(readStack(kernel, object.map('stacks'), -14)).toBeUndefined();
  });
});
