/** What programs do with maps that user space can't do, on every kernel. */
import { afterAll, describe, expect, it } from 'vitest';
import { assembleLlvm } from '../../src/isa/index.ts';
import type { Fd, Kernel, MapCreateAttr, ProgLoadAttr } from '../../src/sys/index.ts';
import { SUBJECTS, u32, withMap } from './kernels.ts';

let ran = 0;
afterAll(() => {
  expect(ran, 'the contract ran no case').toBeGreaterThan(0);
});

/** `r1 = MAP ll` names a map. */
function load(kernel: Kernel, prog_type: ProgLoadAttr['prog_type'], text: string, map: Fd): Fd {
  const insns = assembleLlvm(text.replace('MAP', String(map))).bytes.slice();
  for (let at = 0; at < insns.length; at += 8) if (insns[at] === 0x18) insns[at + 1]! |= 0x10;
  return kernel.bpf.prog_load({ prog_type, insns, license: 'GPL' }).fd;
}

const DATA = new Uint8Array(64);

for (const subject of SUBJECTS) {
  describe.skipIf(subject.missing !== undefined)(`map helper contract on ${subject.name}`, () => {
    const kernel = subject.missing === undefined ? subject.kernel() : (undefined as unknown as Kernel);
    const { bpf } = kernel ?? {};

    const four = { key_size: 4, value_size: 4, max_entries: 4 };
    for (const map_type of ['devmap', 'devmap_hash', 'cpumap', 'xskmap'] as const) {
      it(`${map_type}: redirect_map leads to an entry, or to the action for none`, () => {
        ran += 1;
        withMap(kernel, { map_type, ...four }, (map_fd) => {
          if (map_type !== 'xskmap') bpf.map_update_elem({ map_fd, key: u32(1), value: u32(1) });
          const go = (key: number, flags: number) => {
            const text = `r1 = MAP ll\nr2 = ${key}\nr3 = ${flags}\ncall 51\nexit`;
            const prog_fd = load(kernel, 'xdp', text, map_fd);
            const { retval } = bpf.prog_test_run({ prog_fd, data_in: DATA });
            kernel.closeFd(prog_fd);
            return retval;
          };
          const there = map_type === 'xskmap' ? 0 : 4;
          const broadcast = map_type.startsWith('devmap') ? 4 : 0;
          expect([go(1, 0), go(2, 0), go(2, 2), go(9, 1), go(2, 8), go(1, 64)]).toEqual([
            there,
            0,
            2,
            1,
            broadcast,
            0,
          ]);
        });
      });
    }

    it('devmap: a program looks at an entry', () => {
      ran += 1;
      withMap(kernel, { map_type: 'devmap', ...four }, (map_fd) => {
        bpf.map_update_elem({ map_fd, key: u32(1), value: u32(1) });
        const look = (key: number) => {
          const text = `
            r1 = ${key}
            *(u32 *)(r10 - 4) = r1
            r1 = MAP ll
            r2 = r10
            r2 += -4
            call 1
            if r0 == 0 goto +2
            r0 = *(u32 *)(r0 + 0)
            r0 += 100
            exit`;
          const prog_fd = load(kernel, 'xdp', text, map_fd);
          const { retval } = bpf.prog_test_run({ prog_fd, data_in: DATA });
          kernel.closeFd(prog_fd);
          return retval;
        };
        expect([look(1), look(2), look(9)]).toEqual([101, 0, 0]);
      });
    });

    for (const map_type of ['cgroup_storage', 'percpu_cgroup_storage'] as const) {
      it(`${map_type}: a test run has a value of its own, from zero on`, () => {
        ran += 1;
        const attr: MapCreateAttr = { map_type, key_size: 8, value_size: 8, max_entries: 0 };
        withMap(kernel, attr, (map_fd) => {
          const text = `
            r1 = MAP ll
            r2 = 0
            call 81
            r1 = *(u64 *)(r0 + 0)
            r1 += 1
            *(u64 *)(r0 + 0) = r1
            r0 = 1
            if r1 == 3 goto +1
            r0 = 0
            exit`;
          const prog_fd = load(kernel, 'cgroup_skb', text, map_fd);
          const run = (repeat: number) => bpf.prog_test_run({ prog_fd, data_in: DATA, repeat }).retval;
          expect([run(1), run(3), run(2), run(3)]).toEqual([0, 1, 0, 1]);
          kernel.closeFd(prog_fd);
        });
      });
    }

    it('bloom_filter: a program puts values in and asks for them', () => {
      ran += 1;
      withMap(kernel, { map_type: 'bloom_filter', ...four, key_size: 0 }, (map_fd) => {
        const text = (helper: string, value: number) => `
            r1 = ${value}
            *(u32 *)(r10 - 4) = r1
            r1 = MAP ll
            r2 = r10
            r2 += -4
            r3 = 0
            call ${helper}
            exit`;
        const run = (helper: string, value: number) => {
          const prog_fd = load(kernel, 'socket_filter', text(helper, value), map_fd);
          const { retval } = bpf.prog_test_run({ prog_fd, data_in: DATA });
          kernel.closeFd(prog_fd);
          return retval | 0;
        };
        expect([run('89', 7), run('87', 7), run('87', 7)]).toEqual([-2, 0, 0]);
        expect(run('89', 7)).toBe(0);
        expect(bpf.map_lookup_elem({ map_fd, value: u32(7) })).toEqual(u32(7));
      });
    });
  });
}
