/** A row of the table that a batch works on: a packet, and what the program made of it. Offsets in bytes. */
export const ROW = {
  /** Where the packet's bytes are. */
  addr: 0,
  /** How many there are; {@link CUT} is set in it where the packet had more on the wire. */
  length: 4,
  /** r0's low half. */
  verdict: 8,
  /** Bytes of the packet as the program left it. */
  left: 12,
  size: 16,
} as const;

export const CUT = 0x8000_0000;
export const LENGTH = 0x7fff_ffff;

/** Words that a batch's functions leave for the host, by their offset. */
export const BOX = {
  /** Where finding packets ended. */
  at: 0,
  /** Packets of the counted rows of which the capture has only a part. */
  cut: 4,
  /** Of socket filters: packets kept whole, trimmed and dropped, and the bytes kept and cut off. */
  kept: 8,
  trimmed: 12,
  dropped: 16,
  bytesKept: 20,
  bytesCut: 24,
  /** Verdicts that have no counter of their own. */
  others: 28,
  /** A counter for each verdict below {@link COUNTED}. */
  verdicts: 32,
  size: 32 + 4 * 64,
} as const;

/** Verdicts from 0 on that are counted; what is behind them is looked at one by one. */
export const COUNTED = 64;
