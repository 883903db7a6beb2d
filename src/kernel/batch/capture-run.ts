/**
 * Runs a program over a capture that is read in large pieces straight into the kernel's memory: packets are found, run and
 * counted in WebAssembly, where they lie. What is out of the ordinary (other blocks than packets, other link layers than
 * Ethernet, frames that are too short or too large, programs that need a packet of their own) goes the way of
 * BPF_PROG_TEST_RUN, one packet at a time and in its turn, so that the results are the same.
 */
import { Bug, InputError } from '../../base/error.ts';
import {
  type CaptureFormat,
  type CaptureInterface,
  CaptureReader,
  FrameConverter,
  frameConversion,
  MAX_PACKET,
  type Packet,
  packetLimit,
  type RecordLayout,
} from '../../pcap/index.ts';
import type { ProgTestRunAttr, ProgTestRunResult } from '../../sys/kernel.ts';
import type { RunKernel } from '../interpreter/environment.ts';
import type { Addr } from '../memory/index.ts';
import { PACKET_TYPES } from '../net/packet-types.ts';
import { faulted } from '../net/test-run.ts';
import type { Program } from '../objects/program.ts';
import { type CaptureCounts, Counts } from './counts.ts';
import { PacketLoop } from './packet-loop.ts';
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
/** Room in front of them for the record that the piece before ended in. */
const LEAD = MAX_PACKET + 4096;
/** Packets that are run at once: V8 exchanges slow code for fast only when the loop is called again. */
const ROWS = 1024;
/** Milliseconds that they may take. */
const SLICE = 20;
const INTERFACES = 64;
/** Bytes by which a program may make a packet longer: the head room and the tail room that it can claim. */
const ROOM = 4096;
const ETH_HLEN = 14;

export class CaptureRun {
  readonly #host: CaptureHost;
  readonly #program: Program;
  readonly #repeat: number;
  readonly #drain: () => void;
  readonly #reader: CaptureReader;
  readonly #frames: FrameConverter;
  readonly #counts = new Counts();
  readonly #loop: PacketLoop;
  readonly #socket: boolean;
  /** One block: rows, box, limits of the interfaces, and the piece of the capture with its lead. */
  readonly #block: Addr;
  readonly #box: Addr;
  readonly #limits: Addr;
  readonly #piece: Addr;
  /** Bytes of the capture that were not looked at yet. */
  #at = 0;
  #end = 0;
  /** The memory that the reader looks at; another one after it has grown. */
  #memory: Uint8Array | undefined;
  /** The reader has its own copy of what comes next, up to the end of the piece. */
  #apart = false;
  /** How packets are found; `undefined` where the reader has to. */
  #find: ((rowsEnd: number) => number) | undefined;
  #rows = ROWS;

  constructor(host: CaptureHost, program: Program, options: CaptureRunOptions = {}) {
    const name = options.name ?? 'the capture';
    if (!PACKET_TYPES[program.facts.type]) {
      throw new InputError(
        'kernel-capture-run',
        `running ${program.facts.type} program ${program.facts.name} over ${name}: it takes no packets (EINVAL)`,
        { errno: 'EINVAL' },
      );
    }
    const { memory } = host.kernel.machine;
    this.#host = host;
    this.#program = program;
    this.#repeat = options.repeat ?? 1;
    this.#drain = options.drain ?? (() => {});
    this.#reader = new CaptureReader(name);
    this.#frames = new FrameConverter(name);
    this.#socket = program.facts.type === 'socket_filter';
    this.#loop = new PacketLoop(host.kernel, program);
    const head = ROWS * ROW.size + BOX.size + INTERFACES * 4;
    this.#block = memory.allocate(head + LEAD + PIECE, {
      kind: 'packet',
      owner: 'piece of a capture',
      access: 'none',
    });
    this.#box = (this.#block + ROWS * ROW.size) as Addr;
    this.#limits = (this.#box + BOX.size) as Addr;
    this.#piece = (this.#block + head + LEAD) as Addr;
    this.#at = this.#piece;
    this.#end = this.#piece;
  }

  get counts(): CaptureCounts {
    return this.#counts;
  }
  get format(): CaptureFormat | undefined {
    return this.#reader.format;
  }
  get interfaces(): readonly CaptureInterface[] {
    return this.#reader.interfaces;
  }
  /** What was done to packets of other link types than Ethernet, by the link type's name. */
  get conversions(): ReadonlyMap<string, string> {
    return this.#frames.done;
  }
  /** Bytes of the capture that were looked at. */
  get offset(): number {
    return this.#reader.offset;
  }

  /** Where the next piece of the capture goes: the kernel's memory, good until the next call of anything. */
  space(): Uint8Array {
    if (this.#at !== this.#end) throw new Bug('a piece of the capture is not worked off yet');
    return this.#window(this.#piece, PIECE);
  }

  /** Says that the next bytes of the capture are in {@link space}, so many. Then comes {@link work}. */
  filled(size: number): void {
    const rest = this.#reader.piece;
    if (rest === undefined || rest.length > LEAD) {
      this.#reader.feed(this.#window(this.#piece, size).slice());
      this.#apart = true;
      return;
    }
    this.#at = this.#piece - rest.length;
    this.#end = this.#piece + size;
    this.#host.kernel.machine.memory.write(this.#at as Addr, rest);
    this.#look();
  }

  /** Gives the reader the bytes that were not looked at, in the memory as it is. */
  #look(): void {
    this.#memory = this.#host.kernel.machine.memory.u8;
    this.#reader.replace(this.#window(this.#at, this.#end - this.#at));
  }

  #window(at: number, size: number): Uint8Array {
    return this.#host.kernel.machine.memory.window(at as Addr, size);
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
      if (!this.#apart && this.#find !== undefined) {
        const full = this.#batch();
        if (performance.now() >= until) return false;
        if (full) continue;
      }
      const packet = this.#next();
      if (packet === undefined) return true;
      this.#single(new Uint8Array(this.#frames.frame(packet)), packet.originalLength > packet.data.length);
      if (!this.#apart && this.#host.kernel.machine.memory.u8 !== this.#memory) this.#look();
      if (performance.now() >= until) return false;
    }
  }

  /** Says that no piece follows. @throws InputError when the capture is empty or ends inside a record */
  end(): CaptureCounts {
    // An empty capture has not been looked at yet.
    this.#reader.next();
    this.#reader.end();
    return this.#counts;
  }

  close(): void {
    this.#loop.close();
    this.#host.kernel.machine.memory.free(this.#block);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The next packet by the reader; `undefined` at the end of the piece. */
  #next(): Packet | undefined {
    const packet = this.#reader.next();
    if (packet === undefined) {
      this.#apart = false;
      this.#at = this.#end;
    } else if (!this.#apart) {
      this.#at = this.#end - this.#reader.piece!.length;
    }
    const { layout } = this.#reader;
    this.#find = layout && this.#finder(layout);
    return packet;
  }

  /** How packets of a layout are found, unless none can be. */
  #finder({ format, littleEndian, interfaces }: RecordLayout): ((rowsEnd: number) => number) | undefined {
    const { functions } = this.#loop;
    const limits = interfaces.slice(0, INTERFACES).map(({ linkType }) => {
      return frameConversion(linkType) === undefined ? packetLimit(linkType) + 1 : 0;
    });
    if (limits.every((limit) => limit === 0)) return undefined;
    const rows = this.#block;
    const box = this.#box;
    if (format === 'pcap') {
      const scan = littleEndian ? functions.scanPcap : functions.scanPcapSwapped;
      return (rowsEnd) => scan(this.#at, this.#end, rows, rowsEnd, limits[0]! - 1, box);
    }
    const { memory } = this.#host.kernel.machine;
    for (const [id, limit] of limits.entries()) memory.writeU32(this.#limits + 4 * id, limit);
    const scan = littleEndian ? functions.scanPcapng : functions.scanPcapngSwapped;
    return (rowsEnd) => scan(this.#at, this.#end, rows, rowsEnd, this.#limits, limits.length, box);
  }

  /** Finds and runs a table full of packets. @returns whether there may be more */
  #batch(): boolean {
    const { memory } = this.#host.kernel.machine;
    const rows = this.#block;
    const most = rows + this.#rows * ROW.size;
    const end = this.#find!(most) >>> 0;
    const at = memory.readU32(this.#box + BOX.at);
    this.#reader.pass(at - this.#at, (end - rows) / ROW.size);
    this.#at = at;
    if (end === rows) return false;
    const begin = performance.now();
    this.#runRows(rows, end);
    const milliseconds = performance.now() - begin;
    if (milliseconds > SLICE) this.#rows = Math.max(this.#rows >> 1, 1);
    else if (milliseconds < SLICE / 4) this.#rows = Math.min(this.#rows << 1, ROWS);
    if (memory.u8 !== this.#memory) this.#look();
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
      const { retval, duration } = this.#host.testRun({
        data_in: this.#socket ? withHeaderTwice(data) : data,
        data_size_out: data.length + ROOM,
        repeat: this.#repeat,
      });
      this.#counts.nanoseconds += duration * this.#repeat;
      if (this.#socket) this.#counts.oneKept(retval, data.length, cut);
      else this.#counts.one(retval, cut);
    } catch (error) {
      this.#counts.refuse(error, data.length);
    }
    this.#drain();
  }
}

/**
 * TEST_RUN takes the Ethernet header off before a socket filter sees the packet. A packet socket does not, so the header is
 * given twice.
 */
export function withHeaderTwice(frame: Uint8Array): Uint8Array {
  const header = frame.subarray(0, ETH_HLEN);
  const twice = new Uint8Array(header.length + frame.length);
  twice.set(header);
  twice.set(frame, header.length);
  return twice;
}
