/**
 * Where queues, stacks and Bloom filters stand in memory, for both sides: this file is AssemblyScript and TypeScript. Offsets
 * in bytes; words of 32 bits.
 */

// Behind `MAP_KIND` of a queue or a stack.

export const QUEUE_LOCK = 4;
/** The values, one behind the other. */
export const QUEUE_VALUES = 8;
export const QUEUE_VALUE_SIZE = 12;
export const QUEUE_MAX_ENTRIES = 16;
/** Number of the oldest value, and how many there are. */
export const QUEUE_FIRST = 20;
export const QUEUE_COUNT = 24;
/** 1 where the newest value is taken first. */
export const QUEUE_IS_STACK = 28;
/** Bytes of all this. */
export const QUEUE_HEADER = 32;

// Behind `MAP_KIND` of a Bloom filter.

export const BLOOM_SET = 4;
/** Bits less 1; a power of two of them. */
export const BLOOM_MASK = 8;
export const BLOOM_HASHES = 12;
export const BLOOM_SEED = 16;
export const BLOOM_VALUE_SIZE = 20;
/** Bytes of all this. */
export const BLOOM_HEADER = 24;
