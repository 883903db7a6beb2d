/** Pinning and attaching on the machine's own kernel, in places that the suite makes. */
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type BtfTypeId, parseBtf } from '../../src/btf/index.ts';
import {
  ATTACH_FLAGS,
  type Fd,
  type LinkInfo,
  type ObjInfo,
  type ProgId,
  type ProgLoadAttr,
  TASK_FD_TYPES,
} from '../../src/sys/index.ts';
import { makeCgroup, mountBpffs } from './place.ts';
import { asm, linux, needsLinux, theLinux, thrown, u32 } from './support.ts';

const ALLOW = asm('r0 = 1\nexit');
const kernel = theLinux();
const { bpf } = kernel;
const fds: Fd[] = [];
const btf = linux?.vmlinuxBtf();
const keep = (fd: Fd): Fd => {
  fds.push(fd);
  return fd;
};
const load = (attr: Partial<ProgLoadAttr>): Fd =>
  keep(bpf.prog_load({ prog_type: 'cgroup_skb', insns: ALLOW, license: 'GPL', ...attr }).fd);
const info = <K extends ObjInfo['kind']>(bpf_fd: Fd, kind: K): Extract<ObjInfo, { kind: K }> => {
  const found = bpf.obj_get_info_by_fd({ bpf_fd });
  if (found.kind !== kind) throw new Error(`fd ${bpf_fd} is a ${found.kind}, no ${kind}`);
  return found as Extract<ObjInfo, { kind: K }>;
};
const progId = (fd: Fd): ProgId => info(fd, 'prog').id;
const tail = (link: LinkInfo): DataView => new DataView(link.raw.buffer, link.raw.byteOffset);

afterAll(() => {
  for (const fd of fds) kernel.closeFd(fd);
});

needsLinux('pins', () => {
  test('outlive the fd, and are gone with the filesystem', () => {
    using bpffs = mountBpffs();
    const pathname = join(bpffs.path, 'counts');
    const map_fd = bpf.map_create({ map_type: 'array', key_size: 4, value_size: 8, max_entries: 1 });
    bpf.map_update_elem({ map_fd, key: u32(0), value: u32(7, 0) });
    bpf.obj_pin({ pathname, bpf_fd: map_fd });
    kernel.closeFd(map_fd);
    const again = bpf.obj_get({ pathname });
    expect(bpf.map_lookup_elem({ map_fd: again, key: u32(0) })).toEqual(u32(7, 0));
    const twice = thrown(() => bpf.obj_pin({ pathname, bpf_fd: again }));
    expect(twice.message).toBe(
      `pinning fd ${again} as '${pathname}': File exists (EEXIST): something of that name exists`,
    );
    kernel.closeFd(again);
    const dots = thrown(() => bpf.obj_get({ pathname: `${pathname}.no` }));
    expect(dots.message).toContain('no name in a bpf filesystem has dots');
    expect(thrown(() => bpf.obj_get({ pathname: `${pathname}_no` })).errno).toBe('ENOENT');
  });

  test('need a bpf filesystem', () => {
    const fd = load({});
    const refused = thrown(() => bpf.obj_pin({ pathname: '/tmp/skep-test-no-pin', bpf_fd: fd }));
    expect(refused.message).toContain('must be in a bpf filesystem');
  });

  test('programs are pinned as maps are', () => {
    using bpffs = mountBpffs();
    const pathname = join(bpffs.path, 'prog');
    const fd = load({});
    bpf.obj_pin({ pathname, bpf_fd: fd });
    const again = bpf.obj_get({ pathname });
    expect(progId(again)).toBe(progId(fd));
    kernel.closeFd(again);
  });

  test('a token needs delegation', () => {
    using bpffs = mountBpffs();
    const fd = openSync(bpffs.path, 'r');
    const refused = thrown(() => bpf.token_create({ bpffs_fd: fd }));
    closeSync(fd);
    expect(refused.code).toBe('linux-token-create');
    expect(['ENOENT', 'EOPNOTSUPP', 'EPERM']).toContain(refused.errno);
  });
});

needsLinux('cgroups', () => {
  test('programs are attached, asked for, replaced and detached', () => {
    using cgroup = makeCgroup();
    const target_fd = cgroup.fd;
    const attach_type = 'cgroup_inet_ingress';
    const [one, two, three] = [load({}), load({}), load({})];
    const ids = () => bpf.prog_query({ target_fd, attach_type }).prog_ids;
    expect(ids()).toEqual([]);
    const attach_flags = ATTACH_FLAGS.BPF_F_ALLOW_MULTI;
    bpf.prog_attach({ target_fd, attach_bpf_fd: one, attach_type, attach_flags });
    bpf.prog_attach({ target_fd, attach_bpf_fd: two, attach_type, attach_flags });
    expect(ids()).toEqual([progId(one), progId(two)]);
    bpf.prog_attach({
      target_fd,
      attach_bpf_fd: three,
      attach_type,
      attach_flags: attach_flags | ATTACH_FLAGS.BPF_F_REPLACE,
      replace_bpf_fd: one,
    });
    const query = bpf.prog_query({ target_fd, attach_type });
    expect(query).toMatchObject({ attach_flags, prog_ids: [progId(three), progId(two)] });
    expect(query.prog_attach_flags).toHaveLength(2);
    expect(bpf.prog_query({ target_fd, attach_type, query_flags: 1 }).prog_ids).toHaveLength(2);
    bpf.prog_detach({ target_fd, attach_bpf_fd: three, attach_type });
    bpf.prog_detach({ target_fd, attach_bpf_fd: two, attach_type });
    expect(ids()).toEqual([]);
    const gone = thrown(() => bpf.prog_detach({ target_fd, attach_bpf_fd: two, attach_type }));
    expect(gone.errno).toBe('ENOENT');
    expect(gone.message).toContain(`detaching a cgroup_inet_ingress program from target fd ${target_fd}`);
  });

  test('more programs than there is room for at first are all told', () => {
    using above = makeCgroup();
    using below = makeCgroup(above.path);
    const attach_type = 'cgroup_inet_egress';
    const attach_flags = ATTACH_FLAGS.BPF_F_ALLOW_MULTI;
    const progs = Array.from({ length: 80 }, () => load({}));
    for (const [i, attach_bpf_fd] of progs.entries()) {
      const target_fd = i < 40 ? below.fd : above.fd;
      bpf.prog_attach({ target_fd, attach_bpf_fd, attach_type, attach_flags });
    }
    const effective = bpf.prog_query({ target_fd: below.fd, attach_type, query_flags: 1 });
    const ids = progs.map(progId);
    // The cgroup's own run first.
    expect(effective.prog_ids.filter((id) => ids.includes(id))).toEqual(ids);
    expect(bpf.prog_query({ target_fd: below.fd, attach_type }).prog_ids).toEqual(ids.slice(0, 40));
  });

  test('a link is found, updated and detached', () => {
    using cgroup = makeCgroup();
    const target_fd = cgroup.fd;
    const attach_type = 'cgroup_inet_egress';
    const [one, two] = [load({}), load({})];
    const link_fd = keep(bpf.link_create({ prog_fd: one, target_fd, attach_type }));
    const link = info(link_fd, 'link');
    expect(link).toMatchObject({ type: 'cgroup', prog_id: progId(one) });
    expect(tail(link).getBigUint64(0, true)).toBeGreaterThan(0n);
    expect(tail(link).getUint32(8, true)).toBe(1);
    const again = keep(bpf.link_get_fd_by_id({ link_id: link.id }));
    expect(info(again, 'link')).toEqual(link);
    const seen: number[] = [];
    for (let at = bpf.link_get_next_id({ start_id: 0 }); at !== undefined; ) {
      seen.push(at);
      at = bpf.link_get_next_id({ start_id: at });
    }
    expect(seen).toContain(link.id);
    bpf.link_update({ link_fd, new_prog_fd: two });
    expect(info(link_fd, 'link').prog_id).toBe(progId(two));
    expect(bpf.prog_query({ target_fd, attach_type }).prog_ids).toEqual([progId(two)]);
    bpf.link_detach({ link_fd });
    expect(bpf.prog_query({ target_fd, attach_type }).prog_ids).toEqual([]);
    expect(thrown(() => bpf.link_update({ link_fd, new_prog_fd: one })).code).toBe('linux-link-update');
  });
});

needsLinux('tracing', () => {
  /** Fires at the end of this suite's own test runs. */
  const name = 'bpf_test_finish';
  const raw = () => load({ prog_type: 'raw_tracepoint', insns: asm('r0 = 0\nexit') });

  test('a raw tracepoint is opened, and the fd says what it is', () => {
    const prog_fd = raw();
    const fd = keep(bpf.raw_tracepoint_open({ name, prog_fd, cookie: 42n }));
    const link = info(fd, 'link');
    expect(link).toMatchObject({ type: 'raw_tracepoint', text: name, prog_id: progId(prog_fd) });
    const asked = bpf.task_fd_query({ pid: process.pid, fd });
    expect(asked).toMatchObject({ prog_id: progId(prog_fd), name });
    expect(TASK_FD_TYPES[asked.fd_type]).toBe('raw_tracepoint');
    const wrong = thrown(() => bpf.raw_tracepoint_open({ name: 'no_such', prog_fd }));
    expect(wrong).toMatchObject({ errno: 'ENOENT' });
    expect(wrong.message).toContain(`to raw tracepoint 'no_such'`);
    expect(thrown(() => bpf.task_fd_query({ pid: process.pid, fd: 0 })).code).toBe('linux-task-fd-query');
  });

  test.skipIf(btf === undefined)('a typed raw tracepoint fires on a test run', () => {
    const attach_btf_id = parseBtf(btf!, 'vmlinux').find(`btf_trace_${name}`, 'typedef')!;
    const map_fd = keep(bpf.map_create({ map_type: 'array', key_size: 4, value_size: 8, max_entries: 1 }));
    const prog_fd = load({
      prog_type: 'tracing',
      expected_attach_type: 'trace_raw_tp',
      attach_btf_id,
      insns: asm(`
        r1 = 0
        *(u32 *)(r10 - 4) = r1
        r2 = r10
        r2 += -4
        r1 = map[fd:${map_fd}] ll
        call 1
        if r0 == 0 goto out
        r1 = 1
        lock *(u64 *)(r0 + 0) += r1
        out:
        r0 = 0
        exit`),
    });
    const link = keep(
      bpf.link_create({ prog_fd, attach_type: 'trace_raw_tp', tracing: { target_btf_id: 0, cookie: 5n } }),
    );
    expect(info(link, 'link').type).toBe('raw_tracepoint');
    const xdp = load({ prog_type: 'xdp' });
    bpf.prog_test_run({ prog_fd: xdp, data_in: new Uint8Array(64) });
    expect(bpf.map_lookup_elem({ map_fd, key: u32(0) })![0]).toBeGreaterThan(0);
  });

  test.skipIf(btf === undefined)('an iterator is read like a file', () => {
    const attach_btf_id: BtfTypeId = parseBtf(btf!, 'vmlinux').find('bpf_iter_bpf_map', 'func')!;
    const prog_fd = load({
      prog_type: 'tracing',
      expected_attach_type: 'trace_iter',
      attach_btf_id,
      insns: asm(`
        r2 = *(u64 *)(r1 + 8)
        if r2 != 0 goto more
        r6 = *(u64 *)(r1 + 0)
        r1 = *(u64 *)(r6 + 0)
        r2 = 0x0a6b6f
        *(u64 *)(r10 - 8) = r2
        r2 = r10
        r2 += -8
        r3 = 3
        call 127
        more:
        r0 = 0
        exit`),
    });
    const link_fd = keep(bpf.link_create({ prog_fd, attach_type: 'trace_iter' }));
    expect(info(link_fd, 'link')).toMatchObject({ type: 'iter', text: 'bpf_map' });
    const fd = bpf.iter_create({ link_fd });
    const buffer = Buffer.alloc(100);
    expect(buffer.toString('utf8', 0, readSync(fd, buffer))).toBe('ok\n');
    kernel.closeFd(fd);
    expect(thrown(() => bpf.iter_create({ link_fd: prog_fd })).code).toBe('linux-iter-create');
  });

  test("uprobes are set in this process's own file and nowhere else", () => {
    const path = '/bin/true';
    const prog_fd = load({
      prog_type: 'kprobe',
      expected_attach_type: 'trace_uprobe_multi',
      insns: asm('r0 = 0\nexit'),
    });
    const attr = { prog_fd, attach_type: 'trace_uprobe_multi' } as const;
    const uprobe_multi = { path, offsets: [entryOffset(path)], cookies: [7n], pid: process.pid };
    const link_fd = keep(bpf.link_create({ ...attr, uprobe_multi }));
    const link = info(link_fd, 'link');
    expect(link.type).toBe('uprobe_multi');
    expect(link.text).toMatch(/\/true$/);
    const short = thrown(() => bpf.link_create({ ...attr, uprobe_multi: { ...uprobe_multi, cookies: [] } }));
    expect(short.message).toContain('0 cookies are given for 1 targets');
    const two = thrown(() => bpf.link_create({ ...attr, uprobe_multi, perf_event: { bpf_cookie: 1n } }));
    expect(two.message).toContain('more than one kind of link');
  });
});

/** Where in an ELF file its entry point is. */
function entryOffset(path: string): bigint {
  const file = readFileSync(path);
  const entry = file.readBigUInt64LE(24);
  const headers = Number(file.readBigUInt64LE(32));
  for (let at = headers, left = file.readUInt16LE(56); left > 0; left--, at += 56) {
    const [offset, address, size] = [8, 16, 32].map((field) => file.readBigUInt64LE(at + field));
    if (file.readUInt32LE(at) === 1 && entry >= address! && entry < address! + size!) {
      return entry - address! + offset!;
    }
  }
  throw new Error(`${path} has no entry point`);
}

const canUnshare = linux !== undefined && existsSync('/usr/bin/unshare');

describe.skipIf(!canUnshare)('a network namespace', () => {
  /** Each case of `netns.ts` in a process of its own, so that what it attaches is gone with it. */
  const inside = (scenario: string): unknown =>
    JSON.parse(
      execFileSync(
        '/usr/bin/unshare',
        ['-n', process.execPath, '--import', 'tsx', join(import.meta.dirname, 'netns.ts'), scenario],
        { encoding: 'utf8' },
      ),
    );

  test('XDP on lo', () => {
    expect(inside('xdp')).toEqual({ type: 'xdp', ifindex: 1, updated: true, busy: 'EBUSY' });
  });

  test('tcx on lo, one program before the other', () => {
    expect(inside('tcx')).toEqual({ type: 'tcx', order: ['second', 'first'], links: 2, revision: true });
  });

  test('netfilter, socket lookup and flow dissector', () => {
    expect(inside('others')).toEqual({
      netfilter: { type: 'netfilter', pf: 2, hooknum: 1, priority: -128 },
      sk_lookup: 'netns',
      flow_dissector: [1, 0],
    });
  });
});

describe.skipIf(linux === undefined || process.geteuid?.() !== 0)('a user without permission', () => {
  test('is told what is missing, in a sentence', () => {
    const script = `
      import { linuxStatus } from ${JSON.stringify(join(import.meta.dirname, '../../src/linux/index.ts'))};
      console.log(JSON.stringify(linuxStatus()));`;
    const out = execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      encoding: 'utf8',
      uid: 65534,
      gid: 65534,
      env: { ...process.env, HOME: '/tmp' },
    });
    expect(JSON.parse(out)).toEqual({
      ok: false,
      reason:
        "loading xdp program 'skep_probe' (2 instructions): Operation not permitted (EPERM): this process lacks " +
        'CAP_BPF and CAP_NET_ADMIN: run it with sudo, or give node the capability ' +
        `(setcap cap_bpf,cap_net_admin+ep ${process.execPath})`,
    });
  });
});
