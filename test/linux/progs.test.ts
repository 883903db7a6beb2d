/** Loading, running and reading about programs and BTF on the machine's own kernel. */
import { afterAll, describe, expect, test } from 'vitest';
import { BtfBuilder, parseBtf } from '../../src/btf/index.ts';
import { openLinux } from '../../src/linux/index.ts';
import {
  type BtfId,
  type Fd,
  MAP_CREATE_FLAGS,
  PROG_LOAD_FLAGS,
  type ProgInfo,
  type ProgLoadAttr,
  STREAMS,
} from '../../src/sys/index.ts';
import { asm, linux, needsLinux, theLinux, thrown, u32 } from './support.ts';

const vmlinux = linux?.vmlinuxBtf();
const btf = vmlinux && parseBtf(vmlinux, 'vmlinux');
/** The function that prints to a stream, where this kernel has one (since 6.17). */
const printId = ['bpf_stream_vprintk_impl', 'bpf_stream_vprintk']
  .map((name) => btf?.find(name, 'func'))
  .find(Boolean);
const PASS = asm('r0 = 2\nexit');

needsLinux('programs of Linux', () => {
  const kernel = theLinux();
  const { bpf } = kernel;
  const fds: Fd[] = [];
  const load = (attr: Partial<ProgLoadAttr> = {}): Fd => {
    const { fd } = bpf.prog_load({ prog_type: 'xdp', insns: PASS, license: 'GPL', ...attr });
    fds.push(fd);
    return fd;
  };
  const map = (): Fd => {
    const fd = bpf.map_create({ map_type: 'array', key_size: 4, value_size: 8, max_entries: 4 });
    fds.push(fd);
    return fd;
  };
  const progInfo = (fd: Fd): ProgInfo => {
    const info = bpf.obj_get_info_by_fd({ bpf_fd: fd });
    if (info.kind !== 'prog') throw new Error(`fd ${fd} is a ${info.kind}`);
    return info;
  };
  afterAll(() => {
    for (const fd of fds) kernel.closeFd(fd);
  });

  describe('the log', () => {
    test('is empty at level 0, counts at 4 and shows states at 2', () => {
      const logs = [0, 2, 4].map((log_level) => {
        const { fd, log } = bpf.prog_load({ prog_type: 'xdp', insns: PASS, license: 'GPL', log_level });
        kernel.closeFd(fd);
        return log;
      });
      expect(logs[0]).toBe('');
      expect(logs[1]).toMatch(/0: \(b7\) r0 = 2 +; R0(_w)?=2\n1: \(95\) exit\n/);
      expect(logs[1]).toMatch(/processed 2 insns .*\n$/);
      expect(logs[2]).toMatch(/^verification time \d+ usec\n/);
    });

    test('of a refusal travels with it, its reason in the sentence', () => {
      const refused = thrown(() => load({ insns: asm('exit'), log_level: 1, prog_name: 'wrong' }));
      expect(refused.message).toBe(
        `loading xdp program 'wrong' (1 instruction): refused with "R0 !read_ok" (EACCES)`,
      );
      expect(refused).toMatchObject({ code: 'linux-prog-load', errno: 'EACCES' });
      expect(refused.detail).toContain('0: (95) exit\nR0 !read_ok\n');
      const silent = thrown(() => load({ insns: asm('exit') }));
      expect(silent.detail).toBeUndefined();
      expect(silent.message).toContain('log_level 1');
    });

    test('that does not fit a size that was given is said, and grows where none was', () => {
      const insns = asm(`
        r1 = 0
        again:
        r1 += 1
        r2 = r1
        r2 += 3
        if r1 < 1000 goto again
        r0 = 2
        exit`);
      const cut = thrown(() => load({ insns, log_level: 2, log_size: 4096 }));
      expect(cut.errno).toBe('ENOSPC');
      expect(cut.message).toContain('give a larger log_size');
      const small = openLinux({ logBytes: 1024 });
      const { log } = small.bpf.prog_load({ prog_type: 'xdp', insns, license: 'GPL', log_level: 2 });
      small.close();
      expect(log.length).toBeGreaterThan(100_000);
      expect(log.slice(0, 20)).toContain('func#0 @0');
      expect(log.trimEnd().split('\n').at(-1)).toMatch(/^processed 4003 insns/);
    });
  });

  test('a program larger than the call memory is loaded whole', () => {
    const insns = asm(`${'r0 = 1\n'.repeat(70_000)}exit`);
    const info = progInfo(load({ insns }));
    expect(info.verified_insns).toBe(70_001);
    expect(Buffer.compare(info.xlated_prog_insns, insns)).toBe(0);
  });

  test('what is no whole number of instructions is refused', () => {
    expect(thrown(() => load({ insns: PASS.subarray(4) })).message).toContain('12 bytes');
    expect(thrown(() => load({ insns: new Uint8Array(0) })).errno).toBe('E2BIG');
    expect(thrown(() => load({ prog_name: 'no spaces' })).code).toBe('linux-name');
  });

  describe('test runs', () => {
    test('give verdict, packet and time', () => {
      // Drops the first four bytes of the packet.
      const fd = load({
        insns: asm(`
          r6 = r1
          r2 = 4
          call 44
          r0 = 3
          exit`),
      });
      const data_in = Uint8Array.from({ length: 64 }, (_, i) => i);
      const run = bpf.prog_test_run({ prog_fd: fd, data_in, repeat: 1 });
      expect(run).toMatchObject({ retval: 3, ctx_out: new Uint8Array(0) });
      expect(run.duration).toBeGreaterThan(0);
      expect(run.data_out).toEqual(data_in.subarray(4));
      const short = thrown(() => bpf.prog_test_run({ prog_fd: fd, data_in, data_size_out: 10 }));
      expect(short.errno).toBe('ENOSPC');
      expect(thrown(() => bpf.prog_test_run({ prog_fd: fd, data_in: new Uint8Array(3) })).errno).toBe(
        'EINVAL',
      );
    });

    test('take and give a context', () => {
      const ctx_in = new Uint8Array(24);
      new DataView(ctx_in.buffer).setUint32(4, 64, true);
      const xdp = bpf.prog_test_run({ prog_fd: load(), data_in: new Uint8Array(64), ctx_in });
      expect(xdp.ctx_out).toEqual(ctx_in);
      // mark is at offset 8 of struct __sk_buff.
      const mark = load({
        prog_type: 'sched_cls',
        insns: asm('r0 = 7\n*(u32 *)(r1 + 8) = r0\nr0 = -1\nexit'),
      });
      const skb = bpf.prog_test_run({
        prog_fd: mark,
        data_in: new Uint8Array(64),
        ctx_in: new Uint8Array(192),
      });
      expect(skb.retval).toBe(0xffff_ffff);
      expect(new DataView(skb.ctx_out.buffer).getUint32(8, true)).toBe(7);
    });

    test("change a syscall program's context in place", () => {
      const fd = load({
        prog_type: 'syscall',
        prog_flags: 16,
        insns: asm('r0 = *(u64 *)(r1 + 0)\nr0 += 1\n*(u64 *)(r1 + 8) = r0\nr0 = 0\nexit'),
      });
      const ctx_in = new Uint8Array(16).fill(1, 0, 1);
      const run = bpf.prog_test_run({ prog_fd: fd, ctx_in });
      expect(run.ctx_out[8]).toBe(2);
      expect(ctx_in[8]).toBe(0);
    });

    test('reach raw tracepoint programs, and not kprobes', () => {
      const raw = load({ prog_type: 'raw_tracepoint', insns: asm('r0 = *(u64 *)(r1 + 0)\nexit') });
      const ctx_in = new Uint8Array(8).fill(9, 0, 1);
      expect(bpf.prog_test_run({ prog_fd: raw, ctx_in }).retval).toBe(9);
      const probe = load({ prog_type: 'kprobe', insns: asm('r0 = 0\nexit') });
      expect(thrown(() => bpf.prog_test_run({ prog_fd: probe })).message).toContain("can't be test-run");
    });

    test('read and write maps', () => {
      const map_fd = map();
      const fd = load({
        insns: asm(`
          r1 = 1
          *(u32 *)(r10 - 4) = r1
          r2 = r10
          r2 += -4
          r1 = map[fd:${map_fd}] ll
          call 1
          if r0 == 0 goto out
          r1 = 1
          lock *(u64 *)(r0 + 0) += r1
          out:
          r0 = 1
          exit`),
      });
      for (let i = 0; i < 3; i++) bpf.prog_test_run({ prog_fd: fd, data_in: new Uint8Array(14) });
      bpf.prog_test_run({ prog_fd: fd, data_in: new Uint8Array(14), repeat: 100 });
      expect(bpf.map_lookup_elem({ map_fd, key: u32(1) })?.[0]).toBe(103);
      const info = progInfo(fd);
      const mapInfo = bpf.obj_get_info_by_fd({ bpf_fd: map_fd });
      expect(info.map_ids).toEqual([mapInfo.kind === 'map' && mapInfo.id]);
    });
  });

  test('binding makes a program hold a map that it does not use', () => {
    const prog_fd = load();
    const map_fd = map();
    expect(progInfo(prog_fd).map_ids).toEqual([]);
    bpf.prog_bind_map({ prog_fd, map_fd });
    expect(progInfo(prog_fd).map_ids).toHaveLength(1);
    expect(thrown(() => bpf.prog_bind_map({ prog_fd, map_fd: prog_fd })).code).toBe('linux-prog-bind-map');
  });

  test('an array of fds binds what is counted', () => {
    const counted = load({ fd_array: [map(), map()], fd_array_cnt: 2 });
    expect(progInfo(counted).map_ids).toHaveLength(2);
    const indexed = load({
      fd_array: [map(), map()],
      insns: asm('r1 = map[idx:1] ll\nr0 = 2\nexit'),
    });
    expect(progInfo(indexed).map_ids).toHaveLength(1);
  });

  test('statistics are counted while they are on', () => {
    const prog_fd = load();
    const data_in = new Uint8Array(64);
    const stats = bpf.enable_stats({ type: 0 });
    bpf.prog_test_run({ prog_fd, data_in, repeat: 10 });
    kernel.closeFd(stats);
    const { run_cnt, run_time_ns } = progInfo(prog_fd);
    expect(run_cnt).toBe(10n);
    expect(run_time_ns).toBeGreaterThan(0n);
    expect(thrown(() => bpf.enable_stats({ type: 99 })).errno).toBe('EINVAL');
  });

  describe('ids', () => {
    test('lead from each object to the next, and to the object', () => {
      const fd = load({ prog_name: 'findme' });
      const { id } = progInfo(fd);
      let found = false;
      for (let at = bpf.prog_get_next_id({ start_id: 0 }); at !== undefined; ) {
        if (at === id) found = true;
        at = bpf.prog_get_next_id({ start_id: at });
      }
      expect(found).toBe(true);
      const again = bpf.prog_get_fd_by_id({ prog_id: id });
      fds.push(again);
      expect(progInfo(again)).toEqual(progInfo(fd));
      expect(bpf.map_get_next_id({ start_id: 0x7fff_fff0 })).toBeUndefined();
      const none = thrown(() => bpf.prog_get_fd_by_id({ prog_id: 0x7fff_fff0 as never }));
      expect(none).toMatchObject({ errno: 'ENOENT' });
      expect(none.message).toBe(
        'opening program id 2147483632: No such file or directory (ENOENT): there is none',
      );
    });

    test('of a map open it read-only when asked', () => {
      const map_fd = map();
      const info = bpf.obj_get_info_by_fd({ bpf_fd: map_fd });
      if (info.kind !== 'map') throw new Error(info.kind);
      const open_flags = MAP_CREATE_FLAGS.BPF_F_RDONLY;
      const reader = bpf.map_get_fd_by_id({ map_id: info.id, open_flags });
      fds.push(reader);
      expect(bpf.map_lookup_elem({ map_fd: reader, key: u32(0) })).toHaveLength(8);
      expect(
        thrown(() => bpf.map_update_elem({ map_fd: reader, key: u32(0), value: new Uint8Array(8) })).errno,
      ).toBe('EPERM');
    });
  });

  describe('BTF', () => {
    const builder = new BtfBuilder();
    const int = builder.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bits: 32, bitOffset: 0 });
    const proto = builder.add({ kind: 'func_proto', returns: int, params: [] });
    const main = builder.add({ kind: 'func', name: 'main', type: proto, linkage: 'global' });
    const file = builder.strings.add('main.c');
    const text = builder.strings.add('return 2;');
    const bytes = builder.encode();

    test('is loaded, read back and found by its id', () => {
      const fd = bpf.btf_load({ btf: bytes });
      fds.push(fd);
      const info = bpf.obj_get_info_by_fd({ bpf_fd: fd });
      expect(info).toMatchObject({ kind: 'btf', btf: bytes, name: '', kernel_btf: false });
      if (info.kind !== 'btf') throw new Error(info.kind);
      const again = bpf.btf_get_fd_by_id({ btf_id: info.id });
      fds.push(again);
      expect(bpf.obj_get_info_by_fd({ bpf_fd: again })).toEqual(info);
      expect(bpf.btf_get_next_id({ start_id: 0 })).toBeGreaterThan(0);
    });

    test('that is wrong is refused with the reason, asked for or not', () => {
      const wrong = bytes.slice(0, -4);
      const refused = thrown(() => bpf.btf_load({ btf: wrong }));
      expect(refused).toMatchObject({ code: 'linux-btf-load', errno: 'EINVAL' });
      expect(refused.detail).not.toBe('');
      expect(refused.message).toMatch(/^loading \d+ bytes of BTF: refused with "/);
    });

    test("names a program's functions and lines", () => {
      const prog_btf_fd = bpf.btf_load({ btf: bytes });
      fds.push(prog_btf_fd);
      const fd = load({
        prog_btf_fd,
        func_info: u32(0, main),
        line_info: u32(0, file, text, (3 << 10) | 5),
        log_level: 2,
      });
      const info = progInfo(fd);
      expect(info).toMatchObject({ nr_func_info: 1, nr_line_info: 1 });
      expect(info.btf_id).toBeGreaterThan(0);
      expect(info.func_info).toEqual(u32(0, main));
      expect(info.line_info).toEqual(u32(0, file, text, (3 << 10) | 5));
      expect(info.name).toBe('');
    });

    test.skipIf(vmlinux === undefined)("of the kernel is an object too, and is the system's file", () => {
      for (let at = bpf.btf_get_next_id({ start_id: 0 }); at !== undefined; ) {
        const fd = bpf.btf_get_fd_by_id({ btf_id: at as BtfId });
        const info = bpf.obj_get_info_by_fd({ bpf_fd: fd });
        kernel.closeFd(fd);
        if (info.kind === 'btf' && info.name === 'vmlinux') {
          expect(info.kernel_btf).toBe(true);
          expect(info.btf.length).toBe(vmlinux!.length);
          expect(Buffer.compare(info.btf, vmlinux!)).toBe(0);
          return;
        }
        at = bpf.btf_get_next_id({ start_id: at });
      }
      expect.unreachable('no BTF named vmlinux');
    });
  });

  test('a stream that nobody wrote to is empty', () => {
    const prog_fd = load();
    expect(bpf.prog_stream_read_by_fd({ prog_fd, stream_id: 1, size: 100 })).toHaveLength(0);
    expect(thrown(() => bpf.prog_stream_read_by_fd({ prog_fd, stream_id: 9, size: 1 })).errno).toBe('ENOENT');
  });

  test.skipIf(printId === undefined)('a stream is read to its end', (context) => {
    const format = new TextEncoder().encode('seen %d\n\0');
    const map_fd = bpf.map_create({
      map_type: 'array',
      key_size: 4,
      value_size: format.length,
      max_entries: 1,
      map_flags: MAP_CREATE_FLAGS.BPF_F_RDONLY_PROG,
    });
    fds.push(map_fd);
    bpf.map_update_elem({ map_fd, key: u32(0), value: format });
    bpf.map_freeze({ map_fd });
    const prog_fd = load({
      prog_type: 'syscall',
      prog_flags: PROG_LOAD_FLAGS.BPF_F_SLEEPABLE,
      insns: asm(`
        r1 = 42
        *(u64 *)(r10 - 8) = r1
        r1 = 1
        r2 = map[fd:${map_fd}][0]+0 ll
        r3 = r10
        r3 += -8
        r4 = 8
        r5 = 0
        call kernel-function#${printId}
        exit`),
    });
    const ENOMEM = -12;
    if ((bpf.prog_test_run({ prog_fd }).retval | 0) === ENOMEM) {
      context.skip('this kernel has no memory to give to a stream');
    }
    bpf.prog_test_run({ prog_fd });
    const read = (size: number) =>
      bpf.prog_stream_read_by_fd({ prog_fd, stream_id: STREAMS.BPF_STDOUT, size });
    expect(new TextDecoder().decode(read(10))).toBe('seen 42\nse');
    expect(new TextDecoder().decode(read(100))).toBe('en 42\n');
    expect(read(100)).toHaveLength(0);
  });

  test('a program of more instructions than the kernel can copy out is told of without them', () => {
    const insns = new Uint8Array(600_000 * 8);
    for (let at = 0; at < insns.length; at += 8) insns.set(PASS.subarray(0, 8), at);
    insns.set(PASS, insns.length - PASS.length);
    const info = progInfo(load({ insns }));
    expect(info.xlated_prog_len).toBe(insns.length);
    expect(info.xlated_prog_insns).toHaveLength(0);
  });

  test('what is no BPF object is told apart', () => {
    const out = thrown(() => bpf.obj_get_info_by_fd({ bpf_fd: 1 as Fd }));
    expect(out.errno).toBe('EINVAL');
    expect(thrown(() => bpf.obj_get_info_by_fd({ bpf_fd: 99_999 as Fd })).message).toContain('not open');
    expect(thrown(() => bpf.map_lookup_elem({ map_fd: load(), key: u32(1) })).message).toContain(
      'a map is needed, but it is a prog',
    );
  });

  test('commands that this kernel lacks say so', () => {
    const attr = { map_fd: map(), prog_fd: load() };
    expect(thrown(() => bpf.prog_assoc_struct_ops(attr))).toMatchObject({ errno: 'EINVAL' });
    const token = thrown(() => bpf.token_create({ bpffs_fd: 1 }));
    expect(token).toMatchObject({ code: 'linux-token-create', errno: 'EINVAL' });
  });

  test('the kernel tells what it is', () => {
    expect(kernel.release).toMatch(/^\d+\.\d+/);
    expect(kernel.possibleCpus).toBeGreaterThan(0);
    expect(kernel.ksym('no_such_symbol')).toBeUndefined();
    expect(kernel.kconfig('CONFIG_NO_SUCH_THING')).toBeUndefined();
  });

  test.skipIf(vmlinux === undefined)('the kernel tells its types', () => {
    expect(btf?.find('task_struct', 'struct')).toBeDefined();
  });
});
