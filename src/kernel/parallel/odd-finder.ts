/**
 * Finds what processors don't find by themselves: the beginning of a capture, other blocks than packets, packets that need
 * an Ethernet header, damage. On the thread that hands out, which is asked for it. Behind the beginning the processor may go
 * on, which runs faster there than what has just begun here; later this goes on to the end of the piece.
 */
import { Bug } from '../../base/error.ts';
import type { ScanFunctions } from '../batch/module.ts';
import { PacketFinder } from '../batch/packet-finder.ts';
import { CUT, ROW } from '../batch/row.ts';
import type { ScanLayout } from '../batch/scan-layout.ts';
import type { Addr, Memory } from '../memory/index.ts';
import {
  CARRY,
  CHAIN,
  FRAME_ROOM,
  type Geometry,
  LAYOUT,
  pieceAddr,
  readLong,
  rowsOf,
  scratchOf,
  writeLong,
} from './control.ts';

export interface Found {
  /** The end of the rows. */
  readonly rows: number;
  /** Where it stopped: the end of the piece, unless packets follow that the processor can find. */
  readonly at: number;
}

export class OddFinder {
  readonly #memory: Memory;
  readonly #geometry: Geometry;
  readonly #carry: number;
  readonly finder: PacketFinder;
  /** What the piece before left is more than processors carry on, so that it is kept here. */
  #keeps = false;
  /** Where the next frame goes that is not in the piece as it is. */
  #scratch = 0;

  /** @param name of the capture, for messages @param box words that scanning leaves */
  constructor(memory: Memory, geometry: Geometry, functions: ScanFunctions, name: string, box: Addr) {
    this.#memory = memory;
    this.#geometry = geometry;
    this.#carry = geometry.chain + CHAIN.carry;
    this.finder = new PacketFinder(memory, functions, name, box);
  }

  /** Bytes of the capture that are behind. */
  get offset(): number {
    return readLong(this.#memory, this.#carry + CARRY.offset);
  }

  /**
   * Finds the rest of a slot's piece.
   * @param at where it begins
   * @param rows where its rows go
   * @returns the end of the rows, and how far the piece is found
   * @throws InputError naming what is wrong with the capture
   */
  find(slot: number, at: Addr, end: number, rows: number): Found {
    const { finder } = this;
    this.#goOn(slot, at, end);
    const { start, end: most } = rowsOf(this.#geometry, slot);
    const room = scratchOf(this.#geometry, slot);
    // Of the same piece there may be some already.
    if (rows === start) this.#scratch = room.start;
    let row = rows;
    const begins = !this.#keeps && finder.layout === undefined && finder.packets === 0;
    for (;;) {
      if (begins && finder.layout !== undefined) {
        this.#tell(finder.layout);
        return { rows: row, at: finder.at };
      }
      row = finder.find(row, most);
      const found = finder.next();
      if (found === undefined) break;
      const { data, cut } = found;
      this.#scratch += FRAME_ROOM;
      if (this.#scratch + data.length > room.end || row === most) {
        throw new Bug(
          `the packets of a piece take more than ${room.end - room.start} bytes or ${most - rows} of rows`,
        );
      }
      this.#memory.write(this.#scratch as Addr, data);
      this.#memory.writeU32(row + ROW.addr, this.#scratch);
      this.#memory.writeU32(row + ROW.length, (data.length | (cut ? CUT : 0)) >>> 0);
      this.#scratch += data.length;
      row += ROW.size;
    }
    this.#handOn(at, end);
    return { rows: row, at: end };
  }

  #goOn(slot: number, at: Addr, end: number): void {
    const begin = pieceAddr(this.#geometry, slot);
    if (this.#keeps) this.finder.begin(begin, end - begin);
    else {
      const packets = readLong(this.#memory, this.#carry + CARRY.packets);
      this.finder.resume(at, end, this.offset, packets);
    }
  }

  /** Says what is left and how the next packets are found. */
  #handOn(at: number, end: number): void {
    const memory = this.#memory;
    const { finder } = this;
    const rest = finder.rest;
    this.#keeps = rest === undefined || rest > end - at;
    const carried = this.#keeps ? 0 : rest!;
    memory.copy(this.#geometry.rest, (end - carried) as Addr, carried);
    memory.writeU32(this.#carry + CARRY.size, carried);
    this.#tell(this.#keeps ? undefined : finder.layout);
  }

  /** Says how the packets that come next are found. */
  #tell(layout: ScanLayout | undefined): void {
    const memory = this.#memory;
    writeLong(memory, this.#carry + CARRY.offset, this.finder.offset);
    writeLong(memory, this.#carry + CARRY.packets, this.finder.packets);
    const words = this.#geometry.chain + CHAIN.layout;
    memory.writeU32(words + LAYOUT.scan, layout === undefined ? 0 : layout.scan + 1);
    memory.writeU32(words + LAYOUT.interfaces, layout?.limits.length ?? 0);
    for (const [id, limit] of layout?.limits.entries() ?? []) {
      memory.writeU32(words + LAYOUT.limits + 4 * id, limit);
    }
  }

  /** Says that no piece follows. @throws InputError when the capture is empty or ends inside a record */
  finish(): void {
    if (!this.#keeps) {
      const size = this.#memory.readU32(this.#carry + CARRY.size);
      const { rest } = this.#geometry;
      const packets = readLong(this.#memory, this.#carry + CARRY.packets);
      this.finder.resume(rest, rest + size, this.offset, packets);
    }
    this.finder.finish();
  }

  close(): void {
    this.finder.close();
  }
}
