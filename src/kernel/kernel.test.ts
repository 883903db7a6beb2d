import { describe, expect, it } from 'vitest';
import { InputError } from '../base/error.ts';
import { type Command, commandNames, type Fd } from '../sys/index.ts';
import { createKernel, type KernelOptions, NO_CAPABILITIES, SimulatedClock } from './index.ts';

const u32 = (...values: number[]) => new Uint8Array(new Uint32Array(values).buffer);
const RETURN_0 = new Uint8Array([0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);
const ARRAY = { map_type: 'array', key_size: 4, value_size: 4, max_entries: 4 } as const;

function errno(call: () => unknown): string {
  try {
    call();
    return 'ok';
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    expect(error.message).toMatch(/^\S+ing .*: .* \([A-Z0-9]+\)$/);
    return error.errno ?? 'none';
  }
}

describe('EmbeddedKernel', () => {
  it('has every command, and each fails with an errno and a sentence', () => {
    const kernel = createKernel();
    expect(Object.keys(kernel.bpf).sort()).toEqual([...commandNames].sort());
    const nowhere = 99 as Fd;
    const calls: Partial<Record<Command, object>> = {
      map_create: { ...ARRAY, map_type: 'arena' },
      btf_load: { btf: new Uint8Array(3) },
      prog_load: { prog_type: 'xdp', insns: new Uint8Array(8), license: 'GPL' },
      map_lookup_batch: { map_fd: nowhere, count: 1 },
      map_lookup_and_delete_batch: { map_fd: nowhere, count: 1 },
      map_update_batch: { map_fd: nowhere, count: 0, keys: u32(), values: u32() },
      map_delete_batch: { map_fd: nowhere, count: 0, keys: u32() },
      obj_pin: { pathname: 'x', bpf_fd: nowhere },
      obj_get: { pathname: 'x' },
      enable_stats: { type: 7 },
      link_create: { prog_fd: nowhere, attach_type: 'xdp' },
      token_create: { bpffs_fd: 0 },
    };
    const plain = {
      map_fd: nowhere,
      prog_fd: nowhere,
      link_fd: nowhere,
      bpf_fd: nowhere,
      attach_bpf_fd: nowhere,
      attach_type: 'xdp',
      start_id: -1,
      pid: 1,
      fd: 1,
      value: u32(0),
      stream_id: 1,
    };
    for (const command of commandNames) {
      const call = kernel.bpf[command] as (attr: object) => unknown;
      expect(errno(() => call({ ...plain, ...calls[command] }))).not.toBe('ok');
    }
  });

  it('says what is missing to attach', () => {
    const kernel = createKernel();
    const { fd } = kernel.bpf.prog_load({ prog_type: 'xdp', insns: RETURN_0, license: 'GPL' });
    expect(() => kernel.bpf.link_create({ prog_fd: fd, attach_type: 'perf_event' })).toThrow(
      /no perf events to trace with yet.*\(EOPNOTSUPP\)/,
    );
  });

  it('refuses options that make no kernel', () => {
    for (const options of [
      { cpus: 0 },
      { cpus: 1.5 },
      { cpu: 1 },
      { cpus: 5000 },
    ] satisfies KernelOptions[]) {
      expect(() => createKernel(options)).toThrow(InputError);
    }
  });

  it('obeys the capabilities of its caller', () => {
    const load = { insns: RETURN_0, license: 'GPL' };
    const tries = (options: KernelOptions) => {
      const { bpf } = createKernel(options);
      return {
        array: errno(() => bpf.map_create(ARRAY)),
        lru: errno(() => bpf.map_create({ ...ARRAY, map_type: 'lru_hash' })),
        seed: errno(() => bpf.map_create({ ...ARRAY, map_type: 'hash', map_flags: 64 })),
        filter: errno(() => bpf.prog_load({ ...load, prog_type: 'socket_filter' })),
        xdp: errno(() => bpf.prog_load({ ...load, prog_type: 'xdp' })),
        kprobe: errno(() => bpf.prog_load({ ...load, prog_type: 'kprobe' })),
        ids: errno(() => bpf.map_get_next_id({ start_id: 0 })),
      };
    };
    const none = { capabilities: NO_CAPABILITIES };
    const refused = {
      array: 'EPERM',
      lru: 'EPERM',
      seed: 'EPERM',
      filter: 'EPERM',
      xdp: 'EPERM',
      kprobe: 'EPERM',
    };
    expect(tries(none)).toEqual({ ...refused, ids: 'EPERM' });
    expect(tries({ ...none, unprivilegedBpf: true })).toEqual({
      ...refused,
      array: 'ok',
      filter: 'ok',
      ids: 'EPERM',
    });
    expect(tries({ capabilities: { ...NO_CAPABILITIES, bpf: true } })).toEqual({
      ...refused,
      array: 'ok',
      lru: 'ok',
      filter: 'ok',
      ids: 'EPERM',
    });
    expect(tries({ capabilities: { ...NO_CAPABILITIES, bpf: true, netAdmin: true, perfmon: true } })).toEqual(
      {
        array: 'ok',
        lru: 'ok',
        seed: 'EPERM',
        filter: 'ok',
        xdp: 'ok',
        kprobe: 'ok',
        ids: 'EPERM',
      },
    );
  });

  it('runs the same from the same inputs', () => {
    const run = (random: number) => {
      const kernel = createKernel({ clock: new SimulatedClock(1000n, 5n), random });
      const hash = kernel.bpf.map_create({ map_type: 'hash', key_size: 4, value_size: 4, max_entries: 64 });
      for (let i = 0; i < 40; i++) kernel.bpf.map_update_elem({ map_fd: hash, key: u32(i), value: u32(i) });
      const { fd } = kernel.bpf.prog_load({ prog_type: 'xdp', insns: RETURN_0, license: 'GPL' });
      const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
      const keys: string[] = [];
      for (let key = kernel.bpf.map_get_next_key({ map_fd: hash }); key; ) {
        keys.push(key.join());
        key = kernel.bpf.map_get_next_key({ map_fd: hash, key });
      }
      return { keys, loaded: info.kind === 'prog' && info.load_time };
    };
    expect(run(1)).toEqual(run(1));
    expect(run(1).keys).not.toEqual(run(2).keys);
    expect(run(1).loaded).toBe(1005n);
  });

  it('lets go of everything when it is closed', () => {
    const kernel = createKernel();
    const map = kernel.bpf.map_create(ARRAY);
    kernel.bpf.obj_pin({ pathname: '/sys/fs/bpf/m', bpf_fd: map });
    expect(errno(() => kernel.closeFd(77 as Fd))).toBe('EBADF');
    kernel.close();
    expect(kernel.memoryUse.blocks).toBe(0);
  });
});
