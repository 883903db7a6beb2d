/**
 * Runs a program over a capture on several processors, each a thread with its own stacks and per-CPU values, over one shared
 * memory. As with network cards, a packet goes to the processor of its flow: packets of a flow stay in order, between flows
 * there is none. The results are those of one processor, up to order. This thread puts the capture into memory, or has the
 * processors read it; it finds what is out of the ordinary, reads ring buffers, and ends the run.
 */
import { Bug, InputError } from '../../base/error.ts';
import type { CaptureFormat, CaptureInterface } from '../../pcap/index.ts';
import { packetsApart } from '../batch/apart.ts';
import {
  type CaptureHost,
  type CaptureRunOptions,
  requirePackets,
  singleAttributes,
} from '../batch/capture-run.ts';
import { type CaptureCounts, Counts } from '../batch/counts.ts';
import { effectsOf } from '../batch/effects.ts';
import { batchModule } from '../batch/module.ts';
import { loopFacts } from '../batch/packet-loop.ts';
import { BOX, LENGTH, ROW } from '../batch/row.ts';
import { memoryLimits } from '../jit/memory-limits.ts';
import { AREA } from '../jit/unit.ts';
import { wasm } from '../jit/wasm/host.ts';
import type { Addr, MemoryPart } from '../memory/index.ts';
import type { Program } from '../objects/program.ts';
import { mayWait } from '../wasm/native.ts';
import {
  bytesOf,
  CHAIN,
  CONTROL,
  ENDING,
  type Geometry,
  NOT_RUN,
  PROCESSOR,
  pieceAddr,
  pieceFor,
  processorWord,
  REQUEST,
  type Share,
  type Sizes,
  SLOT,
  sizesFor,
  slotWord,
  UNKNOWN,
} from './control.ts';
import { SPREAD, spreadTables } from './flow-hash.ts';
import { OddFinder } from './odd-finder.ts';
import type { ProcessorAnswer, ProcessorOrder, Thread, ThreadMaker } from './port.ts';
import { sentPrograms } from './refusals.ts';

/** A capture that processors read by themselves. */
export interface CaptureSource {
  /** Bytes of it. */
  readonly size: number;
  /** What threads know it by; it is posted to them. See `serveProcessor`. */
  readonly from: unknown;
}

export interface ParallelRunOptions extends Omit<CaptureRunOptions, 'repeat'> {
  /** Makes the threads that processors are. */
  readonly threads: ThreadMaker;
  /** Absent where the capture comes by {@link ParallelRun.space}. */
  readonly source?: CaptureSource;
  /** Bytes of the capture that are read at once; default 2 MiB, and less for many processors. */
  readonly piece?: number;
}

/** Bytes that a processor has for its contexts and frames. */
const PART = 512 * 1024;
/** Bytes by which the memory may be used more before another thread has to look where it ends. */
const RESERVE = 64 * 1024 * 1024;
/** Milliseconds after which the reader of ring buffers is called in any case. */
const NAP = 5;
/** Milliseconds that this thread sleeps for room before it lets others of its events happen. */
const PATIENCE = 50;
/** Pieces from which packets stay with who has read them, where nothing depends on it: then all have something to do. */
const PIECES = 8;
/** Processors that read everything for themselves: more would spend more on that than on handing packets over. */
const FEW_READERS = 3;

export class ParallelRun {
  readonly #host: CaptureHost;
  readonly #drain: () => void;
  readonly #counts = new Counts();
  /** Of each processor where each reads everything, else one for all. */
  readonly #geometries: readonly Geometry[];
  readonly #finders: readonly OddFinder[];
  readonly #words: Int32Array;
  readonly #blocks: Addr[] = [];
  readonly #threads: Thread[] = [];
  readonly #socket: boolean;
  readonly #rings: boolean;
  readonly #source: CaptureSource | undefined;
  #starting = 0;
  #done = 0;
  #failure: Error | undefined;
  /** Called when a thread has answered. */
  #wake: (() => void) | undefined;
  /** Pieces that were handed out. */
  #filled = 0;

  /** @throws InputError, before anything is started, naming what can't be done on several processors */
  constructor(host: CaptureHost, program: Program, options: ParallelRunOptions) {
    const { name = 'the capture', source } = options;
    requirePackets(program, name);
    const { kernel } = host;
    const { memory, cpus } = kernel.machine;
    requireShared(memoryLimits(memory).shared);
    const { programs: all, ...effects } = effectsOf(program);
    const programs = sentPrograms(kernel, program, { ...effects, programs: all });
    this.#host = host;
    this.#drain = options.drain ?? (() => {});
    this.#socket = program.facts.type === 'socket_filter';
    this.#source = source;
    const piece = options.piece ?? pieceFor(cpus);
    const share = shareOf(all, cpus, source, piece);
    this.#geometries = this.#makeGeometries(sizesFor(cpus, share, piece), share);
    const tables = this.#allocate(SPREAD.size, 'hash tables');
    memory.write(tables, spreadTables(cpus));
    const scan = new wasm.Instance(new wasm.Module(batchModule(memoryLimits(memory), undefined)), {
      skep: { memory: memory.wasm, programs: new wasm.Table({ element: 'anyfunc', initial: 1 }) },
    }).exports;
    this.#finders = this.#geometries.map((geometry) => {
      const box = this.#allocate(BOX.size, 'counters');
      return new OddFinder(memory, geometry, scan as never, name, box);
    });
    const facts = loopFacts(program, all, effects);
    // A reader on another thread takes a while: rings may be a quarter full whatever their size.
    const rings = facts.rings.map((ring) => ({ ...ring, most: Math.max(ring.most, ring.size / 4) }));
    this.#rings = rings.length > 0;
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
        geometry: this.#of(this.#geometries, cpu),
        share,
        tables,
        ...(source && { source: source.from }),
        task: kernel.task,
        seed: kernel.machine.random(),
        timeOrigin: performance.timeOrigin,
      };
    });
    memory.reserve(RESERVE);
    this.#words = new Int32Array(memory.wasm.buffer);
    for (const order of orders) this.#start(options.threads(), order);
  }

  #makeGeometries(sizes: Sizes, share: Share): readonly Geometry[] {
    const { memory } = this.#host.kernel.machine;
    const bytes = bytesOf(sizes);
    const control = this.#zeroed(bytes.control, 'control');
    return Array.from({ length: share === 'own' ? sizes.processors : 1 }, () => {
      const geometry: Geometry = {
        ...sizes,
        control,
        chain: this.#zeroed(bytes.chain, 'how far packets are found'),
        rest: this.#allocate(bytes.rest, 'rest of a piece'),
        words: this.#zeroed(bytes.words, 'slots of pieces'),
        rows: this.#allocate(bytes.rows, 'rows'),
        pieces: this.#allocate(bytes.pieces, 'pieces of a capture'),
      };
      memory.writeU32(geometry.chain + CHAIN.last, UNKNOWN);
      for (let slot = 0; slot < sizes.slots; slot++)
        memory.writeU32(slotWord(geometry, slot, SLOT.free), slot);
      return geometry;
    });
  }

  /** What a processor has of something that each has, or all have. */
  #of<T>(each: readonly T[], cpu: number): T {
    return each[each.length === 1 ? 0 : cpu]!;
  }

  #zeroed(size: number, owner: string): Addr {
    const addr = this.#allocate(size, owner);
    this.#host.kernel.machine.memory.fill(addr, size, 0);
    return addr;
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
        this.#failure ??=
          answer.input === undefined
            ? new Bug(`a processor's thread ended: ${answer.message}`)
            : new InputError(answer.input, answer.message);
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
    return this.#finders[0]!.finder.format;
  }
  get interfaces(): readonly CaptureInterface[] {
    return this.#finders[0]!.finder.interfaces;
  }
  get conversions(): ReadonlyMap<string, string> {
    return this.#finders[0]!.finder.conversions;
  }
  get offset(): number {
    return Math.min(...this.#finders.map(({ offset }) => offset));
  }
  /** Whether processors read the capture: nothing is put into {@link space}, and {@link runFor} runs. */
  get reads(): boolean {
    return this.#source !== undefined;
  }

  /** What all have. */
  get #geometry(): Geometry {
    return this.#geometries[0]!;
  }

  #word(word: number): number {
    return (this.#geometry.control + word) >> 2;
  }

  /** Waits until there is room for a piece. @returns nothing where there is */
  ready(): Promise<void> | undefined {
    this.#serve();
    if (this.#failure) throw this.#failure;
    if (this.#starting > 0 || (!this.#room && !mayWait())) return this.#untilRoom();
    const events = this.#word(CONTROL.events);
    for (const begin = performance.now(); ; ) {
      const seen = Atomics.load(this.#words, events);
      this.#serve();
      if (this.#failure) throw this.#failure;
      if (this.#room) return undefined;
      // A thread's messages come, and signals, when this thread has nothing to do.
      if (performance.now() - begin > PATIENCE) return this.#untilRoom();
      Atomics.wait(this.#words, events, seen, NAP);
    }
  }

  async #untilRoom(): Promise<void> {
    while (!this.#room || this.#starting > 0) {
      if (this.#failure) throw this.#failure;
      await this.#pause(NAP);
    }
  }

  get #room(): boolean {
    if (this.#source !== undefined) return true;
    const free = slotWord(this.#geometry, this.#slot, SLOT.free) >> 2;
    return Atomics.load(this.#words, free) === this.#filled;
  }

  /** Where the next piece goes. */
  get #slot(): number {
    return this.#filled % this.#geometry.slots;
  }

  /** Waits for anything to happen, but not long. */
  async #pause(nap: number): Promise<void> {
    const events = this.#word(CONTROL.events);
    const seen = Atomics.load(this.#words, events);
    this.#serve();
    const answered = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const woken = waitAsync?.(this.#words, events, seen, nap);
    const slept = woken === undefined ? new Promise((resolve) => setTimeout(resolve, 1)) : woken.value;
    await Promise.race([answered, slept]);
    this.#wake = undefined;
    this.#serve();
  }

  /** Does what processors wait for. */
  #serve(): void {
    if (this.#failure) return;
    this.#drainAll();
    const { processors } = this.#geometry;
    for (let cpu = 0; cpu < processors; cpu++) {
      const asked = processorWord(this.#geometry, cpu, PROCESSOR.request) >> 2;
      const request = Atomics.load(this.#words, asked);
      if (request === REQUEST.none) continue;
      try {
        this.#answer(request, cpu);
      } catch (error) {
        this.#failure = error as Error;
        this.#abort();
        return;
      }
      Atomics.store(this.#words, asked, REQUEST.none);
      Atomics.notify(this.#words, asked);
    }
  }

  #answer(request: number, cpu: number): void {
    const { memory } = this.#host.kernel.machine;
    const line = processorWord(this.#geometry, cpu, 0);
    const subject = (i: number) => memory.readU32(line + PROCESSOR.subject + 4 * i);
    if (request === REQUEST.find) {
      const { rows, at } = this.#of(this.#finders, cpu).find(
        subject(0),
        subject(1) as Addr,
        subject(2),
        subject(3),
      );
      memory.writeU32(line + PROCESSOR.answer, rows);
      memory.writeU32(line + PROCESSOR.answer + 4, at);
      return;
    }
    for (let row = subject(0); row < subject(1); row += ROW.size) {
      if (memory.readU32(row + ROW.left) === NOT_RUN) this.#refuse(row);
    }
  }

  /** Has the records in ring buffers read, and says so to who waits for room. */
  #drainAll(): void {
    this.#drain();
    if (!this.#rings) return;
    const drained = this.#word(CONTROL.drained);
    Atomics.add(this.#words, drained, 1);
    Atomics.notify(this.#words, drained);
  }

  /** Where the next piece of the capture goes: the kernel's memory, good until the next call of anything. */
  space(): Uint8Array {
    if (this.reads || !this.#room) throw new Bug('there is no room for a piece of the capture');
    const { memory } = this.#host.kernel.machine;
    return memory.window(pieceAddr(this.#geometry, this.#slot), this.#geometry.piece);
  }

  /** Says that the next bytes of the capture are in {@link space}, so many. Then comes {@link work}. */
  filled(size: number): void {
    const { memory } = this.#host.kernel.machine;
    memory.writeU32(slotWord(this.#geometry, this.#slot, SLOT.size), size);
  }

  /** Hands the piece out. @returns true: the next piece can be read as soon as there is room */
  work(_until?: number): boolean {
    this.#filled++;
    this.#let(CONTROL.filled, this.#filled);
    return true;
  }

  /**
   * Lets processors run that read the capture themselves.
   * @param milliseconds after which to come back
   * @returns whether they are through
   */
  async runFor(milliseconds: number): Promise<boolean> {
    if (this.reads && this.#filled === 0) this.work();
    const nap = this.#rings ? NAP : milliseconds;
    for (const begin = performance.now(); this.#done < this.#threads.length; ) {
      if (this.#failure) throw this.#failure;
      const left = milliseconds - (performance.now() - begin);
      if (left <= 0) return false;
      await this.#pause(Math.min(nap, left));
    }
    return true;
  }

  /** Sets a word and has processors look. */
  #let(word: number, value: number): void {
    Atomics.store(this.#words, this.#word(word), value);
    this.#wakeAll();
  }

  #wakeAll(): void {
    for (const woken of [CONTROL.moves, CONTROL.drained]) {
      Atomics.add(this.#words, this.#word(woken), 1);
      Atomics.notify(this.#words, this.#word(woken));
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
    if (!this.reads) {
      Atomics.store(this.#words, (this.#geometry.chain + CHAIN.last) >> 2, this.#filled);
      this.#wakeAll();
    }
    while (!(await this.runFor(PATIENCE)));
    if (this.#failure) throw this.#failure;
    this.#finders[0]!.finish();
    return this.#counts;
  }

  /** Ends the run before the capture's end, and waits for what is under way. */
  async abort(): Promise<CaptureCounts> {
    this.#abort();
    while (this.#done < this.#threads.length && !this.#failure) await this.#pause(NAP);
    return this.#counts;
  }

  #abort(): void {
    this.#let(CONTROL.ending, ENDING.abort);
    // Who waits for an answer looks whether there will be none.
    for (let cpu = 0; cpu < this.#geometry.processors; cpu++) {
      Atomics.notify(this.#words, processorWord(this.#geometry, cpu, PROCESSOR.request) >> 2);
    }
  }

  /** Ends the threads. Nothing of the run is left in the kernel's memory. */
  async close(): Promise<void> {
    this.#abort();
    for (const thread of this.#threads) thread.onAnswer = undefined;
    await Promise.all(this.#threads.map((thread) => thread.terminate()));
    for (const finder of this.#finders) finder.close();
    const { memory } = this.#host.kernel.machine;
    for (const addr of this.#blocks.splice(0)) memory.free(addr);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function shareOf(
  programs: readonly Program[],
  cpus: number,
  source: CaptureSource | undefined,
  piece: number,
): Share {
  if (source === undefined) return 'flow';
  if (source.size >= PIECES * piece && packetsApart(programs)) return 'piece';
  return cpus <= FEW_READERS ? 'own' : 'flow';
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
