/**
 * Where a ring buffer's own words stand in memory, for both sides: this file is AssemblyScript and TypeScript. Offsets in
 * bytes; words of 32 bits unless they say otherwise. The positions and the data are as user space maps them
 * (`maps/ring-pages.ts`), the records' headers as in `struct bpf_ringbuf_hdr`.
 */

// Behind `MAP_KIND` of the map.

export const RING_LOCK = 4;
/** 64 bits each: bytes since creation that were consumed, and that were reserved. By their addresses. */
export const RING_CONSUMER = 8;
export const RING_PRODUCER = 12;
export const RING_DATA = 16;
/** Bytes of the ring less 1; a power of two of them. */
export const RING_MASK = 20;
/** 64 bits: where the oldest record begins that is neither submitted nor given up. */
export const RING_PENDING = 24;
/** Not 0 where the host is told of records that ask for a wake-up. */
export const RING_WATCHED = 32;
/** Bytes of all this. */
export const RING_HEADER = 40;

// A record: its length with two bits of flags, and the address of its map, where Linux has a number of its own.

export const RECORD_LENGTH = 0;
export const RECORD_MAP = 4;
export const RECORD_HEADER = 8;
export const RECORD_BUSY = 0x80000000;
export const RECORD_DISCARDED = 0x40000000;
export const RECORD_MOST = 0x3fffffff;

export const RING_NO_WAKEUP = 1;
export const RING_FORCE_WAKEUP = 2;
