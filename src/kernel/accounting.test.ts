/** Whatever was created and closed again has left nothing behind. */
import { describe, expect, it } from 'vitest';
import type { Fd, MapCreateAttr } from '../sys/index.ts';
import { createKernel } from './index.ts';

const ROUNDS = 10_000;
const u32 = (...values: number[]) => new Uint8Array(new Uint32Array(values).buffer);
const RETURN_0 = new Uint8Array([0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);

const four = { key_size: 4, value_size: 4, max_entries: 4 };
const MAPS: readonly MapCreateAttr[] = [
  { map_type: 'hash', ...four },
  { map_type: 'hash', ...four, map_flags: 1 },
  { map_type: 'percpu_hash', ...four },
  { map_type: 'lru_hash', ...four },
  { map_type: 'lru_percpu_hash', ...four },
  { map_type: 'array', ...four },
  { map_type: 'percpu_array', ...four },
  { map_type: 'lpm_trie', ...four, key_size: 8, map_flags: 1 },
  { map_type: 'queue', ...four, key_size: 0 },
  { map_type: 'stack', ...four, key_size: 0 },
  { map_type: 'ringbuf', key_size: 0, value_size: 0, max_entries: 4096 },
];

describe('accounting', () => {
  it(`memory, ids and descriptors are back after ${ROUNDS} rounds of everything`, () => {
    const kernel = createKernel({ cpus: 2 });
    const { bpf } = kernel;
    kernel.bpffs.mkdir('/sys/fs/bpf/d');

    const round = (n: number): Fd[] => {
      const map = bpf.map_create(MAPS[n % MAPS.length]!);
      const { key_size, value_size, map_type } = MAPS[n % MAPS.length]!;
      if (map_type !== 'ringbuf') {
        const value = new Uint8Array(map_type.includes('percpu') ? 16 : value_size);
        for (let i = 0; i < 3; i++) {
          bpf.map_update_elem({
            map_fd: map,
            ...(key_size > 0 && { key: key_size === 8 ? u32(32, i) : u32(i) }),
            value,
          });
        }
      }
      const insns = new Uint8Array([0x18, 0x11, 0, 0, ...u32(map), 0, 0, 0, 0, 0, 0, 0, 0, ...RETURN_0]);
      const prog = bpf.prog_load({ prog_type: 'socket_filter', insns, license: 'GPL' }).fd;
      const progs = bpf.map_create({ map_type: 'prog_array', ...four });
      bpf.map_update_elem({ map_fd: progs, key: u32(0), value: u32(prog) });
      const events = bpf.map_create({ map_type: 'perf_event_array', ...four });
      const perf = kernel.openPerfBuffer(events, 1);
      const outer = (['array_of_maps', 'hash_of_maps'] as const).map((type) => {
        const fd = bpf.map_create({ map_type: type, ...four, inner_map_fd: map });
        bpf.map_update_elem({ map_fd: fd, key: u32(1), value: u32(map) });
        return fd;
      });
      bpf.obj_pin({ pathname: '/sys/fs/bpf/d/map', bpf_fd: map });
      bpf.obj_pin({ pathname: '/sys/fs/bpf/d/prog', bpf_fd: prog });
      bpf.prog_test_run({ prog_fd: prog, data_in: new Uint8Array(64) });
      kernel.bpffs.unlink('/sys/fs/bpf/d/map');
      kernel.bpffs.unlink('/sys/fs/bpf/d/prog');
      return [map, prog, progs, events, ...perf, ...outer, bpf.enable_stats({ type: 0 })];
    };

    for (const fd of round(0)) kernel.closeFd(fd);
    const before = kernel.memoryUse;
    const size = kernel.memory.u8.length;
    for (let n = 0; n < ROUNDS; n++) {
      const fds = round(n);
      expect(fds[0]).toBe(3);
      for (const fd of n % 2 ? fds : fds.reverse()) kernel.closeFd(fd);
    }
    expect(kernel.memoryUse).toEqual(before);
    expect(kernel.memory.u8.length).toBe(size);
    expect(bpf.map_get_next_id({ start_id: 0 })).toBeUndefined();
    expect(bpf.prog_get_next_id({ start_id: 0 })).toBeUndefined();
    kernel.close();
    expect(kernel.memoryUse.blocks).toBe(0);
  });

  it('a creation that fails leaves nothing', () => {
    const kernel = createKernel({ memoryLimit: 8 << 20, cpus: 2 });
    const before = kernel.memoryUse;
    for (const { map_type, key_size } of MAPS) {
      if (map_type === 'lpm_trie') continue;
      const attr =
        map_type === 'ringbuf'
          ? { map_type, key_size, value_size: 0, max_entries: 1 << 27 }
          : { map_type, key_size, value_size: 1024, max_entries: 1 << 20 };
      expect(() => kernel.bpf.map_create(attr)).toThrow(expect.objectContaining({ errno: 'ENOMEM' }));
    }
    expect(kernel.memoryUse).toEqual(before);
    kernel.closeFd(kernel.bpf.map_create({ map_type: 'hash', ...four }));
    kernel.close();
  });

  it('a program array and a program that calls itself through it end together', () => {
    const kernel = createKernel();
    const before = kernel.memoryUse;
    const progs = kernel.bpf.map_create({ map_type: 'prog_array', ...four });
    const insns = new Uint8Array([
      ...[0x18, 0x12, 0, 0, ...u32(progs), 0, 0, 0, 0, 0, 0, 0, 0],
      ...[0xb7, 3, 0, 0, 0, 0, 0, 0, 0x85, 0, 0, 0, ...u32(12)],
      ...RETURN_0,
    ]);
    const { fd } = kernel.bpf.prog_load({ prog_type: 'socket_filter', insns, license: 'GPL' });
    kernel.bpf.map_update_elem({ map_fd: progs, key: u32(0), value: u32(fd) });
    kernel.closeFd(fd);
    expect(kernel.bpf.prog_get_next_id({ start_id: 0 })).toBe(1);
    kernel.closeFd(progs);
    expect(kernel.bpf.prog_get_next_id({ start_id: 0 })).toBeUndefined();
    expect(kernel.memoryUse).toEqual(before);
  });
});
