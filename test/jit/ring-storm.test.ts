/** Several threads write to the same ring buffer, queue and trie over shared memory, while user space reads. */
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { LpmTrieMap } from '../../src/kernel/maps/lpm-trie.ts';
import type { MapShape } from '../../src/kernel/maps/map.ts';
import { QueueMap } from '../../src/kernel/maps/queue.ts';
import { RingbufMap } from '../../src/kernel/maps/ringbuf.ts';
import { Memory } from '../../src/kernel/memory/index.ts';
import { Grace, SimulatedClock, seededRandom } from '../../src/kernel/objects/machine.ts';
import { SHARED } from '../../src/kernel/wasm/generated.ts';

const THREADS = 3;
const ROUNDS = 10_000;
/** Prefixes that stay, one for each first byte. */
const KEPT = 16;
const NO_PREALLOC = 1;

/** What a thread does; its numbers are its own, so that nothing may be lost or come twice. */
const STORM = `
const { parentPort, workerData } = require('node:worker_threads');
const { module, memory, thread, rounds, ring, queue, trie, scratch, kept } = workerData;
const host = { mayWait: new WebAssembly.Global({ value: 'i32' }, 1) };
for (const { module: from, name } of WebAssembly.Module.imports(module)) if (from === 'host') host[name] ??= () => 0;
const { exports: kernel } = new WebAssembly.Instance(module, { env: { memory }, host });
const view = new DataView(memory.buffer);
let state = thread + 1;
const random = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) | 0;
  return Math.floor(((state >>> 0) / 2 ** 32) * below);
};
let written = 0, dropped = 0, pushed = 0, popped = 0;
const problems = [];
for (let round = 0; round < rounds; round++) {
  const size = 8 + 4 * random(30);
  const record = kernel.ring_reserve(ring, BigInt(size), 0n) >>> 0;
  if (record === 0) dropped++;
  else {
    for (let at = 0; at < size; at += 4) view.setUint32(record + at, at === 0 ? thread : at === 4 ? written : size, true);
    if (random(8) === 0) {
      view.setUint32(record, 0xdead, true);
      kernel.ring_discard(record, 0n);
    } else {
      kernel.ring_submit(record, 0n);
      written++;
    }
  }
  view.setUint32(scratch, 1, true);
  if (kernel.queue_push(queue, scratch, 0n) === 0) pushed++;
  if (random(2) === 0 && kernel.queue_pop(queue, scratch) === 0) popped += view.getUint32(scratch, true);
  // Own prefixes come and go under those that stay.
  const first = random(kept);
  view.setUint32(scratch, 16 + random(17), true);
  view.setUint32(scratch + 4, first | (thread << 8) | (random(2 ** 16) << 16), true);
  view.setUint32(scratch + 8, 99, true);
  if (random(2) === 0) kernel.lpm_update(trie, scratch, scratch + 8, 0n);
  else kernel.lpm_delete(trie, scratch);
  // No thread has prefixes below this.
  view.setUint32(scratch, 32, true);
  view.setUint32(scratch + 4, first | 0xff00, true);
  const found = kernel.lpm_lookup4(trie, scratch) >>> 0;
  if (found === 0 || view.getUint32(found, true) !== 1000 + first) problems.push('prefix ' + first + ' is not found');
  if (problems.length > 5) break;
}
parentPort.postMessage({ written, dropped, pushed, popped, problems });
`;

interface Report {
  readonly written: number;
  readonly dropped: number;
  readonly pushed: number;
  readonly popped: number;
  readonly problems: readonly string[];
}

describe(`in a storm of ${THREADS} threads and a reader`, () => {
  it('a ring buffer loses and repeats nothing, a queue keeps its count, a trie finds what stays', async () => {
    const memory = new Memory({ shared: true, limit: 64 << 20 });
    const machine = {
      memory,
      cpus: THREADS,
      cpu: 0,
      clock: new SimulatedClock(),
      random: seededRandom(3),
      grace: new Grace(),
      trace: () => {},
    };
    const shape = { name: 'storm', keySize: 0, valueSize: 0, flags: 0, extra: 0n } as const;
    const ring = new RingbufMap(machine, { ...shape, type: 'ringbuf', maxEntries: 1 << 18 });
    const queue = new QueueMap(machine, { ...shape, type: 'queue', valueSize: 4, maxEntries: 1000 });
    const trieShape: MapShape = {
      ...shape,
      type: 'lpm_trie',
      keySize: 8,
      valueSize: 4,
      maxEntries: 5000,
      flags: NO_PREALLOC,
    };
    const trie = new LpmTrieMap(machine, trieShape);
    expect(trie.share()).toBeUndefined();
    for (let n = 0; n < KEPT; n++) {
      const words = (...list: number[]) => new Uint8Array(Uint32Array.from(list).buffer);
      expect(trie.sysUpdate(words(8, n), words(1000 + n), 0)).toBe(0);
    }
    const scratch = memory.allocate(64 * THREADS, { kind: 'mem', owner: 'test', access: 'rw' });
    const { Module } = (
      globalThis as unknown as { WebAssembly: { Module: new (bytes: Uint8Array) => object } }
    ).WebAssembly;
    const module = new Module(Buffer.from(SHARED, 'base64'));
    let running = THREADS;
    const reports = Array.from({ length: THREADS }, (_, thread) => {
      const maps = { ring: ring.addr, queue: queue.addr, trie: trie.addr };
      const own = { thread, rounds: ROUNDS, scratch: scratch + 64 * thread, kept: KEPT };
      const worker = new Worker(STORM, {
        eval: true,
        workerData: { module, memory: memory.wasm, ...maps, ...own },
      });
      return new Promise<Report>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
        worker.once('exit', () => running--);
      });
    });
    const next = new Array<number>(THREADS).fill(0);
    const drain = () => {
      for (const record of ring.read()) {
        const words = new Uint32Array(record.slice().buffer);
        const thread = words[0]!;
        // In the order of its writer, each once, whole.
        expect(words[1]).toBe(next[thread]!++);
        for (const word of words.subarray(2)) expect(word).toBe(record.length);
      }
    };
    while (running > 0) {
      drain();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    drain();
    const all = await Promise.all(reports);
    expect(all.flatMap(({ problems }) => problems)).toEqual([]);
    expect(next).toEqual(all.map(({ written }) => written));
    const sum = (of: (report: Report) => number) => all.reduce((total, report) => total + of(report), 0);
    let left = 0;
    while (typeof queue.sysLookupAndDelete() !== 'number') left++;
    expect(left).toBe(sum(({ pushed }) => pushed) - sum(({ popped }) => popped));
    expect(sum(({ written }) => written)).toBeGreaterThan(ROUNDS / 100);
  });
});
