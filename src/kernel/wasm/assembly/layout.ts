/**
 * Where things stand in memory, for both sides: this file is AssemblyScript and TypeScript. Offsets in bytes; words of 32
 * bits unless they say otherwise.
 */

// What every map begins with, at the address that programs have of it.

/** What the map is, one of `KIND_...`. */
export const MAP_KIND = 0;

/** A map that only the host knows how to look into. */
export const KIND_HOST = 0;
export const KIND_HASH = 1;
export const KIND_PERCPU_HASH = 2;
export const KIND_LRU_HASH = 3;
export const KIND_LRU_PERCPU_HASH = 4;
export const KIND_ARRAY = 5;
export const KIND_PERCPU_ARRAY = 6;
/** Its values are addresses of maps, a word each; programs look them up. */
export const KIND_ARRAY_OF_MAPS = 7;
export const KIND_HASH_OF_MAPS = 8;

// A hash map.

/**
 * One word for each bucket: the first element, or 0; its lowest bit is the bucket's lock. A power of two of them.
 * The last element of a chain is followed by the number of its bucket, shifted left, with the lowest bit set: who came there
 * while elements were moved sees that it is in another chain than the one that it looked through.
 */
export const HASH_BUCKETS = 4;
export const HASH_MASK = 8;
export const HASH_SEED = 12;
export const HASH_KEY_SIZE = 16;
/** Of the value in an element. */
export const HASH_VALUE_OFFSET = 20;
export const HASH_VALUE_SIZE = 24;
/** From one CPU's value to the next one's. */
export const HASH_VALUE_STRIDE = 28;
/** Values of an element: 1, or one for each CPU. */
export const HASH_SLOTS = 32;
export const HASH_MAX_ENTRIES = 36;
/** Elements in the buckets, where they are not preallocated. */
export const HASH_COUNT = 40;
/** Bits, `HASH_IS_...`. */
export const HASH_FLAGS = 44;
/** `FREE_STRIDE` bytes for each CPU: elements that are in no bucket. */
export const HASH_FREE = 48;
export const HASH_CPUS = 52;
/** The special fields of a value, in order: offset and size of each. */
export const HASH_FIELDS = 56;
export const HASH_FIELD_COUNT = 60;
/** Of the lock in a value. */
export const HASH_LOCK_OFFSET = 64;
/** A word for each CPU: the element that its next replacement goes into. */
export const HASH_SPARES = 68;
/** The lists of an LRU map. */
export const HASH_LRU = 72;
/** Of an LRU map: elements that a CPU takes at once, and how many it looks at for them. */
export const HASH_LRU_TARGET = 76;
export const HASH_LRU_SCANS = 80;
/** Preallocated elements that were never used: the first, and where they end. */
export const HASH_FRESH = 84;
export const HASH_FRESH_END = 88;
/** From one element to the next. */
export const HASH_STRIDE = 92;
/** Bytes of all this. */
export const HASH_HEADER = 96;

export const HASH_IS_PREALLOCATED = 1;
/** What special fields of values hold has to be let go when the values end. */
export const HASH_IS_RELEASED = 2;
export const HASH_IS_LOCKED = 4;
/** CPUs have LRU lists of their own. */
export const HASH_IS_SPLIT = 8;

// An array. The value's size, the number of entries, flags, CPUs, fields and lock stand where a hash map has them.

/** Values, or words, by index. */
export const ARRAY_VALUES = 4;
export const ARRAY_STRIDE = 8;
/** From one CPU's values to the next one's. */
export const ARRAY_CPU_STRIDE = 12;
export const ARRAY_HEADER = 72;

/** First of the free elements, linked by their second word; and the list's lock. */
export const FREE_FIRST = 0;
export const FREE_LOCK = 4;
/** A cache line. */
export const FREE_STRIDE = 64;

// An element of a hash map. The key is behind this, the value or values behind the key.

export const ELEM_NEXT = 0;
/** Of the key; in a free element the next free one. */
export const ELEM_HASH = 4;
export const ELEM_SIZE = 8;

// The same of an LRU map.

export const LRU_NEXT = 8;
export const LRU_PREV = 12;
/** A byte, one of `LRU_...`. */
export const LRU_STATE = 16;
/** A byte: used since the mark was last taken away. */
export const LRU_MARK = 17;
/** 16 bits: whose lists it is in. */
export const LRU_CPU = 18;
export const LRU_ELEM_SIZE = 24;

export const LRU_ACTIVE = 0;
export const LRU_INACTIVE = 1;
export const LRU_FREE = 2;
export const LRU_LOCAL_FREE = 3;
export const LRU_PENDING = 4;

// Lists of an LRU map that all CPUs share, or those of one CPU. A list is a ring; its head is a node as the elements are.

export const LISTS_ACTIVE = 0;
export const LISTS_INACTIVE = 16;
export const LISTS_FREE = 32;
export const LISTS_ACTIVE_COUNT = 48;
export const LISTS_INACTIVE_COUNT = 52;
/** Where the next rotation of the inactive list begins. */
export const LISTS_ROTATION = 56;
export const LISTS_LOCK = 60;

// A CPU's stock of free elements and those that it put in lately; behind the lists that all share.

export const LOCAL_FREE = 0;
export const LOCAL_PENDING = 16;
/** The CPU that is robbed first when all else is empty. */
export const LOCAL_STEAL = 32;
export const LOCAL_LOCK = 36;

/** Bytes of lists, of either kind. */
export const LISTS_STRIDE = 64;
