/** What `npm run bench` measures: the programs of `bench/`, and what their maps hold. */
import type { LoadedObject } from '../src/loader/index.ts';
import type { Kernel } from '../src/sys/index.ts';

export interface Row {
  readonly name: string;
  readonly object: BenchObject;
  /** Counts for the geometric mean against Linux. */
  readonly compute?: true;
  /** There is a native form. */
  readonly native?: true;
  /** Operations of one run, where the figure is of one of them. */
  readonly per?: number;
  /** The row that does all but the operation: it is subtracted in place of an empty program. */
  readonly loop?: string;
  /** Fills a ring buffer, which is emptied every so many runs. */
  readonly fills?: number;
  /** The figure's name: nanoseconds of one operation, without the loop. */
  readonly figure?: string;
}

export type BenchObject = 'compute' | 'tail' | 'helper' | 'maps';

const compute = (name: string): Row => ({ name, object: 'compute', compute: true, native: true });
const helper = (name: string, figure?: string): Row => ({
  name,
  object: 'helper',
  per: 256,
  ...(figure !== undefined && { figure }),
});
const map = (name: string, figure?: string, loop = 'keyloop'): Row => ({
  name,
  object: 'maps',
  per: 256,
  loop,
  ...(figure !== undefined && { figure }),
});
const wide = (name: string, figure?: string): Row => map(name, figure, 'wideloop');

/** Runs that the ring buffer of 1 MiB has room for: 256 records of 72 bytes each. */
const RING_RUNS = 48;

export const ROWS: readonly Row[] = [
  { name: 'parse', object: 'compute', native: true },
  ...['checksum', 'muldiv', 'alu', 'sieve', 'fnv', 'jhash', 'siphash', 'copycmp', 'machine'].map(compute),
  { name: 'calls', object: 'compute', native: true },
  { name: 'tailcalls', object: 'tail', per: 33, figure: 'tailcall_ns' },
  helper('helpers', 'helper_ns'),
  helper('random_numbers', 'prandom_ns'),
  helper('clock', 'ktime_ns'),
  helper('hostcalls', 'host_call_ns'),
  { name: 'keyloop', object: 'maps', per: 256 },
  { name: 'wideloop', object: 'maps', per: 256 },
  map('array_cell', 'array_ns'),
  map('percpu_cell', 'percpu_array_ns'),
  map('hash4', 'hash4_ns'),
  map('hash4_hot', 'hash4_hot_ns'),
  map('hash4_miss', 'hash4_miss_ns'),
  map('hash4_update', 'hash4_update_ns'),
  map('hash4_insert_delete', 'hash4_insert_delete_ns'),
  wide('hash16', 'hash16_ns'),
  wide('hash16_hot', 'hash16_hot_ns'),
  wide('hash16_miss', 'hash16_miss_ns'),
  wide('hash16_update', 'hash16_update_ns'),
  wide('hash16_insert_delete', 'hash16_insert_delete_ns'),
  map('lru_hit', 'lru_ns'),
  map('lru_evict', 'lru_evict_ns'),
  map('lpm', 'lpm_ns'),
  { ...map('ring_reserve', 'ring_ns'), fills: RING_RUNS },
  map('queue_push_pop', 'queue_ns'),
];

/** A row of a few nanoseconds says little about a ratio: what is subtracted is larger. */
export const TOO_SHORT: ReadonlySet<string> = new Set(['parse']);

/** As `bench/maps.c` has it. */
const ENTRIES = 10_000;
/** Lengths of prefixes, about as often as a router has them. */
const LENGTHS = [8, 16, 16, 16, 19, 20, 20, 22, 22, 23, 24, 24, 24, 24, 24, 24];

/** A TCP segment of 64 bytes for the parser, and bytes of a generator for the others. */
export function packetOf(row: Row): Uint8Array {
  const packet = new Uint8Array(row.name === 'parse' ? 64 : 1024);
  const random = generator(12345);
  for (let i = 0; i < packet.length; i++) packet[i] = random() >>> 16;
  if (row.name === 'parse') {
    packet.set([0x08, 0x00, 0x45], 12);
    packet[23] = 6;
    packet[47] = 0x10;
  }
  return packet;
}

function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state;
  };
}

/** Puts 10,000 entries into the maps of `bench/maps.o`; into those with room for more, too. */
export function fillMaps(kernel: Kernel, object: LoadedObject): void {
  const put = (map: string, key: Uint32Array, value: number) =>
    kernel.bpf.map_update_elem({
      map_fd: object.map(map).fd,
      key: new Uint8Array(key.buffer),
      value: new Uint8Array(BigUint64Array.of(BigInt(value)).buffer),
    });
  for (let n = 0; n < ENTRIES; n++) {
    for (const map of ['numbers', 'roomy', 'lately', 'full']) put(map, Uint32Array.of(n), n);
    for (const map of ['wides', 'roomy_wides']) put(map, wideKey(n), n);
  }
  const random = generator(99);
  const seen = new Set<string>();
  for (put('routes', Uint32Array.of(0, 0), 1); seen.size < ENTRIES - 1; ) {
    const bits = LENGTHS[random() >>> 28]!;
    // The address is in the network's order: its first byte is the low one.
    const address = byteSwapped(byteSwapped(random()) & (-1 << (32 - bits)));
    if (seen.has(`${bits} ${address}`)) continue;
    seen.add(`${bits} ${address}`);
    put('routes', Uint32Array.of(bits, address), seen.size);
  }
}

/** As `wide_of` in `bench/maps.c`. */
function wideKey(number: number): Uint32Array {
  return Uint32Array.of(number, number ^ 0x5a5a, 7, ~number);
}

function byteSwapped(word: number): number {
  return ((word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff_0000) | (word << 24)) >>> 0;
}
