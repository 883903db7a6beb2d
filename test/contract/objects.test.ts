/** What bpf(2) promises of programs, BTF, ids, pins and descriptors, on every kernel. */
import { mkdtempSync, rmSync, unlinkSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { BtfBuilder } from '../../src/btf/index.ts';
import { EmbeddedKernel } from '../../src/kernel/index.ts';
import {
  MAP_CREATE_FLAGS as C,
  type Fd,
  type Kernel,
  type ObjInfo,
  type ProgLoadAttr,
} from '../../src/sys/index.ts';
import { outcome, SUBJECTS, u32, withMap } from './kernels.ts';

let ran = 0;
afterAll(() => {
  expect(ran, 'the contract ran no case').toBeGreaterThan(0);
});

const ARRAY = { map_type: 'array', key_size: 4, value_size: 8, max_entries: 1 } as const;
const NOWHERE = 999_999 as Fd;

/** One instruction in its eight bytes. */
function insn(op: number, dst = 0, src = 0, off = 0, imm = 0): number[] {
  return [op, dst | (src << 4), off & 0xff, (off >> 8) & 0xff, ...u32(imm >>> 0)];
}
const RETURN_0 = Uint8Array.from([...insn(0xb7), ...insn(0x95)]);
const RETURN_1 = Uint8Array.from([...insn(0xb7, 0, 0, 0, 1), ...insn(0x95)]);

for (const subject of SUBJECTS) {
  describe.skipIf(subject.missing !== undefined)(`object contract on ${subject.name}`, () => {
    const kernel = subject.missing === undefined ? subject.kernel() : (undefined as unknown as Kernel);
    const bpf = kernel?.bpf;
    const test = (name: string, run: () => void) =>
      it(name, () => {
        ran += 1;
        run();
      });

    const load = (attr: Partial<ProgLoadAttr> = {}): Fd =>
      bpf.prog_load({ prog_type: 'socket_filter', insns: RETURN_0, license: 'GPL', ...attr }).fd;
    const tryLoad = (attr: Partial<ProgLoadAttr> = {}) => outcome(() => kernel.closeFd(load(attr)));
    const info = <K extends ObjInfo['kind']>(fd: Fd, kind: K): Extract<ObjInfo, { kind: K }> => {
      const found = bpf.obj_get_info_by_fd({ bpf_fd: fd });
      expect(found.kind).toBe(kind);
      return found as Extract<ObjInfo, { kind: K }>;
    };
    const withProg = <T>(attr: Partial<ProgLoadAttr>, use: (fd: Fd) => T): T => {
      const fd = load(attr);
      try {
        return use(fd);
      } finally {
        kernel.closeFd(fd);
      }
    };

    describe('programs', () => {
      test('attributes are checked', () => {
        expect({
          name: tryLoad({ prog_name: 'a-b' }),
          longName: tryLoad({ prog_name: 'abcdefghijklmnop' }),
          goodName: tryLoad({ prog_name: 'abcdefgh_.12345' }),
          flags: tryLoad({ prog_flags: 1 << 9 }),
          device: tryLoad({ prog_type: 'xdp', prog_ifindex: 9999 }),
          attach: tryLoad({ prog_type: 'cgroup_skb', expected_attach_type: 'cgroup_inet_sock_create' }),
          attachFits: tryLoad({ prog_type: 'cgroup_skb', expected_attach_type: 'cgroup_inet_egress' }),
          attachIgnored: tryLoad({ expected_attach_type: 'xdp_cpumap' }),
          attachMissing: tryLoad({ prog_type: 'cgroup_sock_addr', insns: RETURN_1 }),
          attachDefault: tryLoad({ prog_type: 'cgroup_sock', insns: RETURN_1 }),
          skLookup: tryLoad({ prog_type: 'sk_lookup', insns: RETURN_1 }),
          btfUnused: tryLoad({ prog_btf_fd: NOWHERE }),
          btf: tryLoad({ prog_btf_fd: NOWHERE, func_info: new Uint8Array(8), func_info_rec_size: 8 }),
        }).toEqual({
          name: 'EINVAL',
          longName: 'EINVAL',
          goodName: 'ok',
          flags: 'EINVAL',
          device: 'EINVAL',
          attach: 'EINVAL',
          attachFits: 'ok',
          attachIgnored: 'ok',
          attachMissing: 'EINVAL',
          attachDefault: 'ok',
          skLookup: 'EINVAL',
          btfUnused: 'ok',
          btf: 'EBADF',
        });
      });

      test('a tag is that of the instructions without their maps', () => {
        const tag = (fd: Fd) => [...info(fd, 'prog').tag];
        expect(withProg({}, tag)).toEqual([89, 244, 169, 49, 116, 77, 205, 198]);
        withMap(kernel, ARRAY, (map) => {
          const maps = Uint8Array.from([
            ...insn(0x18, 1, 1, 0, map),
            ...insn(0),
            ...insn(0x18, 2, 2, 0, map),
            ...insn(0, 0, 0, 0, 4),
            ...insn(0x18, 3, 0, 0, 7),
            ...insn(0, 0, 0, 0, 9),
            ...RETURN_0,
          ]);
          expect(withProg({ insns: maps }, tag)).toEqual([250, 144, 189, 83, 10, 107, 18, 90]);
          const indexed = Uint8Array.from([
            ...insn(0x18, 1, 5, 0, 0),
            ...insn(0),
            ...insn(0x18, 2, 6, 0, 0),
            ...insn(0, 0, 0, 0, 4),
            ...RETURN_0,
          ]);
          expect(withProg({ insns: indexed, fd_array: [map] }, tag)).toEqual([
            120, 246, 225, 58, 247, 136, 238, 123,
          ]);
        });
      });

      test('info names its maps by id, and shows ids where descriptors were', () => {
        withMap(kernel, ARRAY, (map) => {
          const insns = Uint8Array.from([
            ...insn(0x18, 1, 1, 0, map),
            ...insn(0),
            ...insn(0x18, 2, 2, 0, map),
            ...insn(0, 0, 0, 0, 4),
            ...RETURN_0,
          ]);
          withProg({ insns, prog_name: 'shown' }, (fd) => {
            const { id } = info(map, 'map');
            const shown = info(fd, 'prog');
            expect(shown).toMatchObject({
              type: 'socket_filter',
              name: 'shown',
              gpl_compatible: true,
              btf_id: 0,
            });
            expect(shown.map_ids).toEqual([id]);
            const words = new DataView(Uint8Array.from(shown.xlated_prog_insns).buffer);
            const loads = [0, 8, 16, 24].map((at) => [words.getUint8(at + 1), words.getUint32(at + 4, true)]);
            expect(loads).toEqual([
              [0x11, id],
              [0, 0],
              [0x22, id],
              [0, 4],
            ]);
          });
        });
      });

      test('a program keeps its maps, and no longer than it lives', () => {
        const map = bpf.map_create(ARRAY);
        const { id } = info(map, 'map');
        const insns = Uint8Array.from([...insn(0x18, 1, 1, 0, map), ...insn(0), ...RETURN_0]);
        const prog = load({ insns });
        kernel.closeFd(map);
        const again = bpf.map_get_fd_by_id({ map_id: id });
        kernel.closeFd(again);
        kernel.closeFd(prog);
        expect(eventually(() => outcome(() => kernel.closeFd(bpf.map_get_fd_by_id({ map_id: id }))))).toBe(
          'ENOENT',
        );
      });

      test('runs are counted while statistics are enabled', () => {
        withProg({}, (prog) => {
          const stats = bpf.enable_stats({ type: 0 });
          expect(bpf.prog_test_run({ prog_fd: prog, data_in: new Uint8Array(64), repeat: 5 }).retval).toBe(0);
          expect(info(prog, 'prog').run_cnt).toBe(5n);
          kernel.closeFd(stats);
        });
      });

      test('maps are bound to programs', () => {
        withMap(kernel, ARRAY, (map) => {
          withProg({}, (prog) => {
            bpf.prog_bind_map({ prog_fd: prog, map_fd: map });
            bpf.prog_bind_map({ prog_fd: prog, map_fd: map });
            expect(info(prog, 'prog').map_ids).toEqual([info(map, 'map').id]);
            expect([
              outcome(() => bpf.prog_bind_map({ prog_fd: prog, map_fd: map, flags: 1 })),
              outcome(() => bpf.prog_bind_map({ prog_fd: prog, map_fd: NOWHERE })),
              outcome(() => bpf.prog_bind_map({ prog_fd: map, map_fd: map })),
            ]).toEqual(['EINVAL', 'EBADF', 'EINVAL']);
          });
        });
      });

      test('a prog array of another make refuses the program that would call', () => {
        const progs = { map_type: 'prog_array', key_size: 4, value_size: 4, max_entries: 1 } as const;
        withMap(kernel, progs, (map) => {
          const insns = Uint8Array.from([
            ...insn(0x18, 2, 1, 0, map),
            ...insn(0),
            ...insn(0xb7, 3),
            ...insn(0x85, 0, 0, 0, 12),
            ...RETURN_0,
          ]);
          expect(tryLoad({ prog_type: 'xdp', insns })).toBe('ok');
          expect(tryLoad({ prog_type: 'sched_cls', insns })).toBe('EINVAL');
          expect(tryLoad({ prog_type: 'xdp', insns, expected_attach_type: 'xdp' })).toBe('EINVAL');
        });
      });
    });

    describe('descriptors and ids', () => {
      test('wrong descriptors', () => {
        withMap(kernel, ARRAY, (map) => {
          withProg({}, (prog) => {
            const key = u32(0);
            expect({
              lookupNowhere: outcome(() => bpf.map_lookup_elem({ map_fd: NOWHERE, key })),
              lookupProg: outcome(() => bpf.map_lookup_elem({ map_fd: prog, key })),
              freezeProg: outcome(() => bpf.map_freeze({ map_fd: prog })),
              runMap: outcome(() => bpf.prog_test_run({ prog_fd: map })),
              iterNowhere: outcome(() => bpf.iter_create({ link_fd: NOWHERE })),
              iterMap: outcome(() => bpf.iter_create({ link_fd: map })),
              detachNowhere: outcome(() => bpf.link_detach({ link_fd: NOWHERE })),
              detachMap: outcome(() => bpf.link_detach({ link_fd: map })),
              updateMap: outcome(() => bpf.link_update({ link_fd: map, new_prog_fd: prog })),
              stats: outcome(() => bpf.enable_stats({ type: 1 })),
              streamMap: outcome(() => bpf.prog_stream_read_by_fd({ prog_fd: map, stream_id: 1, size: 8 })),
              streamThree: outcome(() =>
                bpf.prog_stream_read_by_fd({ prog_fd: prog, stream_id: 3, size: 8 }),
              ),
            }).toEqual({
              lookupNowhere: 'EBADF',
              lookupProg: 'EINVAL',
              freezeProg: 'EINVAL',
              runMap: 'EINVAL',
              iterNowhere: 'EBADF',
              iterMap: 'EINVAL',
              detachNowhere: 'EBADF',
              detachMap: 'EINVAL',
              updateMap: 'EINVAL',
              stats: 'EINVAL',
              streamMap: 'EINVAL',
              streamThree: 'ENOENT',
            });
            expect(bpf.prog_stream_read_by_fd({ prog_fd: prog, stream_id: 1, size: 8 })).toHaveLength(0);
          });
        });
      });

      test('ids count up, are found, and end', () => {
        const first = bpf.map_create(ARRAY);
        const second = bpf.map_create(ARRAY);
        const a = info(first, 'map').id;
        const b = info(second, 'map').id;
        expect(b).toBeGreaterThan(a);
        expect(bpf.map_get_next_id({ start_id: b - 1 })).toBe(b);
        kernel.closeFd(first);
        kernel.closeFd(second);
        expect({
          huge: outcome(() => bpf.map_get_next_id({ start_id: 0x7fff_ffff })),
          last: bpf.prog_get_next_id({ start_id: 0x7fff_fffe }),
          none: outcome(() => bpf.map_get_fd_by_id({ map_id: 0 as never })),
          flags: outcome(() => bpf.map_get_fd_by_id({ map_id: a, open_flags: 1 })),
          both: outcome(() =>
            bpf.map_get_fd_by_id({ map_id: a, open_flags: C.BPF_F_RDONLY | C.BPF_F_WRONLY }),
          ),
          link: outcome(() => bpf.link_get_fd_by_id({ link_id: 0 as never })),
        }).toEqual({
          huge: 'EINVAL',
          last: undefined,
          none: 'ENOENT',
          flags: 'EINVAL',
          both: 'EINVAL',
          link: 'ENOENT',
        });
      });
    });

    describe('BTF', () => {
      test('is loaded, shown, and describes maps', () => {
        const { bytes, int } = intBtf();
        const btf = bpf.btf_load({ btf: bytes });
        const shown = info(btf, 'btf');
        expect(shown).toMatchObject({ kernel_btf: false, name: '' });
        expect([...shown.btf]).toEqual([...bytes]);
        const types = { btf_fd: btf, btf_key_type_id: int, btf_value_type_id: int };
        const make = (over: object) =>
          outcome(() => withMap(kernel, { ...ARRAY, value_size: 4, ...types, ...over }, () => 0));
        expect({
          fits: make({}),
          value: make({ value_size: 8 }),
          id: make({ btf_value_type_id: 99 }),
          keyOnly: make({ btf_value_type_id: 0 }),
          hash: make({ map_type: 'hash' }),
          hashWithoutKey: make({ map_type: 'hash', btf_key_type_id: 0 }),
        }).toEqual({
          fits: 'ok',
          value: 'EINVAL',
          id: 'EINVAL',
          keyOnly: 'EINVAL',
          hash: 'ok',
          hashWithoutKey: 'EINVAL',
        });
        kernel.closeFd(btf);
        expect(outcome(() => bpf.btf_load({ btf: new Uint8Array(10) }))).toBe('EINVAL');
      });
    });

    describe('pins', () => {
      const files = fileSystem(kernel);
      afterAll(() => files.end());

      test('follow the rules of paths', () => {
        const { root } = files;
        withMap(kernel, ARRAY, (map) => {
          const pin = (pathname: string, bpf_fd = map, flags = 0) =>
            outcome(() => bpf.obj_pin({ pathname, bpf_fd, ...(flags && { file_flags: flags }) }));
          const get = (pathname: string, flags = 0) =>
            outcome(() => kernel.closeFd(bpf.obj_get({ pathname, ...(flags && { file_flags: flags }) })));
          expect({
            pin: pin(`${root}/a`),
            again: pin(`${root}/a`),
            parent: pin(`${root}/x/y`),
            dot: pin(`${root}/a.b`),
            self: pin(`${root}/.`),
            up: pin(`${root}/..`),
            slash: pin(`${root}/q/`),
            nowhere: pin(`${root}/b`, NOWHERE),
            empty: pin(''),
            missing: pin('/nonexistent-folder/zz'),
            underPin: pin(`${root}/a/b`),
            long: pin(`${root}/${'x'.repeat(256)}`),
            longest: pin(`${root}/${'x'.repeat(255)}`),
            flags: pin(`${root}/c`, map, 8),
            pathMax: pin(`${root}/${'x/'.repeat(2100)}`),
            directory: pin(root),
          }).toEqual({
            pin: 'ok',
            again: 'EEXIST',
            parent: 'ENOENT',
            dot: 'EPERM',
            self: 'EEXIST',
            up: 'EEXIST',
            slash: 'ENOENT',
            nowhere: 'EINVAL',
            empty: 'ENOENT',
            missing: 'ENOENT',
            underPin: 'ENOTDIR',
            long: 'ENAMETOOLONG',
            longest: 'ok',
            flags: 'EINVAL',
            pathMax: 'ENAMETOOLONG',
            directory: 'EEXIST',
          });
          expect({
            get: get(`${root}/a`),
            none: get(`${root}/n`),
            dot: get(`${root}/n.m`),
            directory: get(root),
            missing: get('/nonexistent-folder/zz'),
            readOnly: get(`${root}/a`, C.BPF_F_RDONLY),
            both: get(`${root}/a`, C.BPF_F_RDONLY | C.BPF_F_WRONLY),
            flags: get(`${root}/a`, 1),
            slash: get(`${root}/a/`),
            underPin: get(`${root}/a/b`),
            empty: get(''),
          }).toEqual({
            get: 'ok',
            none: 'ENOENT',
            dot: 'EPERM',
            directory: 'EACCES',
            missing: 'ENOENT',
            readOnly: 'ok',
            both: 'EINVAL',
            flags: 'EINVAL',
            slash: 'ENOTDIR',
            underPin: 'ENOTDIR',
            empty: 'ENOENT',
          });
        });
      });

      test('keep an object when its descriptors are gone, until they are removed', () => {
        const map = bpf.map_create(ARRAY);
        const { id } = info(map, 'map');
        bpf.map_update_elem({ map_fd: map, key: u32(0), value: u32(7, 8) });
        const pathname = `${files.root}/kept`;
        bpf.obj_pin({ pathname, bpf_fd: map });
        kernel.closeFd(map);
        const again = bpf.obj_get({ pathname });
        expect(info(again, 'map').id).toBe(id);
        expect(bpf.map_lookup_elem({ map_fd: again, key: u32(0) })).toEqual(u32(7, 8));
        kernel.closeFd(again);
        files.unlink(pathname);
        expect(outcome(() => bpf.obj_get({ pathname }))).toBe('ENOENT');
        expect(eventually(() => outcome(() => kernel.closeFd(bpf.map_get_fd_by_id({ map_id: id }))))).toBe(
          'ENOENT',
        );
      });

      test('programs are pinned, BTF is not', () => {
        withProg({}, (prog) => {
          bpf.obj_pin({ pathname: `${files.root}/prog`, bpf_fd: prog });
          const again = bpf.obj_get({ pathname: `${files.root}/prog` });
          expect(info(again, 'prog').id).toBe(info(prog, 'prog').id);
          kernel.closeFd(again);
        });
        const btf = bpf.btf_load({ btf: intBtf().bytes });
        expect(outcome(() => bpf.obj_pin({ pathname: `${files.root}/btf`, bpf_fd: btf }))).toBe('EINVAL');
        kernel.closeFd(btf);
      });
    });
  });
}

/** BTF of one type, and the type's id. */
function intBtf() {
  const builder = new BtfBuilder();
  const int = builder.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bitOffset: 0, bits: 32 });
  return { bytes: builder.encode(), int };
}

/** Linux lets go of objects a moment later. */
function eventually(answer: () => string): string {
  const end = Date.now() + 2000;
  for (;;) {
    const now = answer();
    if (now !== 'ok' || Date.now() > end) return now;
  }
}

/** A folder for pins, and the file operations that are not bpf(2)'s. */
function fileSystem(kernel: Kernel | undefined) {
  if (kernel instanceof EmbeddedKernel) {
    const root = '/sys/fs/bpf/skep-contract';
    kernel.bpffs.mkdir(root);
    return {
      root,
      unlink: (path: string) => {
        expect(kernel.bpffs.unlink(path)).toBeUndefined();
      },
      end: () => {
        const entries = kernel.bpffs.list(root);
        if (!('errno' in entries)) for (const { name } of entries) kernel.bpffs.unlink(`${root}/${name}`);
        kernel.bpffs.rmdir(root);
      },
    };
  }
  if (!kernel) return { root: '', unlink: () => {}, end: () => {} };
  const root = mkdtempSync('/sys/fs/bpf/skep-contract-');
  return {
    root,
    unlink: (path: string) => unlinkSync(path),
    end: () => rmSync(root, { recursive: true }),
  };
}
