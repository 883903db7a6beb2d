/** The words that the threads of one run share. Offsets in bytes. */

import { LEAD } from '../batch/packet-finder.ts';
import { ROW } from '../batch/row.ts';
import type { Addr } from '../memory/index.ts';

/** A cache line of its own, so that threads that write beside each other don't disturb each other. */
const LINE = 64;

/** Bytes of a capture that are read at once. */
export const PIECE = 1 << 19;
/** Pieces that are on their way. */
export const SLOTS = 6;
/** Most packets of a piece: records without any bytes, and what the piece before left. */
export const SLOT_ROWS = PIECE / 16 + 16;
/** Frames that are not simply in the piece, with room in front of each for a header, as records have. */
export const SCRATCH = 3 * PIECE + LEAD;
export const FRAME_ROOM = 16;

export const CONTROL = {
  /** Pieces that were handed out. */
  produced: 0,
  /** See {@link ENDING}. */
  ending: LINE,
  /** Counts up whenever the thread that hands out has something to see to. */
  events: 2 * LINE,
  /** Counts up when records were read out of ring buffers. */
  drained: 3 * LINE,
  /** A line for each processor. */
  processors: 4 * LINE,
} as const;

/** Of a processor's line. */
export const PROCESSOR = {
  /** Pieces that it is through with. */
  consumed: 0,
  /** Packets that it has run. */
  packets: 4,
  size: LINE,
} as const;

/** What comes after the last piece. */
export const ENDING = { no: 0, end: 1, abort: 2 } as const;

/** Marks a row, in place of the bytes that are left, of which the packet can't be run. */
export const NOT_RUN = 0xffff_ffff;

/** Where everything is. Plain data. */
export interface Geometry {
  readonly processors: number;
  readonly control: Addr;
  /** For each slot and processor: where its rows end; behind them how many of them were not run. */
  readonly ends: Addr;
  /** For each slot and processor: the rows. */
  readonly rows: Addr;
  /** For each slot: room in front, the piece, and room for frames. */
  readonly pieces: Addr;
}

const SLOT_BYTES = LEAD + PIECE + SCRATCH;

export function sizes(processors: number) {
  return {
    control: CONTROL.processors + processors * PROCESSOR.size,
    ends: SLOTS * processors * 8,
    rows: SLOTS * processors * SLOT_ROWS * ROW.size,
    pieces: SLOTS * SLOT_BYTES,
  };
}

export function pieceOf({ pieces }: Geometry, slot: number): Addr {
  return (pieces + slot * SLOT_BYTES + LEAD) as Addr;
}
export function scratchOf(geometry: Geometry, slot: number): Addr {
  return (pieceOf(geometry, slot) + PIECE) as Addr;
}
export function rowsOf({ rows, processors }: Geometry, slot: number, cpu: number): number {
  return rows + (slot * processors + cpu) * SLOT_ROWS * ROW.size;
}
/** Address of the word that says where a processor's rows end. */
export function endOf({ ends, processors }: Geometry, slot: number, cpu: number): number {
  return ends + (slot * processors + cpu) * 4;
}
/** Address of the word that counts the rows that were not run. */
export function notRunOf({ ends, processors }: Geometry, slot: number, cpu: number): number {
  return ends + ((SLOTS + slot) * processors + cpu) * 4;
}
export function processorWord({ control }: Geometry, cpu: number, word: number): number {
  return control + CONTROL.processors + cpu * PROCESSOR.size + word;
}
