/**
 * A processor's part in reading a capture. Each takes the next piece and reads it, or has it put there; where packets lie in a piece is known only when it is known where the record ends that the piece before began. So finding them goes
 * round: who has found a piece's packets says what is left of it, and the next goes on from there. That takes a tenth of the
 * time that reading a piece and running its packets does. What is out of the ordinary is found by the thread that hands out.
 */
import type { ScanFunctions } from '../batch/module.ts';
import { LEAD } from '../batch/packet-finder.ts';
import { ROW } from '../batch/row.ts';
import { type ScanLayout, Scanner } from '../batch/scan-layout.ts';
import type { Addr, Memory } from '../memory/index.ts';
import {
  CARRY,
  CHAIN,
  CONTROL,
  type Geometry,
  LAYOUT,
  pieceAddr,
  REQUEST,
  readLong,
  rowsOf,
  SLOT,
  slotWord,
  UNKNOWN,
  writeLong,
} from './control.ts';
import type { ReadAt } from './port.ts';

/** A piece, where it is, and the rows of its packets. */
export interface FoundPiece {
  readonly piece: number;
  readonly slot: number;
  readonly start: number;
  readonly end: number;
}

/** Asks something of the thread that hands out, and waits for the answer; there is none when the run was given up. */
export type Ask = (request: number, ...subject: readonly number[]) => Answer | undefined;
export type Answer = readonly [number, number];

export interface PieceFinderOptions {
  readonly memory: Memory;
  readonly geometry: Geometry;
  readonly functions: ScanFunctions;
  readonly box: Addr;
  /** The slot of all pieces that this processor takes; absent where that goes round. */
  readonly slot: number | undefined;
  readonly ask: Ask;
  /** Absent where pieces are put into their slots. */
  readonly read: ReadAt | undefined;
}

export class PieceFinder {
  readonly #options: PieceFinderOptions;
  readonly #memory: Memory;
  readonly #geometry: Geometry;
  readonly #words: Int32Array;
  readonly #scanner: Scanner;
  readonly #carry: number;
  readonly #layout: number;
  /** The piece that was taken, with its bytes. */
  #taken: { readonly piece: number; readonly slot: number; readonly size: number } | undefined;

  constructor(options: PieceFinderOptions) {
    const { memory, geometry, functions, box } = options;
    this.#options = options;
    this.#memory = memory;
    this.#geometry = geometry;
    this.#words = new Int32Array(memory.wasm.buffer);
    this.#carry = geometry.chain + CHAIN.carry;
    this.#layout = geometry.chain + CHAIN.layout;
    this.#scanner = new Scanner(memory, functions, (this.#layout + LAYOUT.limits) as Addr, box);
  }

  #load(at: number): number {
    return Atomics.load(this.#words, at >> 2);
  }

  /** Whether there are no more pieces. */
  get over(): boolean {
    const { chain } = this.#geometry;
    const last = this.#load(chain + CHAIN.last);
    return last !== UNKNOWN && (this.#taken?.piece ?? this.#load(chain + CHAIN.taken)) >= last;
  }

  /** Reads, and finds packets, as far as that can be done now. @returns a piece that is found */
  step(): FoundPiece | undefined {
    if (this.over) return undefined;
    this.#taken ??= this.#take();
    if (this.#taken === undefined) return undefined;
    if (this.#load(this.#geometry.chain + CHAIN.found) !== this.#taken.piece) return undefined;
    // Who found the piece before has said whether it was the last one.
    if (this.over) return undefined;
    const { piece, slot, size } = this.#taken;
    const found = this.#find(piece, slot, size);
    this.#taken = undefined;
    return found;
  }

  /** Takes the next piece, once there is room for it or it is there. */
  #take() {
    const geometry = this.#geometry;
    const { read } = this.#options;
    const words = this.#words;
    const taken = (geometry.chain + CHAIN.taken) >> 2;
    const filled = this.#load(geometry.control + CONTROL.filled);
    for (;;) {
      const piece = Atomics.load(words, taken);
      const slot = this.#options.slot ?? piece % geometry.slots;
      if (read === undefined) {
        if (filled <= piece) return undefined;
      } else {
        // Nobody begins before all can.
        if (filled === 0) return undefined;
        if (this.#options.slot === undefined && this.#load(slotWord(geometry, slot, SLOT.free)) !== piece) {
          return undefined;
        }
      }
      if (Atomics.compareExchange(words, taken, piece, piece + 1) !== piece) continue;
      const size =
        read === undefined
          ? this.#memory.readU32(slotWord(geometry, slot, SLOT.size))
          : this.#read(read, piece, slot);
      return { piece, slot, size };
    }
  }

  #read(read: ReadAt, piece: number, slot: number): number {
    const { piece: most } = this.#geometry;
    this.#memory.refresh();
    const into = this.#memory.window(pieceAddr(this.#geometry, slot), most);
    let size = 0;
    while (size < most) {
      const more = read(piece * most + size, size === 0 ? into : into.subarray(size));
      if (more === 0) break;
      size += more;
    }
    return size;
  }

  #find(piece: number, slot: number, size: number): FoundPiece | undefined {
    const memory = this.#memory;
    const geometry = this.#geometry;
    memory.refresh();
    const begin = pieceAddr(geometry, slot);
    const end = begin + size;
    const { start, end: most } = rowsOf(geometry, slot);
    const carried = memory.readU32(this.#carry + CARRY.size);
    const at = begin - carried;
    if (carried > 0) memory.copy(at as Addr, geometry.rest, carried);
    let rows = start;
    for (let reached: number = at; ; ) {
      if (this.#useLayout()) {
        const found = this.#scanner.find(reached, end, rows, most);
        this.#pass(this.#scanner.at - reached, (found - rows) / ROW.size);
        reached = this.#scanner.at;
        rows = found;
        const left = end - reached;
        if (left < LEAD && this.#scanner.begins(reached, end)) {
          memory.copy(geometry.rest, reached as Addr, left);
          memory.writeU32(this.#carry + CARRY.size, left);
          break;
        }
      }
      const answer = this.#options.ask(REQUEST.find, slot, reached, end, rows);
      if (answer === undefined) return undefined;
      [rows, reached] = answer;
      if (reached === end) break;
    }
    if (this.#options.read !== undefined && size < geometry.piece) {
      Atomics.store(this.#words, (geometry.chain + CHAIN.last) >> 2, piece + 1);
    }
    Atomics.store(this.#words, (geometry.chain + CHAIN.found) >> 2, piece + 1);
    return { piece, slot, start, end: rows };
  }

  /** Notes what is behind. */
  #pass(bytes: number, packets: number): void {
    const offset = this.#carry + CARRY.offset;
    const count = this.#carry + CARRY.packets;
    writeLong(this.#memory, offset, readLong(this.#memory, offset) + bytes);
    writeLong(this.#memory, count, readLong(this.#memory, count) + packets);
  }

  /** @returns how packets are found now, unless the thread that hands out has to do it */
  #useLayout(): ScanLayout | undefined {
    const scan = this.#memory.readU32(this.#layout + LAYOUT.scan);
    if (scan === 0) this.#scanner.use(undefined);
    else {
      const count = this.#memory.readU32(this.#layout + LAYOUT.interfaces);
      const limits = Array.from({ length: count }, (_, i) =>
        this.#memory.readU32(this.#layout + LAYOUT.limits + 4 * i),
      );
      this.#scanner.use({ scan: scan - 1, limits });
    }
    return this.#scanner.layout;
  }
}
