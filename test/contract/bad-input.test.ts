/** What no map is made of or does: Linux's errno and a sentence, and the kernel goes on. */
import { afterEach, describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/error.ts';
import { createKernel } from '../../src/kernel/index.ts';
import type { Fd, Kernel, MapCreateAttr } from '../../src/sys/index.ts';
import { SUBJECTS, u32 } from './kernels.ts';

/** The errno of a failure that is told in a sentence. */
function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    // What was being done: why it failed.
    expect(error.message).toMatch(/^[a-z].*: \S.*/);
    return error.errno ?? error.code;
  }
  return 'ok';
}

const HASH = { map_type: 'hash', key_size: 4, value_size: 4, max_entries: 4 } as const;

for (const { name, missing, kernel: open } of SUBJECTS) {
  describe.skipIf(missing !== undefined)(`bad input on ${name}`, () => {
    const kernel: Kernel = open();
    const { bpf } = kernel;
    const fds: Fd[] = [];
    const make = (attr: MapCreateAttr) => {
      const fd = bpf.map_create(attr);
      fds.push(fd);
      return fd;
    };
    afterEach(() => {
      for (const fd of fds.splice(0)) kernel.closeFd(fd);
      // It goes on.
      const fd = bpf.map_create(HASH);
      bpf.map_update_elem({ map_fd: fd, key: u32(1), value: u32(2) });
      expect(bpf.map_lookup_elem({ map_fd: fd, key: u32(1) })).toEqual(u32(2));
      kernel.closeFd(fd);
    });
    const create = (over: Partial<MapCreateAttr>) =>
      refusal(() => make({ ...HASH, ...over } as MapCreateAttr));

    it('zero sizes', () => {
      expect([create({ key_size: 0 }), create({ value_size: 0 }), create({ max_entries: 0 })]).toEqual([
        'EINVAL',
        'EINVAL',
        'EINVAL',
      ]);
    });

    it('huge sizes', () => {
      const most = 0xffff_ffff;
      expect([
        create({ key_size: most }),
        create({ value_size: most }),
        create({ max_entries: most }),
        create({ key_size: 1 << 20, value_size: 1 << 25 }),
        create({ map_type: 'array', value_size: most }),
        create({ map_type: 'ringbuf', key_size: 0, value_size: 0, max_entries: most }),
        create({ map_type: 'lpm_trie', key_size: 261, map_flags: 1 }),
        create({ map_type: 'queue', key_size: 0, value_size: most }),
      ]).toEqual(['E2BIG', 'E2BIG', 'E2BIG', 'E2BIG', 'E2BIG', 'EINVAL', 'EINVAL', 'E2BIG']);
    });

    it('keys and values of another size', () => {
      const map_fd = make(HASH);
      const key = u32(1);
      const value = u32(2);
      for (const size of [0, 1, 3, 5, 8, 4096]) {
        const wrong = new Uint8Array(size);
        expect(refusal(() => bpf.map_update_elem({ map_fd, key: wrong, value }))).toBe('EINVAL');
        expect(refusal(() => bpf.map_update_elem({ map_fd, key, value: wrong }))).toBe('EINVAL');
        expect(refusal(() => bpf.map_lookup_elem({ map_fd, key: wrong }))).toBe('EINVAL');
        expect(refusal(() => bpf.map_delete_elem({ map_fd, key: wrong }))).toBe('EINVAL');
      }
    });

    it('a descriptor that is closed, or something else', () => {
      const map_fd = bpf.map_create(HASH);
      kernel.closeFd(map_fd);
      const calls = [
        () => bpf.map_update_elem({ map_fd, key: u32(1), value: u32(1) }),
        () => bpf.map_lookup_elem({ map_fd, key: u32(1) }),
        () => bpf.map_get_next_key({ map_fd }),
        () => bpf.map_lookup_batch({ map_fd, count: 4 }),
        () => kernel.closeFd(map_fd),
      ];
      expect(calls.map(refusal)).toEqual(['EBADF', 'EBADF', 'EBADF', 'EBADF', 'EBADF']);
      const { fd } = bpf.prog_load({
        prog_type: 'xdp',
        insns: Uint8Array.of(0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0),
        license: 'GPL',
      });
      fds.push(fd);
      expect(refusal(() => bpf.map_lookup_elem({ map_fd: fd, key: u32(1) }))).toBe('EINVAL');
    });

    it('a map that is full', () => {
      const map_fd = make(HASH);
      for (let i = 0; i < 4; i++) bpf.map_update_elem({ map_fd, key: u32(i), value: u32(i) });
      expect(refusal(() => bpf.map_update_elem({ map_fd, key: u32(9), value: u32(9) }))).toBe('E2BIG');
      const queue = make({ map_type: 'queue', key_size: 0, value_size: 4, max_entries: 1 });
      bpf.map_update_elem({ map_fd: queue, value: u32(1) });
      expect(refusal(() => bpf.map_update_elem({ map_fd: queue, value: u32(1) }))).toBe('E2BIG');
    });

    it('inner maps of the wrong shape', () => {
      const inner = make({ ...HASH, map_type: 'array' });
      const outer = make({ ...HASH, map_type: 'array_of_maps', inner_map_fd: inner });
      const put = (fd: Fd) =>
        refusal(() => bpf.map_update_elem({ map_fd: outer, key: u32(0), value: u32(fd) }));
      expect(put(make({ ...HASH, map_type: 'array', value_size: 8 }))).toBe('EINVAL');
      expect(put(make(HASH))).toBe('EINVAL');
      expect(put(outer)).toBe('EINVAL');
      expect(put(999_999 as Fd)).toBe('EBADF');
      expect(create({ map_type: 'array_of_maps', inner_map_fd: outer })).toBe('EINVAL');
      expect(create({ map_type: 'array_of_maps', inner_map_fd: 999_999 as Fd })).toBe('EBADF');
    });
  });
}

describe('a kernel with little memory', () => {
  it('refuses a map beyond it, and takes the next one that fits', () => {
    using kernel = createKernel({ memoryLimit: 8 << 20 });
    const before = kernel.memoryUse;
    expect(refusal(() => kernel.bpf.map_create({ ...HASH, value_size: 1 << 20, max_entries: 100 }))).toBe(
      'ENOMEM',
    );
    expect(kernel.memoryUse).toEqual(before);
    const map_fd = kernel.bpf.map_create({ ...HASH, value_size: 64 << 10, max_entries: 500, map_flags: 1 });
    const value = new Uint8Array(64 << 10);
    let i = 0;
    let answer = 'ok';
    for (; answer === 'ok' && i < 500; i++) {
      answer = refusal(() => kernel.bpf.map_update_elem({ map_fd, key: u32(i), value }));
    }
    expect(answer).toBe('ENOMEM');
    expect(kernel.bpf.map_lookup_elem({ map_fd, key: u32(0) })).toHaveLength(64 << 10);
    for (let k = 0; k < i - 1; k++) kernel.bpf.map_delete_elem({ map_fd, key: u32(k) });
    kernel.bpf.map_update_elem({ map_fd, key: u32(0), value });
    kernel.closeFd(map_fd);
    expect(kernel.memoryUse).toEqual(before);
  });

  it('has room for as many maps as fit, says when it has none, and is empty when they are closed', () => {
    using kernel = createKernel({ memoryLimit: 4 << 20 });
    const before = kernel.memoryUse;
    const fds: Fd[] = [];
    let answer = 'ok';
    while (answer === 'ok' && fds.length < 1_000_000) {
      answer = refusal(() => fds.push(kernel.bpf.map_create(HASH)));
    }
    expect(answer).toBe('ENOMEM');
    expect(fds.length).toBeGreaterThan(500);
    for (const fd of fds) kernel.closeFd(fd);
    expect(kernel.memoryUse).toEqual(before);
    kernel.closeFd(kernel.bpf.map_create(HASH));
  });
});
