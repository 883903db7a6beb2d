/** Readers and writers of buffers, the same on both kernels. */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  openPerfBuffer,
  openPerfRecorder,
  openRingBuffer,
  openUserRing,
} from '../../src/loader/readers/index.ts';
import type { Fd } from '../../src/sys/index.ts';
import { SUBJECTS } from '../contract/kernels.ts';
import {
  drainer,
  perfAttr,
  perfWriter,
  reserver,
  ringAttr,
  ringWriter,
  run,
  type Writer,
} from './streams.ts';

const first = (data: Uint8Array) => new DataView(data.buffer, data.byteOffset).getUint32(0, true);
/** Waits for what another turn of the event loop brings. */
const until = async (done: () => boolean) => {
  const end = performance.now() + 4000;
  while (!done() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(done()).toBe(true);
};
const ENOSPC = -28;
const EAGAIN = -11;

const ALL = 'every processor';
/** Keeps this process on one processor, or not: a perf buffer is one for each. */
function pin(cpus: string): void {
  const list = cpus === ALL ? `0-${availableParallelism() - 1}` : cpus;
  spawnSync('taskset', ['-a', '-c', '-p', list, String(process.pid)]);
}

for (const { name, missing, kernel: open } of SUBJECTS) {
  describe.skipIf(missing !== undefined)(`readers on ${name}`, () => {
    const kernel = open();
    const fds: Fd[] = [];
    const keep = (fd: Fd) => {
      fds.push(fd);
      return fd;
    };
    afterEach(() => {
      for (const fd of fds.splice(0)) kernel.closeFd(fd);
    });
    const own = (writer: Writer) => {
      fds.push(...writer.fds);
      return writer;
    };
    const ring = (size?: number) => keep(kernel.bpf.map_create(ringAttr(size)));
    const perf = () => keep(kernel.bpf.map_create(perfAttr(kernel.possibleCpus)));

    describe('a ring buffer', () => {
      it('gives the records in order, with their sizes, over the end of the ring again and again', () => {
        const map = ring();
        const write = own(ringWriter(kernel, map, 45));
        using reader = openRingBuffer(kernel, map);
        let expected = 0;
        for (let i = 0; i < 500; i++) {
          expect(run(kernel, write, [i, i * 3])).toBe(0);
          if (i % 7 !== 0) continue;
          reader.drain((record) => {
            expect([first(record.data), record.size, record.view.getUint32(4, true)]).toEqual([
              expected,
              45,
              expected * 3,
            ]);
            expected += 1;
          });
        }
        expect(expected).toBe(498);
        expect(reader.records).toBe(498);
        expect(reader.bytes).toBe(498 * 45);
      });

      it('passes over what was given up', () => {
        const map = ring();
        const program = own(reserver(kernel, map, 16));
        using reader = openRingBuffer(kernel, map);
        for (let i = 0; i < 1000; i++) run(kernel, program, [i, i % 3]);
        // The ring ran full at 170 records of 24 bytes.
        const got: number[] = [];
        reader.drain((record) => got.push(first(record.data)));
        expect(got).toEqual(Array.from({ length: 170 }, (_, i) => i).filter((i) => i % 3 === 0));
        expect(run(kernel, program, [5, 0])).toBe(0);
        expect(reader.read()?.view.getUint32(0, true)).toBe(5);
        expect(reader.read()).toBeUndefined();
      });

      it('has room again as soon as the reader steps on', () => {
        const map = ring();
        const write = own(ringWriter(kernel, map, 56));
        using reader = openRingBuffer(kernel, map);
        let written = 0;
        while (run(kernel, write, [written]) === 0) written += 1;
        expect(written).toBe(63);
        expect(run(kernel, write, [0])).toBe(EAGAIN);
        expect(reader.drain(() => {}, 10)).toBe(10);
        for (let i = 0; i < 10; i++) expect(run(kernel, write, [i])).toBe(0);
        expect(run(kernel, write, [0])).toBe(EAGAIN);
      });

      it('goes on where another reader ended', () => {
        const map = ring();
        const write = own(ringWriter(kernel, map, 16));
        for (let i = 0; i < 3; i++) run(kernel, write, [i]);
        {
          using reader = openRingBuffer(kernel, map);
          expect(first(reader.read()!.data)).toBe(0);
        }
        using reader = openRingBuffer(kernel, map);
        expect(first(reader.read()!.data)).toBe(1);
        expect(reader.drain(() => {})).toBe(1);
      });

      it('is iterated as records come, and ends when it is closed', async () => {
        const map = ring();
        const write = own(ringWriter(kernel, map, 16));
        const reader = openRingBuffer(kernel, map);
        const got: number[] = [];
        const reading = (async () => {
          for await (const record of reader) got.push(first(record.data));
        })();
        for (let i = 0; i < 5; i++) {
          run(kernel, write, [i]);
          await until(() => got.length === i + 1);
        }
        reader.close();
        await reading;
        expect(got).toEqual([0, 1, 2, 3, 4]);
      });

      it('is ended by a signal, with its reason', async () => {
        using reader = openRingBuffer(kernel, ring());
        const controller = new AbortController();
        const reason = new Error('enough');
        const reading = reader.forEach(() => {}, controller);
        setTimeout(() => controller.abort(reason), 5);
        await expect(reading).rejects.toBe(reason);
        await expect(reader.each(controller).next()).rejects.toBe(reason);
        await expect(reader.batches(controller).next()).rejects.toBe(reason);
      });

      it('gives batches whose records are all good until the next', async () => {
        const map = ring();
        const write = own(ringWriter(kernel, map, 56));
        using reader = openRingBuffer(kernel, map);
        const got: number[] = [];
        let written = 0;
        for (; written < 60; written++) run(kernel, write, [written]);
        for await (const batch of reader.batches({ max: 20 })) {
          // The room of the batch is taken: what is written now does not touch it.
          for (let i = 0; i < 30 && written < 200; i++) if (run(kernel, write, [written]) === 0) written += 1;
          for (const record of batch) got.push(first(record.data));
          expect(batch.length).toBeLessThanOrEqual(20);
          if (got.length >= 200) break;
        }
        expect(got).toEqual(Array.from({ length: 200 }, (_, i) => i));
      });

      it('does not wake its reader for BPF_RB_NO_WAKEUP, and does for BPF_RB_FORCE_WAKEUP', async () => {
        const map = ring();
        const quiet = own(ringWriter(kernel, map, 16, 1));
        const loud = own(ringWriter(kernel, map, 16, 2));
        await kernel.os.poll([map], { timeout: 0 });
        run(kernel, quiet, [1]);
        expect(await kernel.os.poll([map], { timeout: 20 })).toEqual([]);
        run(kernel, loud, [2]);
        expect(await kernel.os.poll([map], { timeout: 1000 })).toEqual([map]);
        using reader = openRingBuffer(kernel, map);
        expect(reader.drain(() => {})).toBe(2);
      });

      it('is read beside others', async () => {
        const maps = [ring(), ring(), ring()];
        const writers = maps.map((map) => own(ringWriter(kernel, map, 16)));
        using reader = openRingBuffer(kernel, maps);
        const got: [number, number][] = [];
        const reading = (async () => {
          for await (const record of reader) {
            got.push([record.source, first(record.data)]);
            if (got.length === 6) return;
          }
        })();
        for (const i of [2, 0, 1, 2, 0, 1]) run(kernel, writers[i]!, [i + 10]);
        await reading;
        expect(got.sort()).toEqual([
          [0, 10],
          [0, 10],
          [1, 11],
          [1, 11],
          [2, 12],
          [2, 12],
        ]);
      });

      it('says what else it is not', () => {
        const map = perf();
        expect(() => openRingBuffer(kernel, map)).toThrow(/it is a perf_event_array map, not a ringbuf map/);
        expect(() => openRingBuffer(kernel, 12_345 as Fd)).toThrow(
          expect.objectContaining({ errno: expect.stringMatching(/^EBADFD?$/) }),
        );
      });
    });

    describe('a perf buffer', () => {
      beforeAll(() => pin('0'));
      afterAll(() => pin(ALL));

      it('gives the samples with the padding that Linux gives, over the end of the ring', () => {
        const map = perf();
        const write = own(perfWriter(kernel, map, 45));
        using reader = openPerfBuffer(kernel, map, { pages: 1 });
        let expected = 0;
        for (let i = 0; i < 500; i++) {
          expect(run(kernel, write, [i])).toBe(0);
          if (i % 7 !== 0) continue;
          reader.drain((record) => {
            expect([first(record.data), record.size, record.time]).toEqual([expected, 52, 0n]);
            expected += 1;
          });
        }
        expect(expected).toBe(498);
        expect(reader.lost).toBe(0);
      });

      it('counts what was lost, when it is told', () => {
        const map = perf();
        const write = own(perfWriter(kernel, map, 48));
        using reader = openPerfBuffer(kernel, map, { pages: 1 });
        let written = 0;
        while (run(kernel, write, [written]) === 0) written += 1;
        expect(written).toBe(63);
        for (let i = 0; i < 9; i++) expect(run(kernel, write, [0])).toBe(ENOSPC);
        expect(reader.lost).toBe(0);
        expect(reader.drain(() => {})).toBe(63);
        expect(run(kernel, write, [5])).toBe(0);
        expect(reader.drain(() => {})).toBe(1);
        expect(reader.lost).toBe(10);
        expect([...reader.lostBySource().values()].reduce((a, b) => a + b)).toBe(10);
      });

      it('has times on the clock of bpf_ktime_get_ns', () => {
        const map = perf();
        const write = own(perfWriter(kernel, map, 16));
        using reader = openPerfBuffer(kernel, map, { pages: 1, times: true });
        run(kernel, write, [1]);
        run(kernel, write, [2]);
        const times: bigint[] = [];
        reader.drain(({ time }) => times.push(time));
        expect(times).toHaveLength(2);
        expect(times[1]).toBeGreaterThan(times[0]!);
        if (name === 'linux') {
          const now = process.hrtime.bigint();
          expect(times[1]).toBeLessThan(now);
          expect(now - times[1]!).toBeLessThan(10_000_000_000n);
        }
      });

      it('wakes its reader for each record, after some, or after bytes', async () => {
        const map = perf();
        const write = own(perfWriter(kernel, map, 48));
        const wakes = async (wakeup: { records: number } | { bytes: number }, least: number) => {
          using reader = openPerfBuffer(kernel, map, { pages: 1, wakeup });
          let seen = 0;
          const reading = reader.forEach(() => {
            seen += 1;
          });
          // What is not enough wakes nobody.
          for (let i = 1; i < least; i++) run(kernel, write, [i]);
          await new Promise((resolve) => setTimeout(resolve, 10));
          expect(seen).toBe(0);
          for (let i = 0; i < least * kernel.possibleCpus; i++) run(kernel, write, [i]);
          await until(() => seen > 0);
          reader.close();
          await reading;
        };
        await wakes({ records: 1 }, 1);
        await wakes({ records: 5 }, 5);
        await wakes({ bytes: 640 }, 10);
      });

      it('gives its slots back', () => {
        const map = perf();
        const write = own(perfWriter(kernel, map, 16));
        expect(run(kernel, write, [1])).toBe(-2);
        const reader = openPerfBuffer(kernel, map);
        expect(run(kernel, write, [1])).toBe(0);
        reader.close();
        expect(run(kernel, write, [1])).toBe(-2);
        reader.close();
      });

      it('refuses what can not be', () => {
        const map = perf();
        expect(() => openPerfBuffer(kernel, map, { pages: 3 })).toThrow(/power of two/);
        expect(() => openPerfBuffer(kernel, ring())).toThrow(/it is a ringbuf map/);
        expect(() => openPerfBuffer(kernel, map, { cpus: [5000] })).toThrow(
          expect.objectContaining({ errno: 'EINVAL' }),
        );
      });

      it('keeps the last records where it is written over', () => {
        const map = perf();
        const write = own(perfWriter(kernel, map, 44));
        using recorder = openPerfRecorder(kernel, map, { pages: 1, times: true });
        expect(recorder.snapshot()).toEqual([]);
        for (let i = 0; i < 1000; i++) expect(run(kernel, write, [i])).toBe(0);
        const kept = recorder.snapshot().map(({ data }) => first(data));
        expect(kept.at(-1)).toBe(999);
        // 64 bytes each, in 4096 for each CPU.
        expect(kept.length).toBeGreaterThanOrEqual(63);
        expect(kept.length).toBeLessThanOrEqual(64 * kernel.possibleCpus);
        expect(kept).toEqual([...kept].sort((a, b) => a - b));
        expect(recorder.snapshot()).toHaveLength(kept.length);
      });
    });

    describe('a user ring buffer', () => {
      const userRing = () => keep(kernel.bpf.map_create({ ...ringAttr(), map_type: 'user_ringbuf' }));

      it('runs full, and says what can never fit', async () => {
        using writer = openUserRing(kernel, userRing());
        let written = 0;
        while (writer.write(new Uint8Array(56))) written += 1;
        expect(written).toBe(64);
        expect(writer.reserve(0)).toBeUndefined();
        expect(() => writer.reserve(4096)).toThrow(expect.objectContaining({ errno: 'E2BIG' }));
        expect(await writer.reserveBlocking(8, { timeout: 10 })).toBeUndefined();
        const controller = new AbortController();
        const waiting = writer.reserveBlocking(8, controller);
        controller.abort(new Error('enough'));
        await expect(waiting).rejects.toThrow('enough');
      });

      it('is drained by programs, who wake the writer that waits for room', async () => {
        const map = userRing();
        const sums = keep(
          kernel.bpf.map_create({ map_type: 'array', key_size: 4, value_size: 8, max_entries: 1 }),
        );
        const drain = own(drainer(kernel, map, sums));
        const sum = () => {
          const value = kernel.bpf.map_lookup_elem({ map_fd: sums, key: new Uint8Array(4) })!;
          return Number(new DataView(value.buffer, value.byteOffset).getBigUint64(0, true));
        };
        const record = (number: number, size = 56) => {
          const bytes = new Uint8Array(size);
          new DataView(bytes.buffer).setUint32(0, number, true);
          return bytes;
        };
        using writer = openUserRing(kernel, map);
        expect(run(kernel, drain, [])).toBe(0);
        writer.write(record(1));
        writer.write(record(2));
        writer.reserve(16)!.discard();
        writer.write(record(3));
        // A record that is being filled holds up those behind it.
        const open = writer.reserve(16)!;
        writer.write(record(100));
        expect([run(kernel, drain, []), sum()]).toEqual([3, 6]);
        open.data.set(record(4, 16));
        open.submit();
        expect([run(kernel, drain, []), sum()]).toEqual([2, 110]);
        // A callback that returns 1 ends the drain.
        writer.write(record(999));
        writer.write(record(1));
        expect([run(kernel, drain, []), sum()]).toEqual([1, 1109]);
        expect([run(kernel, drain, []), sum()]).toEqual([1, 1110]);
        // Over the end of the ring, again and again, with records of all sizes.
        let expected = 1110;
        for (let i = 0; i < 500; i++) {
          expect(writer.write(record(i % 900, 8 + (i % 300)))).toBe(true);
          expected += i % 900;
          if (i % 5 === 0) expect(run(kernel, drain, [])).toBeGreaterThan(0);
        }
        run(kernel, drain, []);
        expect(sum()).toBe(expected);
        let more = 0;
        while (writer.write(record(0))) more += 1;
        expect(more).toBe(64);
        const waiting = writer.reserveBlocking(56, { timeout: 4000 });
        run(kernel, drain, []);
        const reservation = await waiting;
        expect(reservation?.size).toBe(56);
        expect(run(kernel, own(drainer(kernel, map, sums, 4)), [])).toBe(-22);
      });

      it('wakes who waits for room when the program says so, and says what records can not be', async () => {
        const map = userRing();
        const sums = keep(
          kernel.bpf.map_create({ map_type: 'array', key_size: 4, value_size: 8, max_entries: 1 }),
        );
        const drain = (flags = 0) => own(drainer(kernel, map, sums, flags));
        const [plain, silent, loud] = [drain(), drain(1), drain(2)];
        const ready = async () => (await kernel.os.poll([map], { write: true, timeout: 50 })).length;
        using pages = kernel.os.mmap(map, { offset: 4096, length: 3 * 4096, writable: true });
        const words = () => new DataView(pages.bytes.buffer, pages.bytes.byteOffset);
        const put = (at: number, header: number) => words().setUint32(4096 + at, header, true);
        const produce = (position: number) => words().setBigUint64(0, BigInt(position), true);
        expect(await ready()).toBe(1);
        put(0, 8);
        produce(16);
        expect([run(kernel, silent, []), await ready()]).toEqual([1, 0]);
        expect([run(kernel, silent, []), await ready()]).toEqual([0, 0]);
        expect([run(kernel, loud, []), await ready()]).toEqual([0, 1]);
        put(16, 8);
        produce(32);
        expect([run(kernel, plain, []), await ready()]).toEqual([1, 1]);
        expect([run(kernel, plain, []), await ready()]).toEqual([0, 0]);
        // A record behind the end, and one that is larger than the ring, whatever came before it.
        put(32, 8);
        put(48, 4000);
        produce(64);
        expect(run(kernel, plain, [])).toBe(-22);
        produce(64 + 8192);
        put(48, 8000);
        expect(run(kernel, plain, [])).toBe(-7);
        produce(65);
        expect(run(kernel, plain, [])).toBe(-22);
      });

      it('gives room to fill in place', () => {
        using writer = openUserRing(kernel, userRing());
        const reservation = writer.reserve(12)!;
        reservation.data.set([1, 2, 3]);
        expect(reservation.data).toHaveLength(12);
        reservation.submit();
        reservation.discard();
        expect(writer.reserve(4080 - 24)).toBeDefined();
      });
    });
  });
}
