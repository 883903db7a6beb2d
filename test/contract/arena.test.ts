/** An arena's pages as user space maps them and programs use them, on every kernel. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createKernel } from '../../src/kernel/index.ts';
import { type LoadedObject, loadObject, parseObject } from '../../src/loader/index.ts';
import { MAP_CREATE_FLAGS as C, type Kernel, type MapCreateAttr } from '../../src/sys/index.ts';
import { linux } from '../linux/support.ts';
import { outcome, SUBJECTS, withMap } from './kernels.ts';

const PAGE = 4096;
const PAGES = 8;
const SIZE = PAGE * PAGES;
const BASE = 1n << 44n;
const OBJECT = join(import.meta.dirname, '../helpers/arena.o');
const WORD = 0x12345678;

const attr = (extra: bigint, flags = 0): MapCreateAttr => ({
  map_type: 'arena',
  key_size: 0,
  value_size: 0,
  max_entries: PAGES,
  map_flags: C.BPF_F_MMAPABLE | flags,
  map_extra: extra,
});

let ran = 0;
afterAll(() => {
  expect(ran, 'the contract ran no case').toBeGreaterThan(0);
});

const btf = linux?.vmlinuxBtf();

for (const subject of SUBJECTS) {
  const missing = subject.missing !== undefined;
  describe.skipIf(missing)(`arena contract on ${subject.name}`, () => {
    const kernel = missing ? (undefined as unknown as Kernel) : subject.kernel();

    it('arena: only as a whole, and where it says that it is', () => {
      ran += 1;
      const map = (fd: Parameters<Kernel['closeFd']>[0], length: number, address?: bigint, offset = 0) =>
        outcome(() =>
          kernel.os.mmap(fd, { length, offset, writable: true, ...(address && { address }) }).close(),
        );
      withMap(kernel, attr(BASE), (fd) => {
        expect({
          'another address': map(fd, SIZE, BASE + 0x1_0000_0000n),
          'no address': map(fd, SIZE),
          'less than all': map(fd, SIZE - PAGE, BASE),
          'more than all': map(fd, SIZE + PAGE, BASE),
          'an offset': map(fd, SIZE - PAGE, BASE, PAGE),
          'as it is': map(fd, SIZE, BASE),
          again: map(fd, SIZE, BASE),
        }).toEqual({
          'another address': 'EINVAL',
          'no address': 'EINVAL',
          'less than all': 'EINVAL',
          'more than all': 'E2BIG',
          'an offset': 'EINVAL',
          'as it is': 'ok',
          again: 'ok',
        });
      });
      withMap(kernel, attr(0n), (fd) => {
        using first = kernel.os.mmap(fd, { length: SIZE, writable: true });
        expect({
          'elsewhere now': map(fd, SIZE),
          smaller: map(fd, PAGE, first.address),
          larger: map(fd, 2 * SIZE, first.address),
        }).toEqual({ 'elsewhere now': 'EINVAL', smaller: 'EINVAL', larger: 'E2BIG' });
      });
    });

    it('arena: what is written stays, mapped again', () => {
      ran += 1;
      withMap(kernel, attr(BASE), (fd) => {
        const options = { length: SIZE, writable: true, address: BASE };
        const first = kernel.os.mmap(fd, options);
        expect(first.address).toBe(BASE);
        expect(first.bytes.length).toBe(SIZE);
        expect(first.bytes.every((byte) => byte === 0)).toBe(true);
        first.bytes.set([1, 2, 3], 5 * PAGE + 7);
        first.close();
        using second = kernel.os.mmap(fd, { ...options, writable: false });
        expect([...second.bytes.subarray(5 * PAGE + 6, 5 * PAGE + 11)]).toEqual([0, 1, 2, 3, 0]);
      });
    });
  });

  describe.skipIf(missing || !btf)(`arena programs on ${subject.name}`, () => {
    const kernel = (): Kernel =>
      subject.name === 'linux' ? subject.kernel() : createKernel({ cpus: 2, ...(btf && { btf }) });

    /** Runs a program with what it is asked. @returns what it answers */
    const ask = (object: LoadedObject, name: string, at: bigint, pages = 0): bigint => {
      const { bpf } = object.kernel;
      const map_fd = object.map('.bss').fd;
      const key = new Uint8Array(4);
      const value = bpf.map_lookup_elem({ map_fd, key })!.slice();
      const view = new DataView(value.buffer);
      const offset = (variable: string): number => object.spec.variables.get(variable)!.offset;
      view.setUint32(offset('pages'), pages, true);
      view.setBigUint64(offset('at'), at, true);
      bpf.map_update_elem({ map_fd, key, value });
      bpf.prog_test_run({ prog_fd: object.program(name).fd });
      const after = bpf.map_lookup_elem({ map_fd, key })!;
      return new DataView(after.buffer, after.byteOffset).getBigUint64(offset('answer'), true);
    };

    it('arena: pages of programs are seen, those of user space are there', () => {
      ran += 1;
      const used = kernel();
      const object = loadObject(used, parseObject(new Uint8Array(readFileSync(OBJECT)), 'arena.o'));
      const mapping = used.os.mmap(object.map('arena').fd, { length: SIZE, writable: true, address: BASE });
      const word = (page: number): number =>
        new DataView(mapping.bytes.buffer, mapping.bytes.byteOffset).getUint32(page * PAGE, true);
      const put = (page: number, value: number): void =>
        new DataView(mapping.bytes.buffer, mapping.bytes.byteOffset).setUint32(page * PAGE, value, true);
      const seen: unknown[] = [];
      const page = (number: number): bigint => BASE + BigInt(number * PAGE);
      const pageOf = (address: bigint): number | undefined =>
        address === 0n ? undefined : Number((address - BASE) / BigInt(PAGE));
      // Two pages of the program's.
      const first = pageOf(ask(object, 'allocate', 0n, 2))!;
      seen.push(first, word(first), word(first + 1));
      put(first, 99);
      seen.push(ask(object, 'load', page(first)));
      // A page that user space makes by writing to it.
      put(5, 7);
      seen.push(ask(object, 'load', page(5)));
      ask(object, 'store', page(5), 8);
      seen.push(word(5));
      // Programs are given what is left.
      seen.push(pageOf(ask(object, 'allocate', page(5), 1)), pageOf(ask(object, 'allocate', page(4), 2)));
      seen.push(pageOf(ask(object, 'allocate', 0n, 4)), pageOf(ask(object, 'allocate', 0n, 3)));
      seen.push(pageOf(ask(object, 'allocate', 0n, 9)), pageOf(ask(object, 'allocate', page(7) + 1n, 1)));
      // What is given back is empty, and there again when it is written to.
      seen.push(ask(object, 'release', page(5), 1), ask(object, 'load', page(5)), word(5));
      put(5, 1);
      seen.push(ask(object, 'load', page(5)));
      mapping.close();
      object.close();
      if (used !== subject.kernel()) used.close();
      expect(seen).toEqual(SEEN);
    });
  });
}

/** By the steps of the case above. */
const SEEN = [
  0,
  WORD,
  0,
  99n,
  7n,
  8,
  undefined,
  undefined,
  undefined,
  2,
  undefined,
  undefined,
  8n,
  0n,
  0,
  1n,
];
