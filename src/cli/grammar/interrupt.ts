import type { Io } from '../io.ts';

/** The longest that a timer waits. */
const LONGEST = 0x7fff_ffff;

/** Waits until the user interrupts or goes away, or for so many milliseconds. The process stays alive meanwhile. */
export function waitForInterrupt(io: Io, milliseconds = LONGEST): Promise<void> {
  return new Promise((done) => {
    // It may call back at once.
    let stop = (): void => {};
    const end = (): void => {
      clearTimeout(timer);
      stop();
      done();
    };
    const timer = setTimeout(end, Math.min(milliseconds, LONGEST));
    stop = io.onInterrupt(end);
  });
}
