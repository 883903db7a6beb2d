/**
 * One processor of a run on several: a thread with instances of its own of the program's modules and of the kernel's
 * functions, over the memory that all share. It finds the packets of every so manieth piece and gives each to the processor
 * of its flow; and it runs those that are its own of each piece, in order. Or it keeps its pieces' packets, all of them.
 * Everything here blocks: while it runs, the thread does nothing else.
 */
import { InputError } from '../../base/error.ts';
import { type CaptureCounts, Counts } from '../batch/counts.ts';
import { PacketLoop } from '../batch/packet-loop.ts';
import { BOX, CUT, LENGTH, ROW } from '../batch/row.ts';
import type { RunContext, RunKernel } from '../interpreter/environment.ts';
import { linkBare } from '../interpreter/executable.ts';
import type { RunFault } from '../interpreter/fault.ts';
import { JitFault } from '../jit/jit-fault.ts';
import { memoryLimits } from '../jit/memory-limits.ts';
import { JitRun } from '../jit/run.ts';
import { NATIVE } from '../jit/translate.ts';
import { AREA } from '../jit/unit.ts';
import { type WasmFunction, wasm } from '../jit/wasm/host.ts';
import { type Addr, Memory } from '../memory/index.ts';
import { Devices, type NetDevice } from '../net/device.ts';
import { RedirectInfo } from '../net/redirect.ts';
import { faulted } from '../net/test-run.ts';
import { XdpBuff } from '../net/xdp-buff.ts';
import { Grace, type Machine, RandomSource } from '../objects/machine.ts';
import { createServices } from '../objects/services.ts';
import { AREA_RANDOM, AREA_READS } from '../wasm/assembly/area-layout.ts';
import {
  CHAIN,
  CONTROL,
  columnsOf,
  ENDING,
  NOT_RUN,
  PROCESSOR,
  processorWord,
  REQUEST,
  SLOT,
  slotWord,
  sortedOf,
  UNKNOWN,
} from './control.ts';
import { importOf } from './imports.ts';
import { type Answer, type FoundPiece, PieceFinder } from './piece-finder.ts';
import type { OpenSource, ProcessorAnswer, ProcessorOrder } from './port.ts';
import { type SpreadFunctions, spreadModule } from './spread-module.ts';

/**
 * Packets that are run before the thread looks whether it shall end: few at first, since V8 puts fast code in place of slow
 * only when the loop is called again; then more, as long as they don't take long.
 */
const STRETCH = { first: 1024, most: 16_384, calls: 64, milliseconds: 5 } as const;
/** Milliseconds that a thread sleeps at most before it looks again. */
const NAP = 100;
/** Times that it looks before it sleeps: some microseconds, which is less than to sleep and be woken takes. */
const LOOKS = 2000;

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
  readonly #finder: PieceFinder;
  readonly #spread: SpreadFunctions;
  /** The piece of which rows are run next. */
  #turn = 0;
  #stretches = 0;
  /** Packets that are run at once. */
  #most: number = STRETCH.first;

  constructor(
    order: ProcessorOrder,
    answer: (answer: ProcessorAnswer) => void,
    open: OpenSource | undefined,
  ) {
    const { cpu, cpus, part, area, loop, task, seed, timeOrigin } = order;
    const memory = new Memory({ part });
    const ns = (milliseconds: number) => BigInt(Math.round(milliseconds * 1e6));
    const monotonic = () => ns(performance.timeOrigin - timeOrigin + performance.now());
    const source = new RandomSource(seed);
    const machine: Machine = {
      memory,
      cpus,
      cpu,
      clock: { monotonic, boottime: monotonic, realtime: () => BigInt(Date.now()) * 1_000_000n },
      random: () => source.next(),
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
    source.keep({ memory, addr: area + AREA_RANDOM });
    memory.native.now = () => (performance.timeOrigin - timeOrigin + performance.now()) * 1e6;
    const current = { context: undefined as RunContext | undefined, acquired: new Map<number, never>() };
    this.#enter = (context) => {
      current.context = context;
      memory.writeU32(area + AREA_READS, 0);
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
    const spread = new wasm.Module(spreadModule(memoryLimits(memory)));
    this.#spread = new wasm.Instance(spread, { skep: { memory: memory.wasm } })
      .exports as unknown as SpreadFunctions;
    this.#finder = new PieceFinder({
      memory,
      geometry: order.geometry,
      functions: this.#loop.functions,
      box: this.#box,
      slot: slotOf(order),
      ask: (request, ...subject) => this.#ask(request, subject),
      read: order.source === undefined ? undefined : open?.(order.source),
    });
  }

  #at(word: number): number {
    return (this.#order.geometry.control + word) >> 2;
  }

  get #aborted(): boolean {
    return Atomics.load(this.#words, this.#at(CONTROL.ending)) === ENDING.abort;
  }

  /** Runs until there is nothing more. */
  run(): CaptureCounts {
    const moves = this.#at(CONTROL.moves);
    for (;;) {
      const seen = Atomics.load(this.#words, moves);
      if (this.#aborted) break;
      const found = this.#finder.step();
      if (found !== undefined) this.#take(found);
      else if (!this.#runColumn()) {
        if (this.#over) break;
        this.#await(moves, seen);
      }
    }
    return this.#counts;
  }

  get #over(): boolean {
    const { geometry, share } = this.#order;
    if (share !== 'flow') return this.#finder.over;
    const last = Atomics.load(this.#words, (geometry.chain + CHAIN.last) >> 2);
    return last !== UNKNOWN && this.#turn >= last;
  }

  /** Waits until a word is no longer what it was. */
  #await(word: number, seen: number): void {
    for (let i = 0; i < LOOKS; i++) if (Atomics.load(this.#words, word) !== seen) return;
    Atomics.wait(this.#words, word, seen, NAP);
  }

  /** Has the others look whether there is something to do. */
  #moved(): void {
    const moves = this.#at(CONTROL.moves);
    Atomics.add(this.#words, moves, 1);
    Atomics.notify(this.#words, moves);
  }

  /** Has the thread that hands out look. */
  #ring(): void {
    const events = this.#at(CONTROL.events);
    Atomics.add(this.#words, events, 1);
    Atomics.notify(this.#words, events);
  }

  #ask(request: number, subject: readonly number[]): Answer | undefined {
    const { cpu, geometry } = this.#order;
    const line = processorWord(geometry, cpu, 0);
    for (const [i, word] of subject.entries()) this.#memory.writeU32(line + PROCESSOR.subject + 4 * i, word);
    const asked = (line + PROCESSOR.request) >> 2;
    Atomics.store(this.#words, asked, request);
    this.#ring();
    while (Atomics.load(this.#words, asked) !== REQUEST.none) {
      if (this.#aborted) return undefined;
      Atomics.wait(this.#words, asked, request, NAP);
    }
    const word = (i: number) => this.#memory.readU32(line + PROCESSOR.answer + 4 * i);
    return [word(0), word(1)];
  }

  /** Runs the packets of a piece, or gives them to their processors. */
  #take({ piece, slot, start, end }: FoundPiece): void {
    const { cpu, share, tables, geometry, source } = this.#order;
    if (share !== 'own') this.#moved();
    if (source === undefined) this.#ring();
    if (share === 'flow') {
      this.#give(piece, slot, start, end);
      return;
    }
    if (share === 'piece') {
      this.#runRows(start, end);
      return;
    }
    this.#spread.assign(start, end, tables, columnsOf(geometry, slot).counts);
    this.#runRows(start, this.#spread.keep(start, end, cpu) >>> 0);
  }

  #give(piece: number, slot: number, start: number, end: number): void {
    const { geometry, tables } = this.#order;
    const { processors } = geometry;
    const { begins, ends, counts } = columnsOf(geometry, slot);
    const memory = this.#memory;
    memory.fill(counts as Addr, 4 * processors, 0);
    this.#spread.assign(start, end, tables, counts);
    let at = sortedOf(geometry, slot);
    for (let cpu = 0; cpu < processors; cpu++) {
      const size = memory.readU32(counts + 4 * cpu);
      memory.writeU32(begins + 4 * cpu, at);
      memory.writeU32(counts + 4 * cpu, at);
      at += size;
      memory.writeU32(ends + 4 * cpu, at);
    }
    this.#spread.deal(start, end, counts);
    Atomics.store(this.#words, slotWord(geometry, slot, SLOT.busy) >> 2, processors);
    Atomics.store(this.#words, slotWord(geometry, slot, SLOT.given) >> 2, piece + 1);
    this.#moved();
  }

  /** Runs the rows that are this processor's of the piece whose turn it is. @returns false where that is not yet known */
  #runColumn(): boolean {
    const { share, cpu, geometry } = this.#order;
    if (share !== 'flow') return false;
    const piece = this.#turn;
    const slot = piece % geometry.slots;
    if (Atomics.load(this.#words, slotWord(geometry, slot, SLOT.given) >> 2) !== piece + 1) return false;
    const { begins, ends } = columnsOf(geometry, slot);
    this.#runRows(this.#memory.readU32(begins + 4 * cpu), this.#memory.readU32(ends + 4 * cpu));
    this.#turn++;
    if (Atomics.sub(this.#words, slotWord(geometry, slot, SLOT.busy) >> 2, 1) === 1)
      this.#release(piece, slot);
    return true;
  }

  /** Lets another piece into the slot. */
  #release(piece: number, slot: number): void {
    const { geometry, source } = this.#order;
    Atomics.store(this.#words, slotWord(geometry, slot, SLOT.free) >> 2, piece + geometry.slots);
    if (source === undefined) this.#ring();
    else this.#moved();
  }

  /** Runs rows, in order, unless the run is given up. */
  #runRows(begin: number, end: number): void {
    const packets = processorWord(this.#order.geometry, this.#order.cpu, PROCESSOR.packets) >> 2;
    let notRun = 0;
    for (let row = begin; row < end && !this.#aborted; ) {
      const reached = this.#stretch(row, Math.min(row + this.#most * ROW.size, end));
      if (reached === row) {
        const ran = this.#odd(row);
        this.#memory.writeU32(row + ROW.left, ran ? 0 : NOT_RUN);
        if (!ran) notRun++;
        row += ROW.size;
      } else row = reached;
      Atomics.store(this.#words, packets, this.#counts.packets | 0);
      this.#waitForRings();
    }
    if (notRun > 0) this.#ask(REQUEST.tell, [begin, end]);
  }

  #stretch(row: number, end: number): number {
    const { functions } = this.#loop;
    const begin = performance.now();
    const { row: reached, fault } = this.#loop.run(row, end);
    if (reached !== row) {
      (this.#socket ? functions.tallyKept : functions.tally)(row, reached, this.#box);
      this.#counts.take(this.#memory, this.#box, row, reached, !this.#socket);
    }
    const milliseconds = performance.now() - begin;
    this.#counts.nanoseconds += Math.round(milliseconds * 1e6);
    if (milliseconds > STRETCH.milliseconds) this.#most = Math.max(this.#most >> 1, 1);
    else if (++this.#stretches > STRETCH.calls) this.#most = Math.min(this.#most << 1, STRETCH.most);
    if (fault === undefined) return reached;
    this.#memory.writeU32(reached + ROW.left, 0);
    this.#refuse(fault);
    return reached + ROW.size;
  }

  #refuse(fault: RunFault): void {
    const { type } = this.#order.loop;
    this.#counts.refuseFor(faulted({ facts: { type } }, fault).message);
  }

  /**
   * A packet that the loop can't run: larger than a frame, or none that can be run at all, which another thread tells of.
   * @returns whether it was run
   */
  #odd(row: number): boolean {
    const memory = this.#memory;
    const { context } = this.#loop;
    const length = memory.readU32(row + ROW.length);
    const size = length & LENGTH;
    if (context instanceof XdpBuff && size >= ETH_HLEN) {
      const data = memory.read(memory.readU32(row + ROW.addr) as Addr, size);
      if (this.#large(context, data, (length & CUT) !== 0)) return true;
    }
    return false;
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
  #waitForRings(): void {
    if (this.#order.loop.rings.length === 0) return;
    const drained = this.#at(CONTROL.drained);
    for (;;) {
      const seen = Atomics.load(this.#words, drained);
      const full = this.#order.loop.rings.some(({ consumer, producer, most }) => {
        const waiting = Atomics.load(this.#words, producer >> 2) - Atomics.load(this.#words, consumer >> 2);
        return waiting >>> 0 > most;
      });
      if (!full || this.#aborted) return;
      this.#ring();
      Atomics.wait(this.#words, drained, seen, NAP);
    }
  }
}

/** Where a processor has its pieces; they go round where all processors have to do with each. */
function slotOf({ share, cpu }: ProcessorOrder): number | undefined {
  return share === 'flow' ? undefined : share === 'piece' ? cpu : 0;
}

/** Bytes of a packet, at least: the loop leaves out longer ones only because they don't fit a frame. */
const ETH_HLEN = 14;

/**
 * Runs an order to its end and answers. Blocks the thread.
 * @param open where the processor reads the capture itself
 */
export function serveProcessor(
  order: ProcessorOrder,
  answer: (answer: ProcessorAnswer) => void,
  open?: OpenSource,
): void {
  try {
    const processor = new Processor(order, answer, open);
    answer({ kind: 'ready' });
    answer({ kind: 'done', counts: processor.run() });
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    answer(
      error instanceof InputError
        ? { kind: 'failed', message: error.message, input: error.code }
        : { kind: 'failed', message: text },
    );
  }
}
