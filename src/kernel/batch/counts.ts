/** What a run over a capture has counted. True to the packets run so far at any time. */
import { InputError } from '../../base/error.ts';
import type { Addr, Memory } from '../memory/index.ts';
import { BOX, COUNTED, ROW } from './row.ts';

export interface CaptureCounts {
  /** Packets run. */
  readonly packets: number;
  /** By r0 as an unsigned 32-bit number, in the order in which they first came; empty for socket filters. */
  readonly verdicts: ReadonlyMap<number, number>;
  /** Of socket filters: packets kept whole, trimmed and dropped, and bytes kept and cut off. */
  readonly kept: number;
  readonly trimmed: number;
  readonly dropped: number;
  readonly bytesKept: number;
  readonly bytesCut: number;
  /** Packets that the kernel would not run, by its reason. */
  readonly refused: ReadonlyMap<string, number>;
  /** Packets run of which the capture holds only a part. */
  readonly cutAtCapture: number;
  /** Nanoseconds of all runs, by the kernel's clock. */
  readonly nanoseconds: number;
}

export class Counts implements CaptureCounts {
  packets = 0;
  readonly verdicts = new Map<number, number>();
  kept = 0;
  trimmed = 0;
  dropped = 0;
  bytesKept = 0;
  bytesCut = 0;
  readonly refused = new Map<string, number>();
  cutAtCapture = 0;
  nanoseconds = 0;

  /** Takes what a batch counted of some rows, and empties the box. @param verdicts they were counted by verdict */
  take(memory: Memory, box: Addr, row: number, end: number, verdicts: boolean): void {
    const { view } = memory;
    const word = (offset: number) => view.getUint32(box + offset, true);
    this.packets += (end - row) / ROW.size;
    this.cutAtCapture += word(BOX.cut);
    this.kept += word(BOX.kept);
    this.trimmed += word(BOX.trimmed);
    this.dropped += word(BOX.dropped);
    this.bytesKept += word(BOX.bytesKept);
    this.bytesCut += word(BOX.bytesCut);
    if (verdicts) this.#takeVerdicts(view, word, row, end);
    memory.fill(box, BOX.size, 0);
  }

  #takeVerdicts(
    view: DataView<ArrayBufferLike>,
    word: (offset: number) => number,
    row: number,
    end: number,
  ): void {
    const found: number[] = [];
    let fresh = 0;
    for (let verdict = 0; verdict < COUNTED; verdict++) {
      if (word(BOX.verdicts + 4 * verdict) === 0) continue;
      found.push(verdict);
      if (!this.verdicts.has(verdict)) fresh++;
    }
    if (fresh > 1 || word(BOX.others) > 0) this.#oneByOne(view, row, end);
    else for (const verdict of found) this.#add(verdict, word(BOX.verdicts + 4 * verdict));
  }

  /** Some verdict is new or large: in the order of the packets. */
  #oneByOne(view: DataView<ArrayBufferLike>, row: number, end: number): void {
    for (let at = row; at < end; at += ROW.size) this.#add(view.getUint32(at + ROW.verdict, true), 1);
  }

  #add(verdict: number, packets: number): void {
    this.verdicts.set(verdict, (this.verdicts.get(verdict) ?? 0) + packets);
  }

  /** Adds what was counted elsewhere. */
  add(other: CaptureCounts): void {
    this.packets += other.packets;
    for (const [verdict, packets] of other.verdicts) this.#add(verdict, packets);
    this.kept += other.kept;
    this.trimmed += other.trimmed;
    this.dropped += other.dropped;
    this.bytesKept += other.bytesKept;
    this.bytesCut += other.bytesCut;
    for (const [reason, packets] of other.refused) {
      this.refused.set(reason, (this.refused.get(reason) ?? 0) + packets);
    }
    this.cutAtCapture += other.cutAtCapture;
    this.nanoseconds += other.nanoseconds;
  }

  /** Counts one packet. */
  one(verdict: number, cut: boolean): void {
    this.packets++;
    if (cut) this.cutAtCapture++;
    this.#add(verdict, 1);
  }

  /** Counts one packet that a socket filter answered. */
  oneKept(verdict: number, length: number, cut: boolean): void {
    this.packets++;
    if (cut) this.cutAtCapture++;
    const bytes = Math.min(verdict, length);
    if (verdict === 0) this.dropped++;
    else if (verdict < length) this.trimmed++;
    else this.kept++;
    this.bytesKept += bytes;
    this.bytesCut += length - bytes;
  }

  /** Counts a packet that was not run. @throws what is no refusal of the kernel's */
  refuse(error: unknown, length: number): void {
    if (!(error instanceof InputError) || error.errno === undefined) throw error;
    this.refuseFor(length < SHORTEST ? `shorter than ${SHORTEST} bytes` : error.message);
  }

  /** Counts a packet that was not run. */
  refuseFor(reason: string): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1);
  }
}

/** Bytes of an Ethernet header, which a packet has at least. */
const SHORTEST = 14;
