/**
 * Runs a program over a capture that is read in large pieces straight into the kernel's memory: packets are found, run and
 * counted in WebAssembly, where they lie. What is out of the ordinary (other blocks than packets, other link layers than
 * Ethernet, frames that are too short or too large, programs that need a packet of their own) goes the way of
 * BPF_PROG_TEST_RUN, one packet at a time and in its turn, so that the results are the same.
 */
import { Bug, InputError } from '../../base/error.ts';
import type { CaptureFormat, CaptureInterface } from '../../pcap/index.ts';
import type { ProgTestRunAttr, ProgTestRunResult } from '../../sys/kernel.ts';
import type { RunKernel } from '../interpreter/environment.ts';
import type { Addr } from '../memory/index.ts';
import { PACKET_TYPES } from '../net/packet-types.ts';
import { faulted } from '../net/test-run.ts';
import type { Program } from '../objects/program.ts';
import { type CaptureCounts, Counts } from './counts.ts';
import { LEAD, PacketFinder } from './packet-finder.ts';
import { ownLoop, type PacketLoop } from './packet-loop.ts';
import { BOX, CUT, LENGTH, ROW } from './row.ts';

export interface CaptureRunOptions {
  /** Name of the capture, for messages. */
  readonly name?: string;
  /** Runs on each packet, each on what the one before left of it; default 1. */
  readonly repeat?: number;
  /** Called when the program may have written records, to read them before there is no more room. */
  readonly drain?: () => void;
}

/** What a run needs of its kernel. */
export interface CaptureHost {
  readonly kernel: RunKernel;
  /** BPF_PROG_TEST_RUN of the program. */
  readonly testRun: (attr: Omit<ProgTestRunAttr, 'prog_fd'>) => ProgTestRunResult;
  /** Notes runs that were none of TEST_RUN's, where statistics are kept. */
  readonly countRuns: (runs: number, nanoseconds: number) => void;
}

/** Bytes that are read at once. */
const PIECE = 1 << 20;
/** Packets that are run at once: V8 exchanges slow code for fast only when the loop is called again. */
const ROWS = 1024;
/** Milliseconds that they may take. */
const SLICE = 20;
/** Bytes by which a program may make a packet longer: the head room and the tail room that it can claim. */
const ROOM = 4096;
const ETH_HLEN = 14;

/** @throws InputError for a program that does not run on packets */
export function requirePackets(program: Program, name: string): void {
  const { facts } = program;
  if (PACKET_TYPES[facts.type]) return;
  throw new InputError(
    'kernel-capture-run',
    `running ${facts.type} program ${facts.name} over ${name}: it takes no packets (EINVAL)`,
    { errno: 'EINVAL' },
  );
}

export class CaptureRun {
  readonly #host: CaptureHost;
  readonly #program: Program;
  readonly #repeat: number;
  readonly #drain: () => void;
  readonly #counts = new Counts();
  readonly #loop: PacketLoop;
  readonly #finder: PacketFinder;
  readonly #socket: boolean;
  /** One block: rows, box, and the piece of the capture with its lead. */
  readonly #block: Addr;
  readonly #box: Addr;
  readonly #piece: Addr;
  #rows = ROWS;

  constructor(host: CaptureHost, program: Program, options: CaptureRunOptions = {}) {
    const name = options.name ?? 'the capture';
    requirePackets(program, name);
    const { memory } = host.kernel.machine;
    this.#host = host;
    this.#program = program;
    this.#repeat = options.repeat ?? 1;
    this.#drain = options.drain ?? (() => {});
    this.#socket = program.facts.type === 'socket_filter';
    this.#loop = ownLoop(host.kernel, program);
    const head = ROWS * ROW.size + BOX.size;
    this.#block = memory.allocate(head + LEAD + PIECE, {
      kind: 'packet',
      owner: 'piece of a capture',
      access: 'none',
    });
    this.#box = (this.#block + ROWS * ROW.size) as Addr;
    this.#piece = (this.#block + head + LEAD) as Addr;
    this.#finder = new PacketFinder(memory, this.#loop.functions, name, this.#box);
  }

  get counts(): CaptureCounts {
    return this.#counts;
  }
  get format(): CaptureFormat | undefined {
    return this.#finder.format;
  }
  get interfaces(): readonly CaptureInterface[] {
    return this.#finder.interfaces;
  }
  /** What was done to packets of other link types than Ethernet, by the link type's name. */
  get conversions(): ReadonlyMap<string, string> {
    return this.#finder.conversions;
  }
  /** Bytes of the capture that were looked at. */
  get offset(): number {
    return this.#finder.offset;
  }

  /** There is room for the next piece as soon as one is worked off; on several processors it is waited for. */
  ready(): undefined {}

  /** Where the next piece of the capture goes: the kernel's memory, good until the next call of anything. */
  space(): Uint8Array {
    if (!this.#finder.empty) throw new Bug('a piece of the capture is not worked off yet');
    return this.#host.kernel.machine.memory.window(this.#piece, PIECE);
  }

  /** Says that the next bytes of the capture are in {@link space}, so many. Then comes {@link work}. */
  filled(size: number): void {
    this.#finder.begin(this.#piece, size);
  }

  /** Runs the program on any number of bytes of the capture, copied. */
  feed(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const space = this.space();
      const part = bytes.subarray(at, at + space.length);
      space.set(part);
      this.filled(part.length);
      this.work();
      at += part.length;
    }
  }

  /**
   * Works the piece off.
   * @param until a time by `performance.now()` at which to stop and answer false
   * @returns whether the piece is worked off, so that the next one can be read
   */
  work(until = Number.POSITIVE_INFINITY): boolean {
    for (;;) {
      const full = this.#batch();
      if (performance.now() >= until) return false;
      if (full) continue;
      const found = this.#finder.next();
      if (found === undefined) return true;
      this.#single(found.data, found.cut);
      this.#finder.refresh();
      if (performance.now() >= until) return false;
    }
  }

  /** Says that no piece follows. @throws InputError when the capture is empty or ends inside a record */
  end(): CaptureCounts {
    this.#finder.finish();
    return this.#counts;
  }

  close(): void {
    this.#loop.close();
    this.#finder.close();
    this.#host.kernel.machine.memory.free(this.#block);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Finds and runs a table full of packets. @returns whether there may be more */
  #batch(): boolean {
    const rows = this.#block;
    const most = rows + this.#rows * ROW.size;
    const end = this.#finder.find(rows, most);
    if (end === rows) return false;
    const begin = performance.now();
    this.#runRows(rows, end);
    const milliseconds = performance.now() - begin;
    if (milliseconds > SLICE) this.#rows = Math.max(this.#rows >> 1, 1);
    else if (milliseconds < SLICE / 4) this.#rows = Math.min(this.#rows << 1, ROWS);
    this.#finder.refresh();
    return end === most;
  }

  #runRows(begin: number, end: number): void {
    for (let row = begin; row < end; ) {
      const reached = this.#repeat === 1 && this.#loop.batches ? this.#stretch(row, end) : row;
      if (reached !== row) {
        row = reached;
        continue;
      }
      const { memory } = this.#host.kernel.machine;
      const length = memory.readU32(row + ROW.length);
      const addr = memory.readU32(row + ROW.addr) as Addr;
      this.#single(memory.read(addr, length & LENGTH), (length & CUT) !== 0);
      row += ROW.size;
    }
  }

  /** Runs rows where they lie. @returns the row behind the last one that was run */
  #stretch(row: number, end: number): number {
    const { machine } = this.#host.kernel;
    const begin = machine.clock.monotonic();
    const { row: reached, fault } = this.#loop.run(row, end);
    const nanoseconds = Number(machine.clock.monotonic() - begin);
    if (reached !== row) {
      const { functions } = this.#loop;
      (this.#socket ? functions.tallyKept : functions.tally)(row, reached, this.#box);
      this.#counts.take(machine.memory, this.#box, row, reached, !this.#socket);
      this.#host.countRuns((reached - row) / ROW.size, nanoseconds);
    }
    this.#counts.nanoseconds += nanoseconds;
    this.#drain();
    if (fault === undefined) return reached;
    const length = machine.memory.readU32(reached + ROW.length) & LENGTH;
    this.#counts.refuse(faulted(this.#program, fault), length);
    return reached + ROW.size;
  }

  /** Runs a packet as BPF_PROG_TEST_RUN does. */
  #single(data: Uint8Array, cut: boolean): void {
    try {
      const { retval, duration } = this.#host.testRun(singleAttributes(data, this.#socket, this.#repeat));
      this.#counts.nanoseconds += duration * this.#repeat;
      if (this.#socket) this.#counts.oneKept(retval, data.length, cut);
      else this.#counts.one(retval, cut);
    } catch (error) {
      this.#counts.refuse(error, data.length);
    }
    this.#drain();
  }
}

/** What BPF_PROG_TEST_RUN is given for a frame. */
export function singleAttributes(data: Uint8Array, socket: boolean, repeat: number) {
  return { data_in: socket ? withHeaderTwice(data) : data, data_size_out: data.length + ROOM, repeat };
}

/**
 * TEST_RUN takes the Ethernet header off before a socket filter sees the packet. A packet socket does not, so the header is
 * given twice.
 */
function withHeaderTwice(frame: Uint8Array): Uint8Array {
  const header = frame.subarray(0, ETH_HLEN);
  const twice = new Uint8Array(header.length + frame.length);
  twice.set(header);
  twice.set(frame, header.length);
  return twice;
}
