/** Cases by family of map types. */
import { expect } from 'vitest';
import {
  MAP_CREATE_FLAGS as C,
  type Kernel,
  type MapCreateAttr,
  MAP_UPDATE_FLAGS as U,
} from '../../src/sys/index.ts';
import { fromU32, outcome, u32, withMap } from './kernels.ts';
import type { Shape } from './shapes.ts';
import type { TestMap } from './test-map.ts';

export type Test = (name: string, run: () => void) => void;
export type Open = <T>(use: (map: TestMap) => T, over?: Partial<MapCreateAttr>) => T;

export function valueCases(kernel: Kernel, shape: Shape, test: Test, open: Open): void {
  test('gives back what was put in, padded to 8 bytes for each CPU', () => {
    open((map) => {
      expect(map.update(1, 42)).toBe('ok');
      expect(map.lookup(1)).toEqual(map.value(42));
      expect(map.update(1, 43, U.BPF_EXIST)).toBe('ok');
      expect(map.lookup(1)).toEqual(map.value(43));
    });
  });

  test('refuses keys and values of another size', () => {
    open((map) => {
      const value = map.value(1);
      const call = (key: Uint8Array, bytes: Uint8Array) =>
        outcome(() => kernel.bpf.map_update_elem({ map_fd: map.fd, key, value: bytes }));
      expect(call(new Uint8Array(shape.attr.key_size + 1), value)).toBe('EINVAL');
      expect(call(map.at(0).key!, value.slice(1))).toBe('EINVAL');
    });
  });

  test('batches by position', () => {
    open((map) => {
      for (let i = 0; i < 4; i++) map.update(i, 10 * i);
      const keys: string[] = [];
      let in_batch: Uint8Array | undefined;
      for (let round = 0; round < 20; round++) {
        const batch = kernel.bpf.map_lookup_batch({
          map_fd: map.fd,
          count: 4,
          ...(in_batch && { in_batch }),
        });
        const { key_size } = shape.attr;
        for (let i = 0; i < batch.count; i++) {
          keys.push(batch.keys.subarray(i * key_size, (i + 1) * key_size).join());
        }
        in_batch = batch.out_batch;
        if (!in_batch) break;
      }
      expect(keys.sort()).toEqual(map.keys().sort());
      expect(keys).toHaveLength(4);
    });
  });

  test('a batch takes no flags, and may be empty', () => {
    open((map) => {
      const batch = { map_fd: map.fd, count: 0 };
      expect(kernel.bpf.map_lookup_batch(batch).count).toBe(0);
      const flags = outcome(() => kernel.bpf.map_lookup_batch({ ...batch, count: 4, elem_flags: 1n }));
      expect(flags).toBe('EINVAL');
    });
  });

  test('writes batches', () => {
    open((map) => {
      const keys = concat([0, 1, 2].map((i) => map.at(i).key!));
      const values = concat([5, 6, 7].map((i) => map.value(i)));
      expect(kernel.bpf.map_update_batch({ map_fd: map.fd, count: 3, keys, values })).toBe(3);
      expect(map.lookup(2)).toEqual(map.value(7));
    });
  });
}

function concat(parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

export function hashCases(kernel: Kernel, shape: Shape, test: Test, open: Open): void {
  const lru = shape.attr.map_type.startsWith('lru');

  test('knows what is there', () => {
    open((map) => {
      expect(map.lookup(1)).toBeUndefined();
      expect(map.delete(1)).toBe('ENOENT');
      expect(map.update(1, 1, U.BPF_EXIST)).toBe('ENOENT');
      expect(map.update(1, 1, U.BPF_NOEXIST)).toBe('ok');
      expect(map.update(1, 1, U.BPF_NOEXIST)).toBe('EEXIST');
      expect(map.delete(1)).toBe('ok');
      expect(map.lookup(1)).toBeUndefined();
    });
  });

  test('walks each key once, and starts over from a key that is gone', () => {
    open((map) => {
      expect(map.next()).toBeUndefined();
      for (let i = 0; i < 4; i++) map.update(i, i);
      const keys = map.keys();
      expect(new Set(keys).size).toBe(4);
      map.delete(0);
      expect(map.next(map.at(0).key)).toEqual(map.next());
      expect(map.next(map.at(77).key)).toEqual(map.next());
    });
  });

  test('walks on while what was walked is deleted', () => {
    open((map) => {
      for (let i = 0; i < 4; i++) map.update(i, i);
      let seen = 0;
      for (let key = map.next(); key && seen < 10; key = map.next()) {
        seen += 1;
        kernel.bpf.map_delete_elem({ map_fd: map.fd, key });
      }
      expect(seen).toBe(4);
    });
  });

  if (!lru) {
    test('is full at max_entries, but still replaces', () => {
      open((map) => {
        for (let i = 0; i < 4; i++) expect(map.update(i, i)).toBe('ok');
        expect(map.update(9, 9)).toBe('E2BIG');
        expect(map.update(3, 33)).toBe('ok');
        expect(map.delete(0)).toBe('ok');
        expect(map.update(9, 9)).toBe('ok');
      });
    });

    test('grows one by one without preallocation', () => {
      open(
        (map) => {
          for (let i = 0; i < 4; i++) expect(map.update(i, i)).toBe('ok');
          expect(map.update(9, 9)).toBe('E2BIG');
          expect(map.update(3, 33)).toBe('ok');
          expect(map.lookup(3)).toEqual(map.value(33));
        },
        { map_flags: C.BPF_F_NO_PREALLOC },
      );
    });
  }

  test('takes a key out', () => {
    open((map) => {
      map.update(1, 5);
      expect(kernel.bpf.map_lookup_and_delete_elem(map.at(1))).toEqual(map.value(5));
      expect(kernel.bpf.map_lookup_and_delete_elem(map.at(1))).toBeUndefined();
      const flags = outcome(() => kernel.bpf.map_lookup_and_delete_elem({ ...map.at(1), flags: 1n }));
      expect(flags).toBe('EINVAL');
    });
  });

  test('takes all out in a batch, and deletes a batch', () => {
    open((map) => {
      for (let i = 0; i < 4; i++) map.update(i, i);
      const taken = kernel.bpf.map_lookup_and_delete_batch({ map_fd: map.fd, count: 8 });
      expect(taken.count).toBe(4);
      expect(taken.out_batch).toBeUndefined();
      expect(map.keys()).toEqual([]);
      for (let i = 0; i < 3; i++) map.update(i, i);
      const keys = concat([0, 1].map((i) => map.at(i).key!));
      expect(kernel.bpf.map_delete_batch({ map_fd: map.fd, count: 2, keys })).toBe(2);
      expect(outcome(() => kernel.bpf.map_delete_batch({ map_fd: map.fd, count: 2, keys }))).toBe('ENOENT');
      expect(map.keys()).toHaveLength(1);
    });
  });

  if (lru) {
    test('makes room', () => {
      open(
        (map) => {
          for (let i = 0; i < 500; i++) expect(map.update(i, i)).toBe('ok');
          const kept = map.keys().length;
          expect(kept).toBeGreaterThan(0);
          expect(kept).toBeLessThanOrEqual(128);
        },
        { max_entries: 128 },
      );
    });
    return;
  }

  test('with BPF_F_ZERO_SEED, an order and batch borders that are the same everywhere', () => {
    open(
      (map) => {
        for (let i = 0; i < 40; i++) map.update((i * 7919) % 1000, i);
        for (let i = 0; i < 40; i += 3) map.delete((i * 7919) % 1000);
        for (let i = 0; i < 40; i += 2) map.update((i * 7919) % 1000, i);
        const borders: (number | undefined)[] = [];
        let in_batch: Uint8Array | undefined;
        do {
          const batch = kernel.bpf.map_lookup_batch({
            map_fd: map.fd,
            count: 8,
            ...(in_batch && { in_batch }),
          });
          in_batch = batch.out_batch;
          borders.push(batch.count, fromU32(in_batch));
        } while (in_batch);
        expect(borders).toEqual([7, 25, 8, 34, 8, 49, 8, 62, 2, undefined]);
        expect(map.keys().map((key) => Number.parseInt(key, 10))).toEqual([
          246, 207, 190, 70, 165, 111, 3, 30, 205, 164, 84, 96, 139, 177, 154, 179, 2, 28, 151, 192, 109, 152,
          137, 220, 58, 218, 83, 98, 126, 0, 233, 56, 124,
        ]);
      },
      { max_entries: 64, map_flags: C.BPF_F_ZERO_SEED },
    );
  });
}

export function arrayCases(shape: Shape, test: Test, open: Open): void {
  test('has all its elements from the start, and keeps them', () => {
    open((map) => {
      expect(map.lookup(3)?.every((byte) => byte === 0)).toBe(true);
      expect(map.delete(0)).toBe('EINVAL');
      expect(map.lookup(4)).toBeUndefined();
      expect(map.update(4, 1)).toBe('E2BIG');
      expect(map.update(4, 1, U.BPF_NOEXIST)).toBe('E2BIG');
      expect(map.update(0, 1, U.BPF_NOEXIST)).toBe('EEXIST');
    });
  });

  test('walks the indices in order', () => {
    open((map) => {
      expect(map.keys()).toEqual([0, 1, 2, 3].map((i) => u32(i).join()));
      expect(map.next(u32(3))).toBeUndefined();
      expect(map.next(u32(4))).toEqual(u32(0));
      expect(map.next(u32(0xffff_ffff))).toEqual(u32(0));
    });
  });

  test('can be as large as its values allow', () => {
    open((map) => expect(map.update(99, 1)).toBe('ok'), {
      max_entries: 100,
      value_size: shape.attr.value_size,
    });
  });
}

export function objectCases(kernel: Kernel, shape: Shape, test: Test, open: Open): void {
  const { map_type } = shape.attr;
  const hashed = map_type === 'hash_of_maps';
  /** Holds what bpf(2) makes no descriptors of, and does not show it. */
  const unreadable = map_type === 'perf_event_array' || map_type === 'cgroup_array';

  /** Puts a descriptor's object in. */
  const put = (map: TestMap, key: number, fd: number) =>
    outcome(() => kernel.bpf.map_update_elem({ map_fd: map.fd, key: u32(key), value: u32(fd) }));

  test('takes only descriptors of the right kind', () => {
    open((map) => {
      expect(put(map, 0, 999_999)).toBe('EBADF');
      const hash = { map_type: 'hash', key_size: 4, value_size: 4, max_entries: 1 } as const;
      withMap(kernel, hash, (other) => {
        expect(put(map, 0, other)).toBe(unreadable ? 'EBADF' : 'EINVAL');
      });
      if (!hashed) expect(put(map, 4, 999_999)).toBe('E2BIG');
    });
  });

  test('holds, shows and gives up what it holds', () => {
    const own =
      map_type === 'prog_array' ? loadReturn(kernel, 'socket_filter') : kernel.bpf.map_create(innerShape);
    try {
      if (unreadable) {
        open((map) => {
          expect(outcome(() => map.lookup(1))).toBe('ENOTSUPP');
          expect([map.delete(1), map.delete(4)]).toEqual(['ENOENT', 'E2BIG']);
        });
        return;
      }
      open((map) => {
        expect(map.lookup(1)).toBeUndefined();
        expect(map.delete(1)).toBe('ENOENT');
        expect(put(map, 1, own)).toBe('ok');
        const { id } = kernel.bpf.obj_get_info_by_fd({ bpf_fd: own });
        expect(fromU32(map.lookup(1))).toBe(id);
        expect(put(map, 1, own)).toBe('ok');
        expect(map.delete(1)).toBe('ok');
        expect(map.lookup(1)).toBeUndefined();
        if (!hashed) expect(map.delete(4)).toBe('E2BIG');
      });
    } finally {
      kernel.closeFd(own);
    }
  });

  if (map_type === 'prog_array') {
    test('holds programs of one make', () => {
      open((map) => {
        const types = ['xdp', 'sched_cls', 'xdp'] as const;
        const fds = types.map((type) => loadReturn(kernel, type));
        expect(fds.map((fd) => put(map, 0, fd))).toEqual(['ok', 'EINVAL', 'ok']);
        for (const fd of fds) kernel.closeFd(fd);
      });
    });
  }

  if (map_type.endsWith('_of_maps')) {
    test('takes only maps like its inner map', () => {
      open((map) => {
        const others = [
          { ...innerShape, max_entries: 2 },
          { ...innerShape, value_size: 8 },
          { ...innerShape, map_flags: C.BPF_F_RDONLY_PROG },
          { ...innerShape, map_type: 'percpu_array' as const },
        ];
        for (const other of others) {
          withMap(kernel, other, (fd) => expect(put(map, 0, fd)).toBe('EINVAL'));
        }
      });
    });
  }

  test('has no lookup-and-delete', () => {
    open((map) => {
      expect(outcome(() => kernel.bpf.map_lookup_and_delete_elem(map.at(0)))).toBe('ENOTSUPP');
    });
  });
}

const innerShape = { map_type: 'array', key_size: 4, value_size: 4, max_entries: 1 } as const;

function loadReturn(kernel: Kernel, prog_type: 'socket_filter' | 'xdp' | 'sched_cls') {
  const insns = new Uint8Array([0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);
  return kernel.bpf.prog_load({ prog_type, insns, license: 'GPL' }).fd;
}

export function queueCases(kernel: Kernel, shape: Shape, test: Test, open: Open): void {
  test('gives values back in its order', () => {
    open((map) => {
      expect(map.lookup(0)).toBeUndefined();
      for (const value of [1, 2, 3, 4]) expect(map.update(0, value)).toBe('ok');
      expect(map.update(0, 5)).toBe('E2BIG');
      expect(map.update(0, 5, U.BPF_EXIST)).toBe('ok');
      const order: (number | undefined)[] = [fromU32(map.lookup(0))];
      for (let i = 0; i < 5; i++) order.push(fromU32(kernel.bpf.map_lookup_and_delete_elem(map.at(0))));
      const expected = shape.attr.map_type === 'queue' ? [2, 2, 3, 4, 5] : [5, 5, 4, 3, 2];
      expect(order).toEqual([...expected, undefined]);
    });
  });

  test('has no keys to walk or delete', () => {
    open((map) => {
      expect(map.delete(0)).toBe('EINVAL');
      expect(outcome(() => map.next())).toBe('EINVAL');
    });
  });
}

export function lpmCases(kernel: Kernel, test: Test, open: Open): void {
  const prefix = (bits: number, ...data: number[]) => new Uint8Array([bits, 0, 0, 0, ...data]);

  test('finds the longest prefix, and walks the inner ones first', () => {
    open(
      (map) => {
        const put = (key: Uint8Array, value: number) =>
          outcome(() => kernel.bpf.map_update_elem({ map_fd: map.fd, key, value: u32(value) }));
        const get = (key: Uint8Array) => fromU32(kernel.bpf.map_lookup_elem({ map_fd: map.fd, key }));
        const prefixes = [
          prefix(8, 10, 0, 0, 0),
          prefix(24, 10, 1, 1, 0),
          prefix(16, 10, 1, 0, 0),
          prefix(9, 10, 128, 0, 0),
          prefix(0, 0, 0, 0, 0),
          prefix(32, 192, 168, 0, 1),
        ];
        for (const [i, key] of prefixes.entries()) expect(put(key, i)).toBe('ok');
        expect(get(prefix(32, 10, 1, 1, 9))).toBe(1);
        expect(get(prefix(32, 10, 1, 2, 9))).toBe(2);
        expect(get(prefix(32, 10, 200, 2, 9))).toBe(3);
        expect(get(prefix(32, 10, 2, 2, 9))).toBe(0);
        expect(get(prefix(32, 11, 2, 2, 9))).toBe(4);
        expect(get(prefix(16, 10, 1, 1, 9))).toBe(2);
        expect(get(prefix(33, 10, 1, 1, 9))).toBeUndefined();
        expect(put(prefix(33, 10, 1, 1, 9), 1)).toBe('EINVAL');
        expect(map.keys()).toEqual(
          [prefixes[1]!, prefixes[2]!, prefixes[3]!, prefixes[0]!, prefixes[5]!, prefixes[4]!].map((key) =>
            key.join(),
          ),
        );
        expect(put(prefix(16, 10, 1, 77, 77), 9)).toBe('ok');
        expect(get(prefix(32, 10, 1, 2, 9))).toBe(9);
        const remove = (key: Uint8Array) =>
          outcome(() => kernel.bpf.map_delete_elem({ map_fd: map.fd, key }));
        expect([remove(prefix(17, 10, 1, 0, 0)), remove(prefix(33, 10, 1, 0, 0))]).toEqual([
          'ENOENT',
          'EINVAL',
        ]);
        expect(remove(prefix(0, 0, 0, 0, 0))).toBe('ok');
        expect(get(prefix(32, 11, 2, 2, 9))).toBeUndefined();
      },
      { max_entries: 10 },
    );
  });

  test('is full at max_entries, but still replaces', () => {
    open((map) => {
      for (let i = 0; i < 4; i++) expect(map.update(i, i)).toBe('ok');
      expect(map.update(9, 9)).toBe('ENOSPC');
      expect(map.update(3, 33)).toBe('ok');
    });
  });
}
