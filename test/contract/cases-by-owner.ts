/** Cases of the types whose values are found by something else than what user space put in: devices, sockets, cgroups, tasks. */
import { expect } from 'vitest';
import { type Fd, type Kernel, MAP_UPDATE_FLAGS as U } from '../../src/sys/index.ts';
import type { Open, Test } from './cases.ts';
import { outcome, u32, withMap } from './kernels.ts';
import type { Shape } from './shapes.ts';
import type { TestMap } from './test-map.ts';

const CLOSED = 999_999;
/** The loopback device's number. */
const LOOPBACK = 1;

const RETURN_PASS = new Uint8Array([0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);

export function traceCases(kernel: Kernel, test: Test, open: Open): void {
  test('has only what programs put in', () => {
    open((map) => {
      expect(map.lookup(0)).toBeUndefined();
      expect(map.next()).toBeUndefined();
      expect([map.update(0, 1), map.delete(3), map.delete(4)]).toEqual(['EINVAL', 'ENOENT', 'E2BIG']);
      expect(kernel.bpf.map_lookup_and_delete_elem(map.at(0))).toBeUndefined();
    });
  });
}

/** Device and CPU maps. */
export function redirectCases(kernel: Kernel, shape: Shape, test: Test, open: Open): void {
  const { map_type } = shape.attr;
  const cpus = map_type === 'cpumap';
  const hashed = map_type === 'devmap_hash';
  const put = (map: TestMap, key: number, number: number, program: number, flags = 0n) =>
    outcome(() =>
      kernel.bpf.map_update_elem({ map_fd: map.fd, key: u32(key), value: u32(number, program), flags }),
    );

  test('takes what there is, and gives it back', () => {
    open((map) => {
      expect(map.lookup(0)).toBeUndefined();
      expect(map.update(0, LOOPBACK)).toBe('ok');
      expect(map.lookup(0)).toEqual(u32(LOOPBACK));
      expect(map.update(0, LOOPBACK, U.BPF_EXIST)).toBe('ok');
      expect(map.update(0, LOOPBACK, U.BPF_NOEXIST)).toBe('EEXIST');
      expect(map.update(0, CLOSED)).toBe(cpus ? 'EOVERFLOW' : 'EINVAL');
      expect(map.update(0, 0)).toBe(hashed ? 'EINVAL' : 'ok');
      expect(map.lookup(0)).toEqual(hashed ? u32(LOOPBACK) : undefined);
      expect(map.delete(0)).toBe('ok');
      expect([map.delete(0), map.delete(9)]).toEqual(hashed ? ['ENOENT', 'ENOENT'] : ['ok', 'EINVAL']);
      expect(map.update(9, LOOPBACK)).toBe(hashed ? 'ok' : 'E2BIG');
    });
  });

  test('is walked by index, or by bucket', () => {
    open((map) => {
      const keys = hashed ? [9, 5, 3, 1] : [0];
      for (const key of keys) expect(map.update(key, LOOPBACK)).toBe('ok');
      expect(map.keys()).toEqual((hashed ? [1, 5, 9, 3] : [0, 1, 2, 3]).map((key) => u32(key).join()));
      expect(map.update(13, LOOPBACK)).toBe('E2BIG');
    });
  });

  test('holds programs that were made for it, and no others', () => {
    const load = (expected_attach_type?: 'xdp_devmap' | 'xdp_cpumap') =>
      kernel.bpf.prog_load({
        prog_type: 'xdp',
        insns: RETURN_PASS,
        license: 'GPL',
        ...(expected_attach_type && { expected_attach_type }),
      }).fd;
    const [plain, device, cpu] = [load(), load('xdp_devmap'), load('xdp_cpumap')];
    const [own, other] = cpus ? [cpu, device] : [device, cpu];
    const refused = cpus ? 'ENOMEM' : 'EINVAL';
    open(
      (map) => {
        expect([plain, other, map.fd, CLOSED].map((fd) => put(map, 1, LOOPBACK, fd))).toEqual(
          Array(4).fill(refused),
        );
        expect(put(map, 1, LOOPBACK, own)).toBe('ok');
        const { id } = kernel.bpf.obj_get_info_by_fd({ bpf_fd: own }) as { id: number };
        expect(map.lookup(1)).toEqual(u32(LOOPBACK, id));
        expect(put(map, 1, LOOPBACK, 0xffff_ffff)).toBe('ok');
        expect(map.lookup(1)).toEqual(u32(LOOPBACK, 0));
      },
      { value_size: 8 },
    );
    for (const fd of [plain, device, cpu]) kernel.closeFd(fd);
  });

  if (cpus) {
    test('knows how many CPUs there are and how long a queue is', () => {
      open(
        (map) => {
          expect(map.update(0, 16_384)).toBe('ok');
          expect(map.update(0, 16_385)).toBe('EOVERFLOW');
          expect(map.update(kernel.possibleCpus, 1)).toBe('ENODEV');
        },
        { max_entries: 256 },
      );
    });
  }
}

export function socketCases(kernel: Kernel, shape: Shape, test: Test, open: Open): void {
  const { map_type } = shape.attr;
  const put = (map: TestMap, key: number, low: number, high: number, flags = 0n) =>
    outcome(() =>
      kernel.bpf.map_update_elem({ map_fd: map.fd, key: u32(key), value: u32(low, high), flags }),
    );

  test('takes only sockets', () => {
    open((map) => {
      const bounded = map_type === 'xskmap' || map_type === 'reuseport_sockarray';
      expect([map.update(0, CLOSED), map.update(0, map.fd)]).toEqual(['EBADF', 'ENOTSOCK']);
      expect(map.update(9, CLOSED)).toBe(bounded ? 'E2BIG' : 'EBADF');
    });
  });

  test('is empty', () => {
    open((map) => {
      const looked = outcome(() => map.lookup(0));
      expect(looked).toBe(map_type === 'xskmap' ? 'EOPNOTSUPP' : 'ENOSPC');
      const gone = {
        xskmap: ['ok', 'EINVAL'],
        sockmap: ['EINVAL', 'EINVAL'],
        sockhash: ['ENOENT', 'ENOENT'],
        reuseport_sockarray: ['ENOENT', 'E2BIG'],
      }[map_type as 'xskmap'];
      expect([map.delete(0), map.delete(9)]).toEqual(gone);
      expect(map.keys()).toEqual(map_type === 'sockhash' ? [] : [0, 1, 2, 3].map((n) => u32(n).join()));
    });
  });

  if (map_type === 'xskmap') return;
  test('shows cookies where values are wide enough', () => {
    open(
      (map) => {
        expect(map.lookup(0)).toBeUndefined();
        expect([put(map, 0, CLOSED, 0), put(map, 0, map.fd, 0)]).toEqual(['EBADF', 'ENOTSOCK']);
        expect([put(map, 0, 2 ** 31, 0), put(map, 0, 1, 1)]).toEqual(['EINVAL', 'EINVAL']);
      },
      { value_size: 8 },
    );
  });
}

export function attachedCases(test: Test, open: Open): void {
  test('has a value only where a program is attached', () => {
    open((map) => {
      expect(map.lookup(1)).toBeUndefined();
      expect(map.next()).toBeUndefined();
      expect(map.next(map.at(1).key)).toBeUndefined();
      expect([map.update(1, 1), map.update(1, 1, U.BPF_EXIST), map.delete(1)]).toEqual([
        'ENOENT',
        'ENOENT',
        'EINVAL',
      ]);
    });
  });
}

export function ownedCases(kernel: Kernel, shape: Shape, test: Test, open: Open): void {
  const { bpf } = kernel;
  const on = (map: TestMap, fd: Fd) => {
    const at = { map_fd: map.fd, key: u32(fd) };
    return {
      lookup: () => bpf.map_lookup_elem(at),
      update: (value: number, flags = 0n) =>
        outcome(() => bpf.map_update_elem({ ...at, value: u32(value), flags })),
      delete: () => outcome(() => bpf.map_delete_elem(at)),
    };
  };

  test('has no order', () => {
    open((map) => expect(outcome(() => map.next())).toBe('ENOTSUPP'));
  });

  test('wants a descriptor of an owner', () => {
    open((map) => {
      expect([outcome(() => map.lookup(1)), map.update(1, 1), map.delete(1)]).toEqual(Array(3).fill('EBADF'));
      if (shape.attr.map_type === 'inode_storage') return;
      const own = on(map, map.fd);
      const wrong = shape.attr.map_type === 'sk_storage' ? 'ENOTSOCK' : 'EBADF';
      expect([outcome(own.lookup), own.update(1), own.delete()]).toEqual(Array(3).fill(wrong));
    });
  });

  if (shape.attr.map_type !== 'inode_storage') return;
  test('belongs to an inode: all descriptors of BPF objects have one', () => {
    open((map) => {
      const other = { map_type: 'array', key_size: 4, value_size: 4, max_entries: 1 } as const;
      withMap(kernel, other, (fd) => {
        const [first, second] = [on(map, map.fd), on(map, fd)];
        expect(first.lookup()).toBeUndefined();
        expect([first.update(7, 2n), first.update(7, 1n)]).toEqual(['ENOENT', 'ok']);
        expect(second.lookup()).toEqual(u32(7));
        expect([second.update(8, 1n), second.update(8, 3n), second.update(9, 2n)]).toEqual([
          'EEXIST',
          'EINVAL',
          'ok',
        ]);
        expect(first.lookup()).toEqual(u32(9));
        expect([first.delete(), second.delete()]).toEqual(['ok', 'ENOENT']);
      });
    });
  });
}

export function filterCases(kernel: Kernel, test: Test, open: Open): void {
  const { bpf } = kernel;

  test('knows what was put in', () => {
    open((map) => {
      for (let n = 0; n < 4; n++) expect(map.update(0, n * 1000)).toBe('ok');
      for (let n = 0; n < 4; n++) {
        const value = u32(n * 1000);
        expect(bpf.map_lookup_elem({ map_fd: map.fd, value })).toEqual(value);
      }
      expect(outcome(() => map.next())).toBe('EOPNOTSUPP');
      expect(map.delete(0)).toBe('EOPNOTSUPP');
      expect(outcome(() => bpf.map_lookup_and_delete_elem({ map_fd: map.fd }))).toBe('ENOTSUPP');
    });
  });

  test('with BPF_F_ZERO_SEED, errs in the same places everywhere', () => {
    open(
      (map) => {
        for (let n = 0; n < 100; n++) map.update(0, n);
        const wrong: number[] = [];
        for (let n = 100; n < 1000; n++) {
          if (bpf.map_lookup_elem({ map_fd: map.fd, value: u32(n) })) wrong.push(n);
        }
        expect([wrong.length, ...wrong.slice(0, 6)]).toEqual([98, 100, 110, 125, 126, 127, 153]);
      },
      { max_entries: 100, map_flags: 1 << 6, map_extra: 2n },
    );
  });
}

/** Arenas and user ring buffers: nothing is reached by key. */
export function keylessCases(kernel: Kernel, shape: Shape, test: Test, open: Open): void {
  test('has no elements', () => {
    const arena = shape.attr.map_type === 'arena';
    const none = arena ? 'EOPNOTSUPP' : 'ENOTSUPP';
    open((map) => {
      expect({
        lookup: outcome(() => map.lookup(0)),
        update: map.update(0, 0),
        delete: map.delete(0),
        next: outcome(() => map.next()),
        take: outcome(() => kernel.bpf.map_lookup_and_delete_elem(map.at(0))),
      }).toEqual({
        lookup: arena ? 'EINVAL' : 'ENOTSUPP',
        update: none,
        delete: none,
        next: none,
        take: 'ENOTSUPP',
      });
    });
  });
}
