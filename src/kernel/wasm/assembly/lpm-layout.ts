/**
 * Where an LPM trie stands in memory, for both sides: this file is AssemblyScript and TypeScript. Offsets in bytes; words of 32
 * bits.
 */

// Behind `MAP_KIND` of the map.

export const LPM_ROOT = 4;
export const LPM_LOCK = 8;
/** Prefixes in it. */
export const LPM_COUNT = 12;
export const LPM_MAX_ENTRIES = 16;
/** Bytes of a key's data. */
export const LPM_DATA_SIZE = 20;
export const LPM_VALUE_SIZE = 24;
/** Of the value in a node. */
export const LPM_VALUE_OFFSET = 28;
/** Nodes that were removed, linked by `LPM_NEXT`: the first is the next to be used, the last the last that was removed. */
export const LPM_FREE_FIRST = 32;
export const LPM_FREE_LAST = 36;
export const LPM_FREE_COUNT = 40;
/** Nodes that were never used: the first, and how many there are behind each other. */
export const LPM_FRESH = 44;
export const LPM_FRESH_COUNT = 48;
/** How often a node was used again: who looks meanwhile may have been led astray. */
export const LPM_RECYCLED = 52;
/** Bytes from a node to the next. */
export const LPM_STRIDE = 56;

/**
 * Where a lookup begins, by the key's first byte; 0 while there are few nodes. `INDEX_STRIDE` bytes each: the first node on the
 * way that is `INDEX_BITS` long or longer, and the longest prefix above it that has a value.
 */
export const LPM_INDEX = 60;
/** Bytes of all this. */
export const LPM_HEADER = 64;

export const INDEX_BITS = 8;
export const INDEX_STRIDE = 8;
export const INDEX_SIZE = 2048;

// A node. The key's data is behind this where it is more than the 4 bytes of `LPM_WORD`; then the value, on 8 bytes.

/** Length of the prefix in bits. */
export const LPM_BITS = 0;
/** The first 32 bits of the data, as a number. */
export const LPM_WORD = 4;
export const LPM_CHILD0 = 8;
export const LPM_CHILD1 = 12;
/** 1 where the node has a value; 0 where it only says where two others part. */
export const LPM_VALUED = 16;
/** In a node that is in no trie. */
export const LPM_NEXT = 20;
export const LPM_DATA = 24;

/** Bytes of a key before its data: the prefix's length in bits. */
export const LPM_KEY_DATA = 4;
