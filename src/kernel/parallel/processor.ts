/**
 * One processor of a run on several: a thread with instances of its own of the program's modules and of the kernel's
 * functions, over the memory that all share. It takes the rows that are its own of each piece, in order, until there are no
 * more. Everything here blocks: while it runs, the thread does nothing else.
 */
import { type CaptureCounts, Counts } from '../batch/counts.ts';
import { PacketLoop } from '../batch/packet-loop.ts';
import { BOX, CUT, LENGTH, ROW } from '../batch/row.ts';
import type { RunContext, RunKernel } from '../interpreter/environment.ts';
import { linkBare } from '../interpreter/executable.ts';
import type { RunFault } from '../interpreter/fault.ts';
import { JitFault } from '../jit/jit-fault.ts';
import { JitRun } from '../jit/run.ts';
import { NATIVE } from '../jit/translate.ts';
import { AREA } from '../jit/unit.ts';
import { type WasmFunction, wasm } from '../jit/wasm/host.ts';
import { type Addr, Memory } from '../memory/index.ts';
import { Devices, type NetDevice } from '../net/device.ts';
import { RedirectInfo } from '../net/redirect.ts';
import { faulted } from '../net/test-run.ts';
import { XdpBuff } from '../net/xdp-buff.ts';
import { Grace, type Machine, seededRandom } from '../objects/machine.ts';
import { createServices } from '../objects/services.ts';
import {
  CONTROL,
  ENDING,
  endOf,
  NOT_RUN,
  notRunOf,
  PROCESSOR,
  processorWord,
  rowsOf,
  SLOTS,
} from './control.ts';
import { importOf } from './imports.ts';
import type { ProcessorAnswer, ProcessorOrder } from './port.ts';

/** Packets that are run before the thread looks whether it shall end. */
const STRETCH = 1024;
/** Milliseconds that a thread sleeps at most before it looks again. */
const NAP = 100;

type Once = (context: number) => number;

class Processor {
  readonly #order: ProcessorOrder;
  readonly #memory: Memory;
  readonly #words: Int32Array;
  readonly #counts = new Counts();
  readonly #loop: PacketLoop;
  readonly #device: NetDevice;
  readonly #box: Addr;
  readonly #enter: (context: RunContext) => void;
  /** Runs the first program once. */
  readonly #once: Once;
  readonly #socket: boolean;

  constructor(order: ProcessorOrder, answer: (answer: ProcessorAnswer) => void) {
    const { cpu, cpus, part, area, loop, task, seed, timeOrigin } = order;
    const memory = new Memory({ part });
    const ns = (milliseconds: number) => BigInt(Math.round(milliseconds * 1e6));
    const monotonic = () => ns(performance.timeOrigin - timeOrigin + performance.now());
    const machine: Machine = {
      memory,
      cpus,
      cpu,
      clock: { monotonic, boottime: monotonic, realtime: () => BigInt(Date.now()) * 1_000_000n },
      random: seededRandom(seed),
      grace: new Grace(),
      trace: (line) => answer({ kind: 'trace', line }),
    };
    const kernel: RunKernel = {
      ...createServices(machine, undefined),
      machine,
      task,
      devices: new Devices(memory),
      redirect: new RedirectInfo(),
      mapAt: () => undefined,
    };
    this.#order = order;
    this.#memory = memory;
    this.#words = new Int32Array(memory.wasm.buffer);
    this.#socket = loop.type === 'socket_filter';
    this.#box = memory.allocate(BOX.size, { kind: 'kernel', owner: 'counters', access: 'none' });
    memory.writeU32(area + AREA.cpu, cpu);
    const current = { context: undefined as RunContext | undefined, acquired: new Map<number, never>() };
    this.#enter = (context) => {
      current.context = context;
    };
    const table = new wasm.Table({ element: 'anyfunc', initial: 1 });
    const runs = order.programs.map(({ name, index, module, host }): Once => {
      const executable = { ...linkBare(name, []), type: loop.type };
      const run = new JitRun(kernel, executable, current, () => area + AREA.top);
      const imports: Record<string, WasmFunction> = {};
      for (const wanted of host) imports[wanted] = importOf(wanted, run, loop.type, name);
      const { exports } = new wasm.Instance(module, {
        skep: {
          ...imports,
          memory: memory.wasm,
          programs: table,
          area: new wasm.Global({ value: 'i32', mutable: false }, area),
        },
        [NATIVE]: { ...memory.native.functions },
      });
      if (index >= table.length) table.grow(index + 1 - table.length);
      table.set(index, exports.main!);
      return exports.run as unknown as Once;
    });
    this.#device = kernel.devices.loopback;
    this.#once = runs[0]!;
    const { index } = order.programs[0]!;
    this.#loop = new PacketLoop(kernel, loop, { index, table, area, enter: this.#enter });
  }

  /** Runs until there is nothing more. */
  run(): CaptureCounts {
    const { cpu, geometry } = this.#order;
    const produced = (geometry.control + CONTROL.produced) >> 2;
    const ending = (geometry.control + CONTROL.ending) >> 2;
    const consumed = processorWord(geometry, cpu, PROCESSOR.consumed) >> 2;
    for (let turn = 0; ; ) {
      if (Atomics.load(this.#words, produced) === turn) {
        const end = Atomics.load(this.#words, ending);
        // Looked at once more: the last piece may have come in between.
        if (end === ENDING.end && Atomics.load(this.#words, produced) === turn) break;
        if (end === ENDING.abort) break;
        Atomics.wait(this.#words, produced, turn, NAP);
        continue;
      }
      this.#memory.refresh();
      if (!this.#slot(turn % SLOTS, ending)) break;
      turn++;
      Atomics.store(this.#words, consumed, turn);
      this.#ring();
    }
    return this.#counts;
  }

  /** Has the thread that hands out look. */
  #ring(): void {
    const events = (this.#order.geometry.control + CONTROL.events) >> 2;
    Atomics.add(this.#words, events, 1);
    Atomics.notify(this.#words, events);
  }

  /** @returns false when the run was given up */
  #slot(slot: number, ending: number): boolean {
    const { cpu, geometry } = this.#order;
    const end = this.#memory.readU32(endOf(geometry, slot, cpu));
    const packets = processorWord(geometry, cpu, PROCESSOR.packets) >> 2;
    for (let row = rowsOf(geometry, slot, cpu); row < end; ) {
      if (Atomics.load(this.#words, ending) === ENDING.abort) return false;
      const most = Math.min(row + STRETCH * ROW.size, end);
      const reached = this.#stretch(row, most);
      row = reached !== row ? reached : this.#odd(row, slot);
      Atomics.store(this.#words, packets, this.#counts.packets | 0);
      this.#waitForRings(ending);
    }
    return true;
  }

  #stretch(row: number, end: number): number {
    const { functions } = this.#loop;
    const begin = performance.now();
    const { row: reached, fault } = this.#loop.run(row, end);
    if (reached !== row) {
      (this.#socket ? functions.tallyKept : functions.tally)(row, reached, this.#box);
      this.#counts.take(this.#memory, this.#box, row, reached, !this.#socket);
    }
    this.#counts.nanoseconds += Math.round((performance.now() - begin) * 1e6);
    if (fault === undefined) return reached;
    this.#refuse(fault);
    return reached + ROW.size;
  }

  #refuse(fault: RunFault): void {
    const { type } = this.#order.loop;
    this.#counts.refuseFor(faulted({ facts: { type } }, fault).message);
  }

  /** A packet that the loop can't run: larger than a frame, or none that can be run at all, which another thread tells of. */
  #odd(row: number, slot: number): number {
    const { cpu, geometry } = this.#order;
    const memory = this.#memory;
    const { context } = this.#loop;
    const length = memory.readU32(row + ROW.length);
    const size = length & LENGTH;
    if (context instanceof XdpBuff && size >= ETH_HLEN) {
      const data = memory.read(memory.readU32(row + ROW.addr) as Addr, size);
      if (this.#large(context, data, (length & CUT) !== 0)) return row + ROW.size;
    }
    memory.writeU32(row + ROW.left, NOT_RUN);
    const counter = notRunOf(geometry, slot, cpu);
    memory.writeU32(counter, memory.readU32(counter) + 1);
    return row + ROW.size;
  }

  /** Runs a packet that has pages behind its frame. @returns false when it has too many */
  #large(context: XdpBuff, data: Uint8Array, cut: boolean): boolean {
    if (context.load(data, 0, data.length, this.#device, 0) !== 0) return false;
    this.#enter(context);
    try {
      this.#counts.one(this.#once(context.addr) >>> 0, cut);
    } catch (error) {
      if (!(error instanceof JitFault)) throw error;
      this.#refuse(error.fault);
    }
    // The frame is to be one of a single page again.
    context.load(data.subarray(0, 64), 0, 64, this.#device, 0);
    return true;
  }

  /** Lets the reader of ring buffers catch up. */
  #waitForRings(ending: number): void {
    const drained = (this.#order.geometry.control + CONTROL.drained) >> 2;
    for (;;) {
      const seen = Atomics.load(this.#words, drained);
      const full = this.#order.loop.rings.some(({ consumer, producer, most }) => {
        const waiting = Atomics.load(this.#words, producer >> 2) - Atomics.load(this.#words, consumer >> 2);
        return waiting >>> 0 > most;
      });
      if (!full || Atomics.load(this.#words, ending) === ENDING.abort) return;
      this.#ring();
      Atomics.wait(this.#words, drained, seen, NAP);
    }
  }
}

/** Bytes of a packet, at least: the loop leaves out longer ones only because they don't fit a frame. */
const ETH_HLEN = 14;

/** Runs an order to its end and answers. Blocks the thread. */
export function serveProcessor(order: ProcessorOrder, answer: (answer: ProcessorAnswer) => void): void {
  try {
    const processor = new Processor(order, answer);
    answer({ kind: 'ready' });
    answer({ kind: 'done', counts: processor.run() });
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    answer({ kind: 'failed', message: text });
  }
}
