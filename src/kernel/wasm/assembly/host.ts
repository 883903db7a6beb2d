/** What the host does for these functions. */

/** Gives a map more elements. @returns 0 when there is no memory for them */
export declare function grow(map: u32): u32;

/** Lets go of what the special fields of an element's values hold; the element is in no bucket. */
export declare function release(map: u32, element: u32): void;

/** 1 where a thread may sleep while it waits for another, 0 on a page's main thread. */
export declare const mayWait: u32;

/** Tells who waits for a ring buffer's records that there is one. */
export declare function wake(map: u32): void;

/** The monotonic clock, in nanoseconds. */
export declare function now(): f64;

/** 32 random bits, where they don't come from the generator. */
export declare function random(): u32;

/** Operations on maps that are not kept in WebAssembly. */
export declare function map_lookup(map: u32, key: u32): u32;
export declare function map_update(map: u32, key: u32, value: u32, flags: u32): i32;
export declare function map_delete(map: u32, key: u32): i32;
