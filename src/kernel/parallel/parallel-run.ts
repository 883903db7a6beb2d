/**
 * Runs a program over a capture on several processors: this thread reads, finds packets and gives each to the processor of
 * its flow, as a network card does; threads run them, each with its own stacks and per-CPU values, over one shared memory.
 * Packets of a flow stay in order; between flows there is none. The results are those of one processor, up to order.
 */
import { Bug, InputError } from '../../base/error.ts';
import type { CaptureFormat, CaptureInterface } from '../../pcap/index.ts';
import {
  type CaptureHost,
  type CaptureRunOptions,
  requirePackets,
  singleAttributes,
} from '../batch/capture-run.ts';
import { type CaptureCounts, Counts } from '../batch/counts.ts';
import { effectsOf } from '../batch/effects.ts';
import { batchModule } from '../batch/module.ts';
import { PacketFinder } from '../batch/packet-finder.ts';
import { loopFacts } from '../batch/packet-loop.ts';
import { BOX, CUT, LENGTH, ROW } from '../batch/row.ts';
import { memoryLimits } from '../jit/memory-limits.ts';
import { AREA } from '../jit/unit.ts';
import { wasm } from '../jit/wasm/host.ts';
import type { Addr, MemoryPart } from '../memory/index.ts';
import type { Program } from '../objects/program.ts';
import { mayWait } from '../wasm/native.ts';
import {
  CONTROL,
  ENDING,
  endOf,
  FRAME_ROOM,
  type Geometry,
  NOT_RUN,
  notRunOf,
  PIECE,
  PROCESSOR,
  pieceOf,
  processorWord,
  rowsOf,
  SCRATCH,
  SLOTS,
  scratchOf,
  sizes,
} from './control.ts';
import { SPREAD, spreadTables } from './flow-hash.ts';
import type { ProcessorAnswer, ProcessorOrder, Thread, ThreadMaker } from './port.ts';
import { sentPrograms } from './refusals.ts';
import { spreadModule } from './spread-module.ts';

export interface ParallelRunOptions extends Omit<CaptureRunOptions, 'repeat'> {
  /** Makes the threads that processors are. */
  readonly threads: ThreadMaker;
}

/** Bytes that a processor has for its contexts and frames. */
const PART = 512 * 1024;
/** Bytes by which the memory may be used more before another thread has to look where it ends. */
const RESERVE = 64 * 1024 * 1024;
/** Rows that are found before they are given to processors. */
const FOUND = 1024;
/** Milliseconds after which the reader of ring buffers is called in any case. */
const NAP = 5;
/** Milliseconds that this thread sleeps for room before it lets others of its events happen. */
const PATIENCE = 50;

type Spread = (row: number, end: number, tables: number, ends: number) => void;

export class ParallelRun {
  readonly #host: CaptureHost;
  readonly #drain: () => void;
  readonly #counts = new Counts();
  readonly #finder: PacketFinder;
  readonly #geometry: Geometry;
  readonly #words: Int32Array;
  readonly #spread: Spread;
  readonly #found: Addr;
  readonly #tables: Addr;
  readonly #blocks: Addr[] = [];
  readonly #threads: Thread[] = [];
  readonly #socket: boolean;
  #starting = 0;
  #done = 0;
  #failure: Error | undefined;
  /** Called when a thread has answered. */
  #wake: (() => void) | undefined;
  /** Pieces that were handed out, and those of which what was not run has been told. */
  #produced = 0;
  #settled = 0;
  #scratch = 0;

  /** @throws InputError, before anything is started, naming what can't be done on several processors */
  constructor(host: CaptureHost, program: Program, options: ParallelRunOptions) {
    const name = options.name ?? 'the capture';
    requirePackets(program, name);
    const { kernel } = host;
    const { memory, cpus } = kernel.machine;
    requireShared(memoryLimits(memory).shared);
    const effects = effectsOf(program);
    const programs = sentPrograms(kernel, program, effects);
    this.#host = host;
    this.#drain = options.drain ?? (() => {});
    this.#socket = program.facts.type === 'socket_filter';
    const bytes = sizes(cpus);
    this.#geometry = {
      processors: cpus,
      control: this.#allocate(bytes.control, 'control'),
      ends: this.#allocate(bytes.ends, 'ends of rows'),
      rows: this.#allocate(bytes.rows, 'rows'),
      pieces: this.#allocate(bytes.pieces, 'pieces of a capture'),
    };
    const box = this.#allocate(BOX.size, 'counters');
    this.#found = this.#allocate(FOUND * ROW.size, 'rows');
    this.#tables = this.#allocate(SPREAD.size, 'hash tables');
    memory.write(this.#tables, spreadTables(cpus));
    const limits = memoryLimits(memory);
    const imports = {
      skep: { memory: memory.wasm, programs: new wasm.Table({ element: 'anyfunc', initial: 1 }) },
    };
    const scan = new wasm.Instance(new wasm.Module(batchModule(limits, undefined)), imports).exports;
    const spread = new wasm.Instance(new wasm.Module(spreadModule(limits)), imports).exports;
    this.#spread = spread.spread as unknown as Spread;
    this.#finder = new PacketFinder(memory, scan as never, name, box);
    const { programs: all, ...alone } = effects;
    const facts = loopFacts(program, all, alone);
    // A reader on another thread takes a while: rings may be a quarter full whatever their size.
    const rings = facts.rings.map((ring) => ({ ...ring, most: Math.max(ring.most, ring.size / 4) }));
    const orders = Array.from({ length: cpus }, (_, cpu): ProcessorOrder => {
      const area = this.#allocate(AREA.size, `BPF stack of CPU ${cpu}`);
      const part: MemoryPart = memory.makePart(PART, `CPU ${cpu}`);
      this.#blocks.push(part.start);
      return {
        cpu,
        cpus,
        loop: { ...facts, rings },
        programs,
        area,
        part,
        geometry: this.#geometry,
        task: kernel.task,
        seed: kernel.machine.random(),
        timeOrigin: performance.timeOrigin,
      };
    });
    memory.reserve(RESERVE);
    this.#words = new Int32Array(memory.wasm.buffer);
    for (const order of orders) this.#start(options.threads(), order);
  }

  #allocate(size: number, owner: string): Addr {
    const addr = this.#host.kernel.machine.memory.allocate(size, { kind: 'kernel', owner, access: 'none' });
    this.#blocks.push(addr);
    return addr;
  }

  #start(thread: Thread, order: ProcessorOrder): void {
    this.#threads.push(thread);
    this.#starting++;
    thread.onAnswer = (answer) => {
      this.#take(answer);
      this.#wake?.();
    };
    thread.post(order);
  }

  #take(answer: ProcessorAnswer): void {
    switch (answer.kind) {
      case 'ready':
        this.#starting--;
        break;
      case 'trace':
        this.#host.kernel.machine.trace(answer.line);
        break;
      case 'done':
        this.#done++;
        this.#counts.add(answer.counts);
        this.#host.countRuns(answer.counts.packets, answer.counts.nanoseconds);
        break;
      case 'failed':
        this.#failure ??= new Bug(`a processor's thread ended: ${answer.message}`);
        break;
    }
  }

  get counts(): CaptureCounts {
    if (this.#done > 0) return this.#counts;
    const { processors } = this.#geometry;
    let packets = 0;
    for (let cpu = 0; cpu < processors; cpu++) {
      packets += Atomics.load(this.#words, processorWord(this.#geometry, cpu, PROCESSOR.packets) >> 2) >>> 0;
    }
    return { ...this.#counts, packets };
  }
  get format(): CaptureFormat | undefined {
    return this.#finder.format;
  }
  get interfaces(): readonly CaptureInterface[] {
    return this.#finder.interfaces;
  }
  get conversions(): ReadonlyMap<string, string> {
    return this.#finder.conversions;
  }
  get offset(): number {
    return this.#finder.offset;
  }

  /** Waits until there is room for a piece. @returns nothing where there is */
  ready(): Promise<void> | undefined {
    if (this.#failure) throw this.#failure;
    this.#drainAll();
    if (this.#starting > 0 || (!this.#room && !mayWait())) return this.#untilRoom();
    const events = (this.#geometry.control + CONTROL.events) >> 2;
    for (const begin = performance.now(); ; ) {
      const seen = Atomics.load(this.#words, events);
      if (this.#room) return undefined;
      // A thread's messages come, and signals, when this thread has nothing to do.
      if (performance.now() - begin > PATIENCE) return this.#untilRoom();
      Atomics.wait(this.#words, events, seen, NAP);
      this.#drainAll();
    }
  }

  async #untilRoom(): Promise<void> {
    while (!this.#room || this.#starting > 0) {
      if (this.#failure) throw this.#failure;
      await this.#pause();
    }
  }

  get #room(): boolean {
    return this.#produced - this.#consumed < SLOTS;
  }

  /** Pieces that all processors are through with. */
  get #consumed(): number {
    let least = this.#produced;
    for (let cpu = 0; cpu < this.#geometry.processors; cpu++) {
      const word = processorWord(this.#geometry, cpu, PROCESSOR.consumed) >> 2;
      least = Math.min(least, Atomics.load(this.#words, word));
    }
    return least;
  }

  /** Waits for anything to happen, but not long. */
  async #pause(): Promise<void> {
    const events = (this.#geometry.control + CONTROL.events) >> 2;
    const seen = Atomics.load(this.#words, events);
    this.#drainAll();
    const answered = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const woken = waitAsync?.(this.#words, events, seen, NAP);
    const slept = woken === undefined ? new Promise((resolve) => setTimeout(resolve, 1)) : woken.value;
    await Promise.race([answered, slept]);
    this.#wake = undefined;
    this.#drainAll();
  }

  /** Has the records in ring buffers read, and says so to who waits for room. */
  #drainAll(): void {
    this.#drain();
    const drained = (this.#geometry.control + CONTROL.drained) >> 2;
    Atomics.add(this.#words, drained, 1);
    Atomics.notify(this.#words, drained);
  }

  /** Where the next piece of the capture goes: the kernel's memory, good until the next call of anything. */
  space(): Uint8Array {
    if (!this.#room) throw new Bug('there is no room for a piece of the capture');
    const { memory } = this.#host.kernel.machine;
    return memory.window(pieceOf(this.#geometry, this.#produced % SLOTS), PIECE);
  }

  /** Says that the next bytes of the capture are in {@link space}, so many. Then comes {@link work}. */
  filled(size: number): void {
    this.#finder.begin(pieceOf(this.#geometry, this.#produced % SLOTS), size);
  }

  /** Hands the piece's packets out. @returns true: the next piece can be read as soon as there is room */
  work(_until?: number): boolean {
    const { memory } = this.#host.kernel.machine;
    const slot = this.#produced % SLOTS;
    this.#settle();
    for (let cpu = 0; cpu < this.#geometry.processors; cpu++) {
      memory.writeU32(endOf(this.#geometry, slot, cpu), rowsOf(this.#geometry, slot, cpu));
      memory.writeU32(notRunOf(this.#geometry, slot, cpu), 0);
    }
    this.#scratch = scratchOf(this.#geometry, slot);
    const most = this.#found + FOUND * ROW.size;
    for (;;) {
      const end = this.#finder.find(this.#found, most);
      if (end !== this.#found) this.#give(end, slot);
      if (end === most) continue;
      const found = this.#finder.next();
      if (found === undefined) break;
      this.#giveFrame(found.data, found.cut, slot);
    }
    this.#produced++;
    const produced = (this.#geometry.control + CONTROL.produced) >> 2;
    Atomics.store(this.#words, produced, this.#produced);
    Atomics.notify(this.#words, produced);
    return true;
  }

  #give(end: number, slot: number): void {
    this.#spread(this.#found, end, this.#tables, endOf(this.#geometry, slot, 0));
  }

  /** Gives a frame that is not in the piece as it is. */
  #giveFrame(data: Uint8Array, cut: boolean, slot: number): void {
    const { memory } = this.#host.kernel.machine;
    this.#scratch += FRAME_ROOM;
    if (this.#scratch + data.length > scratchOf(this.#geometry, slot) + SCRATCH) {
      throw new Bug(`the frames of a piece take more than ${SCRATCH} bytes`);
    }
    memory.write(this.#scratch as Addr, data);
    memory.writeU32(this.#found + ROW.addr, this.#scratch);
    memory.writeU32(this.#found + ROW.length, (data.length | (cut ? CUT : 0)) >>> 0);
    this.#scratch += data.length;
    this.#give(this.#found + ROW.size, slot);
  }

  /** Tells of the packets that could not be run, of pieces that are through, before their slots are used again. */
  #settle(): void {
    const { memory } = this.#host.kernel.machine;
    for (const consumed = this.#consumed; this.#settled < consumed; this.#settled++) {
      const slot = this.#settled % SLOTS;
      for (let cpu = 0; cpu < this.#geometry.processors; cpu++) {
        if (memory.readU32(notRunOf(this.#geometry, slot, cpu)) === 0) continue;
        const end = memory.readU32(endOf(this.#geometry, slot, cpu));
        for (let row = rowsOf(this.#geometry, slot, cpu); row < end; row += ROW.size) {
          if (memory.readU32(row + ROW.left) === NOT_RUN) this.#refuse(row);
        }
      }
    }
  }

  /** Has BPF_PROG_TEST_RUN say why a packet can't be run; the program does not run. */
  #refuse(row: number): void {
    const { memory } = this.#host.kernel.machine;
    const length = memory.readU32(row + ROW.length) & LENGTH;
    const data = memory.read(memory.readU32(row + ROW.addr) as Addr, length);
    try {
      this.#host.testRun(singleAttributes(data, this.#socket, 1));
    } catch (error) {
      this.#counts.refuse(error, length);
      return;
    }
    throw new Bug(`a packet of ${length} bytes was left out that can be run`);
  }

  /** Says that no piece follows, and waits for what is under way. @throws InputError when the capture is damaged */
  async end(): Promise<CaptureCounts> {
    this.#finder.finish();
    this.#tellEnd(ENDING.end);
    while (this.#done < this.#threads.length) {
      if (this.#failure) throw this.#failure;
      await this.#pause();
    }
    this.#settle();
    return this.#counts;
  }

  /** Ends the run before the capture's end, and waits for what is under way. */
  async abort(): Promise<CaptureCounts> {
    this.#tellEnd(ENDING.abort);
    while (this.#done < this.#threads.length && !this.#failure) await this.#pause();
    return this.#counts;
  }

  #tellEnd(how: number): void {
    Atomics.store(this.#words, (this.#geometry.control + CONTROL.ending) >> 2, how);
    for (const word of [CONTROL.produced, CONTROL.drained]) {
      Atomics.notify(this.#words, (this.#geometry.control + word) >> 2);
    }
  }

  /** Ends the threads. Nothing of the run is left in the kernel's memory. */
  async close(): Promise<void> {
    this.#tellEnd(ENDING.abort);
    for (const thread of this.#threads) thread.onAnswer = undefined;
    await Promise.all(this.#threads.map((thread) => thread.terminate()));
    this.#finder.close();
    const { memory } = this.#host.kernel.machine;
    for (const addr of this.#blocks.splice(0)) memory.free(addr);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
  timeout: number,
) => { readonly value: unknown };

/** Not everywhere yet; its type comes with a later library than this is written for. */
const { waitAsync } = Atomics as typeof Atomics & { readonly waitAsync?: WaitAsync };

/** @throws InputError where threads can't share memory */
function requireShared(shared: boolean): void {
  if (shared) return;
  throw new InputError(
    'kernel-processors',
    'running on several processors: the kernel was made without shared memory; give createKernel({ shared: true })',
  );
}
