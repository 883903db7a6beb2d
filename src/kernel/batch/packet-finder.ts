/**
 * Finds the packets of a capture in the pieces that it is read in, which lie in the kernel's memory: many at once where they
 * are simply one behind the other, one at a time through the capture's reader where they are not.
 */
import {
  type CaptureFormat,
  type CaptureInterface,
  CaptureReader,
  FrameConverter,
  frameConversion,
  MAX_PACKET,
  packetLimit,
  type RecordLayout,
} from '../../pcap/index.ts';
import type { Addr, Memory } from '../memory/index.ts';
import type { ScanFunctions } from './module.ts';
import { BOX, ROW } from './row.ts';

/** Bytes in front of a piece for the record that the piece before ended in. */
export const LEAD = MAX_PACKET + 4096;
const INTERFACES = 64;

/** A packet that the reader found: an Ethernet frame, copied. */
export interface FoundFrame {
  readonly data: Uint8Array;
  /** The capture has only a part of it. */
  readonly cut: boolean;
}

/** Writes rows up to an end. @returns the end of those that it wrote */
type Scan = (rows: number, rowsEnd: number) => number;

export class PacketFinder {
  readonly #memory: Memory;
  readonly #functions: ScanFunctions;
  readonly #reader: CaptureReader;
  readonly #frames: FrameConverter;
  readonly #box: Addr;
  readonly #limits: Addr;
  /** Bytes of the capture that were not looked at yet. */
  #at = 0;
  #end = 0;
  /** The memory that the reader looks at; another one after it has grown. */
  #seen: Uint8Array | undefined;
  /** The reader has its own copy of what comes next, up to the end of the piece. */
  #apart = false;
  /** `undefined` where the reader has to find packets. */
  #scan: Scan | undefined;

  /** @param name of the capture, for messages @param box words that scanning leaves */
  constructor(memory: Memory, functions: ScanFunctions, name: string, box: Addr) {
    this.#memory = memory;
    this.#functions = functions;
    this.#reader = new CaptureReader(name);
    this.#frames = new FrameConverter(name);
    this.#box = box;
    this.#limits = memory.allocate(INTERFACES * 4, {
      kind: 'kernel',
      owner: 'interfaces of a capture',
      access: 'none',
    });
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
    if (this.#apart || this.#scan === undefined) return rows;
    const end = this.#scan(rows, rowsEnd) >>> 0;
    const at = this.#memory.readU32(this.#box + BOX.at);
    this.#reader.pass(at - this.#at, (end - rows) / ROW.size);
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
    this.#scan = layout && this.#scanOf(layout);
    if (packet === undefined) return undefined;
    return {
      data: new Uint8Array(this.#frames.frame(packet)),
      cut: packet.originalLength > packet.data.length,
    };
  }

  /** How packets of a layout are found, unless none can be. */
  #scanOf({ format, littleEndian, interfaces }: RecordLayout): Scan | undefined {
    const limits = interfaces.slice(0, INTERFACES).map(({ linkType }) => {
      return frameConversion(linkType) === undefined ? packetLimit(linkType) + 1 : 0;
    });
    if (limits.every((limit) => limit === 0)) return undefined;
    const box = this.#box;
    const functions = this.#functions;
    if (format === 'pcap') {
      const scan = littleEndian ? functions.scanPcap : functions.scanPcapSwapped;
      return (rows, rowsEnd) => scan(this.#at, this.#end, rows, rowsEnd, limits[0]! - 1, box);
    }
    for (const [id, limit] of limits.entries()) this.#memory.writeU32(this.#limits + 4 * id, limit);
    const scan = littleEndian ? functions.scanPcapng : functions.scanPcapngSwapped;
    return (rows, rowsEnd) => scan(this.#at, this.#end, rows, rowsEnd, this.#limits, limits.length, box);
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
