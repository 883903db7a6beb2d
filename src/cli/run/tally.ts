/** What a run has counted. */
export interface Tally {
  /** Packets run. */
  packets: number;
  /** Packets by verdict. */
  readonly verdicts: Map<string, number>;
  /** Packets that the kernel would not run, by its reason. */
  readonly refused: Map<string, number>;
  /** Bytes that socket filters kept and cut off. */
  bytesKept: number;
  bytesCut: number;
  /** Packets of which the capture holds only a part. */
  cutAtCapture: number;
  /** Nanoseconds of all runs, by the kernel's clock. */
  duration: number;
}

/** Milliseconds after which signals get their turn. */
export const TURN = 50;

export function emptyTally(): Tally {
  return {
    packets: 0,
    verdicts: new Map(),
    refused: new Map(),
    bytesKept: 0,
    bytesCut: 0,
    cutAtCapture: 0,
    duration: 0,
  };
}
