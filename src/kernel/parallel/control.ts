/** The words that the threads of one run share, and where what they work on lies. Offsets in bytes. */

import { LEAD } from '../batch/packet-finder.ts';
import { ROW } from '../batch/row.ts';
import { INTERFACES } from '../batch/scan-layout.ts';
import type { Addr, Memory } from '../memory/index.ts';

/** A cache line of its own, so that threads that write beside each other don't disturb each other. */
const LINE = 64;

/** Bytes of a capture that are read at once: by few processors, and by many, whose pieces are to take no more together. */
const PIECE = { few: 1 << 21, many: 1 << 18 } as const;
const FEW = 8;
/** Pieces that are on their way, beside one for each processor. */
const SPARE_SLOTS = 4;
/** Frames that are not simply in the piece have room in front of each for a header, as records have. */
export const FRAME_ROOM = 16;

/** What all processors see. */
export const CONTROL = {
  /** Pieces that the thread that hands out has put into their slots; where it does not do that, 1 lets processors begin. */
  filled: 0,
  /** See {@link ENDING}. */
  ending: LINE,
  /** Counts up whenever the thread that hands out has something to see to. */
  events: 2 * LINE,
  /** Counts up when records were read out of ring buffers. */
  drained: 3 * LINE,
  /** Counts up whenever a processor may have something to do that waits for another. */
  moves: 4 * LINE,
  /** A line for each processor. */
  processors: 5 * LINE,
} as const;

/** How far the packets of a capture are found: by all processors together, or by one for itself. */
export const CHAIN = {
  /** Pieces that processors have taken to find their packets. */
  taken: 0,
  /** Pieces of which the packets were found. Whose piece is next may write the carry and the layout. */
  found: LINE,
  /** Pieces that there are; {@link UNKNOWN} before the last one is found. */
  last: 2 * LINE,
  /** See {@link CARRY}. */
  carry: 3 * LINE,
  /** See {@link LAYOUT}. */
  layout: 4 * LINE,
  size: 9 * LINE,
} as const;

/** What the pieces so far have left for the next one. */
export const CARRY = {
  /** Bytes of the record that has only begun, which are in {@link Geometry.rest}. */
  size: 0,
  /** Bytes of the capture that are behind, and packets that were found in them: 64 bits each. */
  offset: 8,
  packets: 16,
} as const;

/** How the packets that come next are found. */
export const LAYOUT = {
  /** One more than the index into `SCANS`; 0: by the thread that hands out. */
  scan: 0,
  interfaces: 4,
  limits: 8,
  size: 8 + 4 * INTERFACES,
} as const;

/** Of a processor's line. */
export const PROCESSOR = {
  /** Packets that it has run. */
  packets: 0,
  /** What it asks of the thread that hands out; see {@link REQUEST}. */
  request: 4,
  /** Words that the question is about. */
  subject: 8,
  answer: 40,
  size: LINE,
} as const;

/** What a processor may ask for, and waits for. */
export const REQUEST = {
  none: 0,
  /** To have the rest of a piece's packets found: slot, where the rest begins and ends, where its rows go.
   * Answer: the end of the rows, and how far the piece is found. */
  find: 1,
  /** To have it told which of some rows were not run, and why: the first, and the end. */
  tell: 2,
} as const;

/** Of a slot's line. */
export const SLOT = {
  /** The piece that may be put there. */
  free: 0,
  /** One more than the piece of which rows are given to their processors. */
  given: 4,
  /** Processors that are not yet through with it. */
  busy: 8,
  /** Bytes of the piece, where the thread that hands out fills. */
  size: 12,
  words: LINE,
} as const;

/** What comes after the last piece. */
export const ENDING = { no: 0, abort: 1 } as const;
export const UNKNOWN = -1;

/** Marks a row, in place of the bytes that are left, of which the packet can't be run. */
export const NOT_RUN = 0xffff_ffff;

/**
 * Which processor runs a packet. `flow`: that of its flow, whichever has read it. `own`: the same, and each processor reads
 * everything for itself, which two or three do in less time than they take to hand packets to each other. `piece`: the one
 * that has read it.
 */
export type Share = 'flow' | 'own' | 'piece';

/** Where everything is. Plain data. */
export interface Geometry {
  readonly processors: number;
  /** Bytes of a piece. */
  readonly piece: number;
  readonly slots: number;
  readonly control: Addr;
  /** See {@link CHAIN}. */
  readonly chain: Addr;
  /** {@link LEAD} bytes: the record that the last piece to be found ends in. */
  readonly rest: Addr;
  /** A line for each slot, then for each slot and processor where its rows begin, end, and where the next one goes. */
  readonly words: Addr;
  /** For each slot: rows as they were found, and again in the order of their processors. */
  readonly rows: Addr;
  /** For each slot: room in front, the piece, and room for frames. */
  readonly pieces: Addr;
}

export type Sizes = Pick<Geometry, 'processors' | 'piece' | 'slots'>;

/** Bytes of a piece. */
export function pieceFor(processors: number): number {
  return processors <= FEW ? PIECE.few : PIECE.many;
}

/** @param piece bytes of one */
export function sizesFor(processors: number, share: Share, piece: number): Sizes {
  return {
    processors,
    piece: lines(piece),
    slots: share === 'flow' ? processors + SPARE_SLOTS : share === 'piece' ? processors : 1,
  };
}

/** Most packets of a piece: records without any bytes, and what the piece before left. */
const slotRows = ({ piece }: Sizes) => piece / 16 + 16;
/** Bytes for frames that are not in the piece. */
const scratch = ({ piece }: Sizes) => 3 * piece + LEAD;
const slotBytes = (sizes: Sizes) => LEAD + sizes.piece + scratch(sizes);
const lines = (bytes: number) => Math.ceil(bytes / LINE) * LINE;
const slotWords = ({ processors }: Sizes) => SLOT.words + lines(3 * 4 * processors);

/** Bytes of each part. */
export function bytesOf(sizes: Sizes) {
  const { processors, slots } = sizes;
  return {
    control: CONTROL.processors + processors * PROCESSOR.size,
    chain: CHAIN.size,
    rest: LEAD,
    words: slots * slotWords(sizes),
    rows: slots * 2 * slotRows(sizes) * ROW.size,
    pieces: slots * slotBytes(sizes),
  };
}

export function pieceAddr(geometry: Geometry, slot: number): Addr {
  return (geometry.pieces + slot * slotBytes(geometry) + LEAD) as Addr;
}
/** Where frames go that are not in a slot's piece as they are, and where that ends. */
export function scratchOf(
  geometry: Geometry,
  slot: number,
): { readonly start: number; readonly end: number } {
  const start = pieceAddr(geometry, slot) + geometry.piece;
  return { start, end: start + scratch(geometry) };
}
/** A slot's rows as they are found. */
export function rowsOf(geometry: Geometry, slot: number): { readonly start: number; readonly end: number } {
  const bytes = slotRows(geometry) * ROW.size;
  const start = geometry.rows + slot * 2 * bytes;
  return { start, end: start + bytes };
}
/** Where they are again in the order of their processors. */
export function sortedOf(geometry: Geometry, slot: number): number {
  return rowsOf(geometry, slot).end;
}
/** Address of a slot's word. */
export function slotWord(geometry: Geometry, slot: number, word: number): number {
  return geometry.words + slot * slotWords(geometry) + word;
}
/** Addresses of a word for each processor, one behind the other: where its rows in a slot begin, end, and where the next one goes. */
export function columnsOf(geometry: Geometry, slot: number) {
  const first = slotWord(geometry, slot, SLOT.words);
  const { processors } = geometry;
  return { begins: first, ends: first + 4 * processors, counts: first + 8 * processors };
}
export function processorWord({ control }: Geometry, cpu: number, word: number): number {
  return control + CONTROL.processors + cpu * PROCESSOR.size + word;
}

/** A number of 53 bits in two words. */
export function readLong(memory: Memory, at: number): number {
  return memory.readU32(at) + memory.readU32(at + 4) * 2 ** 32;
}
export function writeLong(memory: Memory, at: number, value: number): void {
  memory.writeU32(at, value >>> 0);
  memory.writeU32(at + 4, Math.floor(value / 2 ** 32));
}
