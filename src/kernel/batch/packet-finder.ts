/**
 * Finds the packets of a capture in the pieces that it is read in, which lie in the kernel's memory: many at once where they
 * are simply one behind the other, one at a time through the capture's reader where they are not.
 */
import {
  type CaptureFormat,
  type CaptureInterface,
  CaptureReader,
  FrameConverter,
  MAX_PACKET,
} from '../../pcap/index.ts';
import type { Addr, Memory } from '../memory/index.ts';
import type { ScanFunctions } from './module.ts';
import { ROW } from './row.ts';
import { INTERFACES, type ScanLayout, Scanner, scanLayout } from './scan-layout.ts';

/** Bytes in front of a piece for the record that the piece before ended in. */
export const LEAD = MAX_PACKET + 4096;

/** A packet that the reader found: an Ethernet frame, copied. */
export interface FoundFrame {
  readonly data: Uint8Array;
  /** The capture has only a part of it. */
  readonly cut: boolean;
}

export class PacketFinder {
  readonly #memory: Memory;
  readonly #reader: CaptureReader;
  readonly #frames: FrameConverter;
  readonly #limits: Addr;
  readonly #scanner: Scanner;
  /** Bytes of the capture that were not looked at yet. */
  #at = 0;
  #end = 0;
  /** The memory that the reader looks at; another one after it has grown. */
  #seen: Uint8Array | undefined;
  /** The reader has its own copy of what comes next, up to the end of the piece. */
  #apart = false;
  #packets = 0;

  /** @param name of the capture, for messages @param box words that scanning leaves */
  constructor(memory: Memory, functions: ScanFunctions, name: string, box: Addr) {
    this.#memory = memory;
    this.#reader = new CaptureReader(name);
    this.#frames = new FrameConverter(name);
    this.#limits = memory.allocate(INTERFACES * 4, {
      kind: 'kernel',
      owner: 'interfaces of a capture',
      access: 'none',
    });
    this.#scanner = new Scanner(memory, functions, this.#limits, box);
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
  /** Packets that were found. */
  get packets(): number {
    return this.#packets;
  }
  /** How packets are found that are one behind the other; `undefined` before that is known, and where none can be. */
  get layout(): ScanLayout | undefined {
    return this.#scanner.layout;
  }
  /** Bytes at the end of the piece that the next one goes on from; `undefined` where they are kept apart from it. */
  get rest(): number | undefined {
    const rest = this.#reader.piece?.length;
    return rest !== undefined && rest <= LEAD ? rest : undefined;
  }
  /** Where the piece goes on, where the reader has no copy of it. */
  get at(): number {
    return this.#at;
  }
  /** Whether the piece has nothing more. */
  get empty(): boolean {
    return this.#at === this.#end;
  }

  /** Takes the capture's next piece, which is at an address; there are {@link LEAD} bytes in front of it. */
  begin(piece: Addr, size: number): void {
    const rest = this.#reader.piece;
    if (rest === undefined || rest.length > LEAD) {
      this.#reader.feed(this.#memory.read(piece, size));
      this.#apart = true;
      return;
    }
    this.#at = piece - rest.length;
    this.#end = piece + size;
    this.#memory.write(this.#at as Addr, rest);
    this.#look();
  }

  /**
   * Goes on behind what others have found.
   * @param at where the bytes are that come next, up to `end`
   * @param offset of the first of them in the capture
   * @param packets that were found in front of it
   */
  resume(at: Addr, end: number, offset: number, packets: number): void {
    this.#reader.pass(offset - this.#reader.offset, packets - this.#packets);
    this.#packets = packets;
    this.#at = at;
    this.#end = end;
    this.#look();
  }

  /** Gives the reader the bytes that were not looked at, in the memory as it is. */
  #look(): void {
    this.#seen = this.#memory.u8;
    this.#reader.replace(this.#memory.window(this.#at as Addr, this.#end - this.#at));
  }

  /** To be called after what may have made the memory grow. */
  refresh(): void {
    if (!this.#apart && this.#memory.u8 !== this.#seen) this.#look();
  }

  /**
   * Finds packets that are one behind the other.
   * @returns the end of their rows; where it is not `rowsEnd`, {@link next} finds what is next
   */
  find(rows: number, rowsEnd: number): number {
    if (this.#apart || this.#scanner.layout === undefined) return rows;
    const end = this.#scanner.find(this.#at, this.#end, rows, rowsEnd);
    const { at } = this.#scanner;
    const packets = (end - rows) / ROW.size;
    this.#reader.pass(at - this.#at, packets);
    this.#packets += packets;
    this.#at = at;
    return end;
  }

  /** The next packet by the reader; `undefined` at the end of the piece. */
  next(): FoundFrame | undefined {
    const packet = this.#reader.next();
    if (packet === undefined) {
      this.#apart = false;
      this.#at = this.#end;
    } else if (!this.#apart) this.#at = this.#end - this.#reader.piece!.length;
    const { layout } = this.#reader;
    this.#scanner.use(layout && scanLayout(layout));
    if (packet === undefined) return undefined;
    this.#packets++;
    return {
      data: new Uint8Array(this.#frames.frame(packet)),
      cut: packet.originalLength > packet.data.length,
    };
  }

  /** Says that no piece follows. @throws InputError when the capture is empty or ends inside a record */
  finish(): void {
    // An empty capture has not been looked at yet.
    this.#reader.next();
    this.#reader.end();
  }

  close(): void {
    this.#memory.free(this.#limits);
  }
}
