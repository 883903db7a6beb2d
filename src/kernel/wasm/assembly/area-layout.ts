/**
 * Words in the area of a processor that helpers use, for both sides: this file is AssemblyScript and TypeScript. Offsets in
 * bytes; words of 32 bits unless they say otherwise.
 */

/** Reads of the clock that the time is good for. */
export const AREA_READS = 12;
/** The clock as it was last looked at, in nanoseconds: 64 bits. */
export const AREA_TIME = 16;
/** The state of the random generator: three words and a counter. */
export const AREA_RANDOM = 24;
/** 1 where random numbers come from the host, not from the generator. */
export const AREA_IS_GIVEN = 40;
/** Where all this ends. */
export const AREA_WORDS = 44;
