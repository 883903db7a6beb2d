/**
 * Finds what processors don't find by themselves: the beginning of a capture, other blocks than packets, packets that need
 * an Ethernet header, damage. On the thread that hands out, which is asked for it; it goes on to the end of the piece.
 */
import { Bug } from '../../base/error.ts';
import type { ScanFunctions } from '../batch/module.ts';
import { PacketFinder } from '../batch/packet-finder.ts';
import { CUT, ROW } from '../batch/row.ts';
import type { Addr, Memory } from '../memory/index.ts';
import {
  CARRY,
  CONTROL,
  FRAME_ROOM,
  type Geometry,
  LAYOUT,
  pieceAddr,
  readLong,
  rowsOf,
  scratchOf,
  writeLong,
} from './control.ts';

export class OddFinder {
  readonly #memory: Memory;
  readonly #geometry: Geometry;
  readonly #carry: number;
  readonly finder: PacketFinder;
  /** What the piece before left is more than processors carry on, so that it is kept here. */
  #keeps = false;

  /** @param name of the capture, for messages @param box words that scanning leaves */
  constructor(memory: Memory, geometry: Geometry, functions: ScanFunctions, name: string, box: Addr) {
    this.#memory = memory;
    this.#geometry = geometry;
    this.#carry = geometry.control + CONTROL.carry;
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
   * @returns the end of the rows
   * @throws InputError naming what is wrong with the capture
   */
  find(slot: number, at: Addr, end: number, rows: number): number {
    const { finder } = this;
    this.#goOn(slot, at, end);
    const most = rowsOf(this.#geometry, slot).end;
    const room = scratchOf(this.#geometry, slot);
    let scratch = room.start;
    let row = rows;
    for (;;) {
      row = finder.find(row, most);
      const found = finder.next();
      if (found === undefined) break;
      const { data, cut } = found;
      scratch += FRAME_ROOM;
      if (scratch + data.length > room.end || row === most) {
        throw new Bug(
          `the packets of a piece take more than ${room.end - room.start} bytes or ${most - rows} of rows`,
        );
      }
      this.#memory.write(scratch as Addr, data);
      this.#memory.writeU32(row + ROW.addr, scratch);
      this.#memory.writeU32(row + ROW.length, (data.length | (cut ? CUT : 0)) >>> 0);
      scratch += data.length;
      row += ROW.size;
    }
    this.#handOn(at, end);
    return row;
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
    writeLong(memory, this.#carry + CARRY.offset, finder.offset);
    writeLong(memory, this.#carry + CARRY.packets, finder.packets);
    const layout = this.#keeps ? undefined : finder.layout;
    const words = this.#geometry.control + CONTROL.layout;
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
