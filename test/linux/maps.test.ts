/** The map commands against the machine's own kernel. */
import { afterAll, describe, expect, test } from 'vitest';
import { mapFd } from '../../src/linux/index.ts';
import { type Fd, MAP_CREATE_FLAGS, MAP_UPDATE_FLAGS, type MapCreateAttr } from '../../src/sys/index.ts';
import { needsLinux, theLinux, thrown, u32, u64 } from './support.ts';

needsLinux('maps of Linux', () => {
  const kernel = theLinux();
  const { bpf } = kernel;
  const fds: Fd[] = [];
  const make = (attr: Partial<MapCreateAttr>): Fd => {
    const fd = bpf.map_create({ map_type: 'hash', key_size: 4, value_size: 8, max_entries: 16, ...attr });
    fds.push(fd);
    return fd;
  };
  afterAll(() => {
    for (const fd of fds) kernel.closeFd(fd);
  });

  test('a hash map forgets nothing and invents nothing', () => {
    const map_fd = make({ map_name: 'counts' });
    expect(bpf.map_lookup_elem({ map_fd, key: u32(1) })).toBeUndefined();
    expect(bpf.map_get_next_key({ map_fd })).toBeUndefined();
    bpf.map_update_elem({ map_fd, key: u32(1), value: u64(0x1122334455667788n) });
    expect(bpf.map_lookup_elem({ map_fd, key: u32(1) })).toEqual(u64(0x1122334455667788n));
    expect(bpf.map_get_next_key({ map_fd })).toEqual(u32(1));
    expect(bpf.map_get_next_key({ map_fd, key: u32(1) })).toBeUndefined();
    expect(bpf.map_lookup_and_delete_elem({ map_fd, key: u32(1) })).toEqual(u64(0x1122334455667788n));
    expect(bpf.map_lookup_and_delete_elem({ map_fd, key: u32(1) })).toBeUndefined();
    bpf.map_update_elem({ map_fd, key: u32(2), value: u64(2n) });
    bpf.map_delete_elem({ map_fd, key: u32(2) });
    const gone = thrown(() => bpf.map_delete_elem({ map_fd, key: u32(2) }));
    expect(gone).toMatchObject({ errno: 'ENOENT', code: 'linux-map-delete-elem' });
    expect(gone.message).toContain('the key is not there');
  });

  test('a result stays what it was when the next call is made', () => {
    const map_fd = make({});
    bpf.map_update_elem({ map_fd, key: u32(1), value: u64(1n) });
    bpf.map_update_elem({ map_fd, key: u32(2), value: u64(2n) });
    const one = bpf.map_lookup_elem({ map_fd, key: u32(1) });
    bpf.map_lookup_elem({ map_fd, key: u32(2) });
    expect(one).toEqual(u64(1n));
  });

  test('update flags are obeyed', () => {
    const map_fd = make({ max_entries: 1 });
    const { BPF_NOEXIST, BPF_EXIST } = MAP_UPDATE_FLAGS;
    const put = (key: number, flags: number) =>
      bpf.map_update_elem({ map_fd, key: u32(key), value: u64(0n), flags: BigInt(flags) });
    expect(thrown(() => put(1, BPF_EXIST)).errno).toBe('ENOENT');
    put(1, BPF_NOEXIST);
    expect(thrown(() => put(1, BPF_NOEXIST)).errno).toBe('EEXIST');
    expect(thrown(() => put(2, 0))).toMatchObject({ errno: 'E2BIG' });
  });

  test('sizes that do not fit are refused before the kernel could read past them', () => {
    const map_fd = make({});
    expect(thrown(() => bpf.map_lookup_elem({ map_fd, key: u32(1, 2) })).message).toBe(
      `using map fd ${map_fd}: the key has 8 bytes, but the map's has 4`,
    );
    expect(thrown(() => bpf.map_update_elem({ map_fd, key: u32(1), value: u32(1) })).errno).toBe('EINVAL');
    expect(thrown(() => bpf.map_lookup_elem({ map_fd, key: new Uint8Array(0) })).errno).toBe('EINVAL');
  });

  test.each(['percpu_hash', 'percpu_array', 'lru_percpu_hash'] as const)(
    "%s has an 8-byte aligned value of each CPU's",
    (map_type) => {
      const map_fd = make({ map_type, value_size: 4 });
      const value = new Uint8Array(8 * kernel.possibleCpus);
      for (let cpu = 0; cpu < kernel.possibleCpus; cpu++) value[cpu * 8] = cpu + 1;
      bpf.map_update_elem({ map_fd, key: u32(0), value });
      expect(bpf.map_lookup_elem({ map_fd, key: u32(0) })).toEqual(value);
    },
  );

  test('queue, stack and bloom filter have no keys', () => {
    for (const [map_type, first] of [
      ['queue', 1],
      ['stack', 2],
    ] as const) {
      const map_fd = make({ map_type, key_size: 0, value_size: 4 });
      bpf.map_update_elem({ map_fd, value: u32(1) });
      bpf.map_update_elem({ map_fd, value: u32(2) });
      expect(bpf.map_lookup_elem({ map_fd })).toEqual(u32(first));
      expect(bpf.map_lookup_and_delete_elem({ map_fd })).toEqual(u32(first));
      expect(bpf.map_lookup_and_delete_elem({ map_fd })).toEqual(u32(3 - first));
      expect(bpf.map_lookup_and_delete_elem({ map_fd })).toBeUndefined();
    }
    const map_fd = make({ map_type: 'bloom_filter', key_size: 0, value_size: 4, map_extra: 3n });
    bpf.map_update_elem({ map_fd, value: u32(7) });
    expect(bpf.map_lookup_elem({ map_fd, value: u32(7) })).toEqual(u32(7));
    expect(bpf.map_lookup_elem({ map_fd, value: u32(8) })).toBeUndefined();
  });

  test('an array of maps gives the id of what was stored by fd', () => {
    const inner_map_fd = make({ map_type: 'array' });
    const map_fd = make({ map_type: 'array_of_maps', value_size: 4, inner_map_fd });
    bpf.map_update_elem({ map_fd, key: u32(3), value: u32(inner_map_fd) });
    const info = bpf.obj_get_info_by_fd({ bpf_fd: inner_map_fd });
    expect(bpf.map_lookup_elem({ map_fd, key: u32(3) })).toEqual(u32(info.kind === 'map' ? info.id : -1));
    expect(bpf.map_lookup_elem({ map_fd, key: u32(4) })).toBeUndefined();
  });

  test('every map type that stands alone can be made, and says what it is', () => {
    const { BPF_F_NO_PREALLOC } = MAP_CREATE_FLAGS;
    const page = 4096;
    const attrs: readonly Partial<MapCreateAttr>[] = [
      { map_type: 'hash' },
      { map_type: 'array' },
      { map_type: 'prog_array', value_size: 4 },
      { map_type: 'perf_event_array', value_size: 4 },
      { map_type: 'percpu_hash' },
      { map_type: 'percpu_array' },
      { map_type: 'stack_trace', value_size: 80 },
      { map_type: 'cgroup_array', value_size: 4 },
      { map_type: 'lru_hash' },
      { map_type: 'lru_percpu_hash' },
      { map_type: 'lpm_trie', key_size: 8, map_flags: BPF_F_NO_PREALLOC },
      { map_type: 'devmap', value_size: 8 },
      { map_type: 'sockmap', value_size: 8 },
      { map_type: 'cpumap', value_size: 8, max_entries: 1 },
      { map_type: 'sockhash', value_size: 8 },
      { map_type: 'cgroup_storage', key_size: 8, max_entries: 0 },
      { map_type: 'reuseport_sockarray', value_size: 8 },
      { map_type: 'percpu_cgroup_storage', key_size: 8, max_entries: 0 },
      { map_type: 'queue', key_size: 0 },
      { map_type: 'stack', key_size: 0 },
      { map_type: 'devmap_hash', value_size: 8 },
      { map_type: 'ringbuf', key_size: 0, value_size: 0, max_entries: page },
      { map_type: 'bloom_filter', key_size: 0 },
      { map_type: 'user_ringbuf', key_size: 0, value_size: 0, max_entries: page },
    ];
    for (const attr of attrs) {
      const fd = make({ ...attr, map_name: 'a_name.0' });
      const info = bpf.obj_get_info_by_fd({ bpf_fd: fd });
      const { map_type: type, map_flags = 0, ...sizes } = attr;
      // The kernel adds flags of its own to some types.
      expect(info).toMatchObject({ kind: 'map', type, ...sizes, name: 'a_name.0' });
      expect(info.kind === 'map' && info.map_flags & map_flags).toBe(map_flags);
    }
  });

  test('a map that can not be is refused in a sentence', () => {
    const none = thrown(() => make({ max_entries: 0, map_name: 'none' }));
    expect(none).toMatchObject({ code: 'linux-map-create', errno: 'EINVAL' });
    expect(none.message).toBe(
      "creating hash map 'none' (key_size 4, value_size 8, max_entries 0, map_flags 0x0): " +
        'Invalid argument (EINVAL): a size or flag does not fit the map type, or this kernel lacks the type',
    );
    expect(thrown(() => make({ map_name: 'sixteen_letters!' })).message).toContain('at most 15 characters');
    expect(thrown(() => make({ map_type: 'rhash', map_flags: 0x4000_0000 })).errno).toBe('EINVAL');
  });

  test('a frozen map is read-only to user space', () => {
    const map_fd = make({ map_type: 'array' });
    bpf.map_freeze({ map_fd });
    const refused = thrown(() => bpf.map_update_elem({ map_fd, key: u32(0), value: u64(1n) }));
    expect(refused.errno).toBe('EPERM');
    expect(refused.message).toContain('the map is frozen');
    expect(bpf.map_lookup_elem({ map_fd, key: u32(0) })).toEqual(u64(0n));
  });

  describe('batches', () => {
    const count = 5000;
    const keys = u32(...Array.from({ length: count }, (_, i) => i));
    const values = u64(...Array.from({ length: count }, (_, i) => BigInt(i) * 3n));

    test.each(['hash', 'array', 'percpu_hash'] as const)('%s: all in, all out, in pieces', (map_type) => {
      const map_fd = make({ map_type, max_entries: count });
      const cpus = map_type === 'percpu_hash' ? kernel.possibleCpus : 1;
      const wide = new Uint8Array(count * 8 * cpus);
      for (let i = 0; i < count * cpus; i++) {
        wide.set(values.subarray(Math.floor(i / cpus) * 8, Math.floor(i / cpus) * 8 + 8), i * 8);
      }
      expect(bpf.map_update_batch({ map_fd, count, keys, values: wide })).toBe(count);
      const seen = new Map<number, bigint>();
      let in_batch: Uint8Array | undefined;
      let calls = 0;
      do {
        const batch = bpf.map_lookup_batch({ map_fd, count: 1024, ...(in_batch && { in_batch }) });
        const batchKeys = new Uint32Array(batch.keys.slice().buffer);
        const batchValues = new BigUint64Array(batch.values.slice().buffer);
        expect(batchKeys).toHaveLength(batch.count);
        expect(batchValues).toHaveLength(batch.count * cpus);
        for (const [i, key] of batchKeys.entries()) seen.set(key, batchValues[i * cpus]!);
        in_batch = batch.out_batch;
        calls++;
      } while (in_batch !== undefined);
      expect(calls).toBeGreaterThan(1);
      expect(seen.size).toBe(count);
      for (const [key, value] of seen) if (value !== BigInt(key) * 3n) expect([key, value]).toBeUndefined();
    });

    test('taking and deleting', () => {
      const map_fd = make({ max_entries: count });
      bpf.map_update_batch({ map_fd, count, keys, values });
      expect(bpf.map_delete_batch({ map_fd, count: 1000, keys })).toBe(1000);
      const rest = bpf.map_lookup_and_delete_batch({ map_fd, count });
      expect(rest.count).toBe(count - 1000);
      expect(rest.out_batch).toBeUndefined();
      expect(bpf.map_get_next_key({ map_fd })).toBeUndefined();
      const failed = thrown(() => bpf.map_delete_batch({ map_fd, count: 1, keys }));
      expect(failed).toMatchObject({ errno: 'ENOENT', code: 'linux-map-delete-batch' });
      expect(failed.message).toContain('0 done');
      expect(thrown(() => bpf.map_update_batch({ map_fd, count: 2, keys, values: u64(1n) })).errno).toBe(
        'EINVAL',
      );
    });

    test('more than the call memory holds', () => {
      const map_fd = make({ value_size: 1024, max_entries: count });
      const big = new Uint8Array(count * 1024).map((_, i) => i >> 10);
      bpf.map_update_batch({ map_fd, count, keys, values: big });
      const all = bpf.map_lookup_batch({ map_fd, count });
      expect(all.count).toBe(count);
      const key = new Uint32Array(all.keys.slice().buffer)[count - 1]!;
      expect(all.values.subarray(-1024)).toEqual(big.subarray(key * 1024, (key + 1) * 1024));
    });
  });

  describe('memory', () => {
    const attr = {
      map_type: 'array',
      max_entries: 1000,
      map_flags: MAP_CREATE_FLAGS.BPF_F_MMAPABLE,
    } as const;

    test('is shared with the kernel, both ways', () => {
      const map_fd = make(attr);
      const mapping = mapFd(map_fd, { length: 8000, writable: true });
      const numbers = new BigUint64Array(mapping.bytes.buffer, 0, 1000);
      numbers[999] = 77n;
      expect(bpf.map_lookup_elem({ map_fd, key: u32(999) })).toEqual(u64(77n));
      bpf.map_update_elem({ map_fd, key: u32(3), value: u64(33n) });
      expect(numbers[3]).toBe(33n);
      mapping.close();
      mapping.close();
      expect(numbers[3]).toBe(0n);
      expect(bpf.map_lookup_elem({ map_fd, key: u32(3) })).toEqual(u64(33n));
    });

    test('is refused in a sentence where there is none', () => {
      const plain = make({ map_type: 'array' });
      const refused = thrown(() => mapFd(plain, { length: 4096 }));
      expect(refused).toMatchObject({ code: 'linux-mmap' });
      expect(refused.message).toContain('an array lacks BPF_F_MMAPABLE');
      const frozen = make(attr);
      bpf.map_freeze({ map_fd: frozen });
      expect(thrown(() => mapFd(frozen, { length: 4096, writable: true })).errno).toBe('EPERM');
    });

    test('many mappings come and go', () => {
      const map_fd = make(attr);
      for (let i = 0; i < 500; i++) {
        const mapping = mapFd(map_fd, { length: 8000, writable: true });
        mapping.bytes[0] = i & 0xff;
        mapping.close();
      }
      expect(bpf.map_lookup_elem({ map_fd, key: u32(0) })?.[0]).toBe(499 & 0xff);
    });
  });
});
