/** How packets that lie one behind the other are found: which function does it, and what it has to be told. */
import { type CaptureFormat, frameConversion, packetLimit, type RecordLayout } from '../../pcap/index.ts';
import type { Addr, Memory } from '../memory/index.ts';
import type { ScanFunctions } from './module.ts';
import { BOX } from './row.ts';

/** Interfaces of a capture whose packets are found so; those of others are looked at one by one. */
export const INTERFACES = 64;

/** The functions, by format and byte order. */
export const SCANS = [
  { format: 'pcap', littleEndian: true, name: 'scanPcap' },
  { format: 'pcap', littleEndian: false, name: 'scanPcapSwapped' },
  { format: 'pcapng', littleEndian: true, name: 'scanPcapng' },
  { format: 'pcapng', littleEndian: false, name: 'scanPcapngSwapped' },
] as const satisfies readonly {
  readonly format: CaptureFormat;
  readonly littleEndian: boolean;
  readonly name: keyof ScanFunctions;
}[];

export interface ScanLayout {
  /** Index into {@link SCANS}. */
  readonly scan: number;
  /** One more than the most bytes of a packet, for each interface; 0 has its packets looked at one by one. */
  readonly limits: readonly number[];
}

/** How packets of a layout are found, unless all have to be looked at one by one. */
export function scanLayout({ format, littleEndian, interfaces }: RecordLayout): ScanLayout | undefined {
  const limits = interfaces.slice(0, INTERFACES).map(({ linkType }) => {
    return frameConversion(linkType) === undefined ? packetLimit(linkType) + 1 : 0;
  });
  if (limits.every((limit) => limit === 0)) return undefined;
  const scan = SCANS.findIndex((each) => each.format === format && each.littleEndian === littleEndian);
  return { scan, limits };
}

export class Scanner {
  readonly #memory: Memory;
  readonly #functions: ScanFunctions;
  /** Where the limits are. */
  readonly #limits: Addr;
  readonly #box: Addr;
  #layout: ScanLayout | undefined;

  /** @param limits room for {@link INTERFACES} words @param box words that scanning leaves */
  constructor(memory: Memory, functions: ScanFunctions, limits: Addr, box: Addr) {
    this.#memory = memory;
    this.#functions = functions;
    this.#limits = limits;
    this.#box = box;
  }

  /** `undefined` where packets can't be found so. */
  get layout(): ScanLayout | undefined {
    return this.#layout;
  }

  use(layout: ScanLayout | undefined): void {
    this.#layout = layout;
    for (const [id, limit] of layout?.limits.entries() ?? []) {
      this.#memory.writeU32(this.#limits + 4 * id, limit);
    }
  }

  /** Writes rows up to an end. @returns the end of those that it wrote; see {@link at} */
  find(at: number, end: number, rows: number, rowsEnd: number): number {
    const { scan, limits } = this.#layout!;
    const { format, name } = SCANS[scan]!;
    return format === 'pcap'
      ? this.#functions[name as 'scanPcap'](at, end, rows, rowsEnd, limits[0]! - 1, this.#box) >>> 0
      : this.#functions[name as 'scanPcapng'](
          at,
          end,
          rows,
          rowsEnd,
          this.#limits,
          limits.length,
          this.#box,
        ) >>> 0;
  }

  /** Where {@link find} ended. */
  get at(): number {
    return this.#memory.readU32(this.#box + BOX.at);
  }

  /** Whether what is at an address is nothing but a packet's record of which the end is to come yet. */
  begins(at: number, end: number): boolean {
    const { scan, limits } = this.#layout!;
    const { format, littleEndian } = SCANS[scan]!;
    const { view } = this.#memory;
    const word = (offset: number) => view.getUint32(at + offset, littleEndian);
    const left = end - at;
    if (format === 'pcap') {
      if (left < RECORD_HEADER) return true;
      const captured = word(8);
      return captured < limits[0]! && left - RECORD_HEADER < captured;
    }
    if (left < BLOCK_HEADER) return true;
    const size = word(4);
    return word(0) === ENHANCED_PACKET && size >= LEAST_BLOCK && size % 4 === 0 && left < size;
  }
}

/** Of pcap and of pcapng. Bytes. */
export const RECORD_HEADER = 16;
const BLOCK_HEADER = 8;
/** The type of pcapng's packet blocks, and the bytes of one without any packet. */
export const ENHANCED_PACKET = 6;
export const LEAST_BLOCK = 32;
