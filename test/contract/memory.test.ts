/** What mmap(2) shows of maps, and when it does not: the same on both kernels. */
import { afterEach, describe, expect, it } from 'vitest';
import {
  MAP_CREATE_FLAGS as C,
  type Fd,
  type Kernel,
  type MapCreateAttr,
  PERF_TYPES,
} from '../../src/sys/index.ts';
import { outcome, SUBJECTS, u32 } from './kernels.ts';

const PAGE = 4096;
const ARRAY = { map_type: 'array', key_size: 4, value_size: 12, max_entries: 1000 } as const;

for (const { name, missing, kernel: open } of SUBJECTS) {
  describe.skipIf(missing !== undefined)(`memory on ${name}`, () => {
    const kernel: Kernel = open();
    const fds: Fd[] = [];
    const make = (attr: MapCreateAttr) => {
      const fd = kernel.bpf.map_create(attr);
      fds.push(fd);
      return fd;
    };
    afterEach(() => {
      for (const fd of fds.splice(0)) kernel.closeFd(fd);
    });
    const map = (fd: Fd, length: number, offset = 0, writable = false) =>
      outcome(() => kernel.os.mmap(fd, { length, offset, writable }).close());

    it('array: its values lie 8-byte aligned, in both directions', () => {
      const fd = make({ ...ARRAY, map_flags: C.BPF_F_MMAPABLE });
      using memory = kernel.os.mmap(fd, { length: 16 * 1000, writable: true });
      kernel.bpf.map_update_elem({ map_fd: fd, key: u32(3), value: new Uint8Array(12).fill(7) });
      expect([...memory.bytes.subarray(48, 64)]).toEqual([...new Uint8Array(12).fill(7), 0, 0, 0, 0]);
      memory.bytes[999 * 16] = 42;
      expect(kernel.bpf.map_lookup_elem({ map_fd: fd, key: u32(999) })?.[0]).toBe(42);
      using second = kernel.os.mmap(fd, { length: PAGE, offset: PAGE });
      kernel.bpf.map_update_elem({ map_fd: fd, key: u32(256), value: new Uint8Array(12).fill(9) });
      expect(second.bytes[0]).toBe(9);
    });

    it('array: the memory outlives the descriptor', () => {
      const fd = kernel.bpf.map_create({ ...ARRAY, map_flags: C.BPF_F_MMAPABLE });
      const memory = kernel.os.mmap(fd, { length: PAGE, writable: true });
      kernel.closeFd(fd);
      memory.bytes[5] = 5;
      expect(memory.bytes[5]).toBe(5);
      memory.close();
      memory.close();
    });

    it('array: lengths, offsets and flags that are refused', () => {
      const fd = make({ ...ARRAY, map_flags: C.BPF_F_MMAPABLE });
      expect([
        map(fd, 4 * PAGE),
        map(fd, 4 * PAGE + 1),
        map(fd, PAGE, 3 * PAGE),
        map(fd, PAGE, 4 * PAGE),
        map(fd, PAGE, 1),
        map(fd, 0),
      ]).toEqual(['ok', 'EINVAL', 'ok', 'EINVAL', 'EINVAL', 'EINVAL']);
      expect(map(make(ARRAY), PAGE)).toBe('EINVAL');
      const readOnly = make({ ...ARRAY, map_flags: C.BPF_F_MMAPABLE | C.BPF_F_RDONLY_PROG });
      expect([map(readOnly, PAGE), map(readOnly, PAGE, 0, true)]).toEqual(['ok', 'EACCES']);
      const forReading = make({ ...ARRAY, map_flags: C.BPF_F_MMAPABLE | C.BPF_F_RDONLY });
      expect([map(forReading, PAGE), map(forReading, PAGE, 0, true)]).toEqual(['EINVAL', 'EACCES']);
      const forWriting = make({ ...ARRAY, map_flags: C.BPF_F_MMAPABLE | C.BPF_F_WRONLY });
      expect([map(forWriting, PAGE), map(forWriting, PAGE, 0, true)]).toEqual(['EACCES', 'EACCES']);
    });

    it('array: freezing and writing exclude each other', () => {
      const fd = make({ ...ARRAY, map_flags: C.BPF_F_MMAPABLE });
      const memory = kernel.os.mmap(fd, { length: PAGE, writable: true });
      const freeze = () => outcome(() => kernel.bpf.map_freeze({ map_fd: fd }));
      if (name === 'embedded') expect(freeze()).toBe('EBUSY');
      memory.close();
      if (name === 'linux') return;
      expect(freeze()).toBe('ok');
      expect([map(fd, PAGE), map(fd, PAGE, 0, true)]).toEqual(['ok', 'EPERM']);
    });

    it('array: frozen, it is mapped to read', () => {
      const fd = make({ ...ARRAY, map_flags: C.BPF_F_MMAPABLE });
      kernel.bpf.map_freeze({ map_fd: fd });
      expect([map(fd, PAGE), map(fd, PAGE, 0, true)]).toEqual(['ok', 'EPERM']);
    });

    it('ringbuf: the consumer page can be written, no other', () => {
      const fd = make({ map_type: 'ringbuf', key_size: 0, value_size: 0, max_entries: 2 * PAGE });
      expect([
        map(fd, PAGE, 0, true),
        map(fd, 2 * PAGE, 0, true),
        map(fd, PAGE, PAGE, true),
        map(fd, 5 * PAGE, PAGE),
        map(fd, 6 * PAGE, PAGE),
        map(fd, 6 * PAGE),
      ]).toEqual(['ok', 'EPERM', 'EPERM', 'ok', 'EINVAL', 'ok']);
    });

    it('user_ringbuf: all but the consumer page can be written', () => {
      const fd = make({ map_type: 'user_ringbuf', key_size: 0, value_size: 0, max_entries: 2 * PAGE });
      expect([
        map(fd, PAGE, 0, true),
        map(fd, PAGE),
        map(fd, PAGE, PAGE, true),
        map(fd, 5 * PAGE, PAGE, true),
        map(fd, 6 * PAGE, PAGE, true),
      ]).toEqual(['EPERM', 'ok', 'ok', 'ok', 'EINVAL']);
    });

    it('other types can not be mapped', () => {
      const four = { key_size: 4, value_size: 4, max_entries: 4 } as const;
      for (const map_type of [
        'hash',
        'percpu_array',
        'lru_hash',
        'stack_trace',
        'perf_event_array',
      ] as const) {
        const value_size = map_type === 'stack_trace' ? 8 : 4;
        expect(map(make({ map_type, ...four, value_size }), PAGE)).toBe('ENOTSUPP');
      }
      expect(map(999_999 as Fd, PAGE)).toBe('EBADF');
    });

    it('perf events: a page, and a power of two of pages', () => {
      const fd = kernel.os.perf_event_open({
        type: PERF_TYPES.PERF_TYPE_SOFTWARE,
        config: 10,
        sample_type: 1024,
        cpu: 0,
      });
      fds.push(fd);
      expect([map(fd, 3 * PAGE + PAGE), map(fd, PAGE, PAGE), map(fd, 0)]).toEqual([
        'EINVAL',
        'EINVAL',
        'EINVAL',
      ]);
      using memory = kernel.os.mmap(fd, { length: 3 * PAGE, writable: true });
      const view = new DataView(memory.bytes.buffer, memory.bytes.byteOffset);
      expect([view.getBigUint64(1040, true), view.getBigUint64(1048, true)]).toEqual([4096n, 8192n]);
      expect([map(fd, 3 * PAGE, 0, true), map(fd, 5 * PAGE, 0, true)]).toEqual(['ok', 'EINVAL']);
    });

    it('perf events: what is not opened', () => {
      const open = (cpu: number, pid = -1) =>
        outcome(() => fds.push(kernel.os.perf_event_open({ type: 1, config: 10, cpu, pid })));
      expect([open(-1), open(-2), open(100_000)]).toEqual(['EINVAL', 'EINVAL', 'EINVAL']);
      expect(outcome(() => kernel.os.perf_event_pause(999_999 as Fd, true))).toBe('EBADF');
    });

    it('waiting: what can not be waited for, and nothing to wait for', async () => {
      await expect(kernel.os.poll([999_999 as Fd], { timeout: 0 })).rejects.toThrow(/EBADF/);
      const ring = make({ map_type: 'ringbuf', key_size: 0, value_size: 0, max_entries: PAGE });
      expect(await kernel.os.poll([ring], { timeout: 5 })).toEqual([]);
      const controller = new AbortController();
      controller.abort(new Error('before'));
      await expect(kernel.os.poll([ring], controller)).rejects.toThrow('before');
    });
  });
}
