/** Runs one program over a capture, many packets at once. */
import type { CaptureCounts, CaptureRun, ParallelRun } from '../../kernel/index.ts';
import type { CaptureInput } from './input.ts';
import type { Progress } from './progress.ts';
import { emptyTally, type Tally, TURN } from './tally.ts';
import type { PacketType } from './verdicts.ts';

export interface BatchedRun {
  readonly capture: CaptureRun | ParallelRun;
  readonly input: CaptureInput;
  readonly progress: Progress;
  /** Asked now and then. */
  readonly interrupted: () => boolean;
}

/**
 * Runs until the capture's end, or until the user interrupts.
 * @returns milliseconds from the first read to the last verdict
 */
export async function runBatches({ capture, input, progress, interrupted }: BatchedRun): Promise<number> {
  // Threads take a while to start.
  await capture.ready();
  const begin = performance.now();
  let turned = begin;
  /** Signals get their turn. @returns whether to go on */
  const goOn = async (): Promise<boolean> => {
    if (performance.now() - turned >= TURN) {
      progress.update(capture.counts.packets, capture.offset);
      await new Promise((resolve) => setImmediate(resolve));
      turned = performance.now();
    }
    return !interrupted();
  };
  const giveUp = async (): Promise<number> => {
    if ('abort' in capture) await capture.abort();
    return performance.now() - begin;
  };
  if ('reads' in capture && capture.reads) {
    while (!(await capture.runFor(TURN))) if (!(await goOn())) return giveUp();
    await capture.end();
    return performance.now() - begin;
  }
  for (;;) {
    const room = capture.ready();
    if (room) await room;
    if (!input.immediate) await input.wait();
    const size = input.read(capture.space());
    if (size === 0) break;
    capture.filled(size);
    while (!capture.work(turned + TURN)) if (!(await goOn())) return giveUp();
    if (!(await goOn())) return giveUp();
  }
  await capture.end();
  return performance.now() - begin;
}

/** What was counted, in the words of the program's type. */
export function tallyOf(counts: CaptureCounts, type: PacketType): Tally {
  const tally = { ...emptyTally(), packets: counts.packets, duration: counts.nanoseconds };
  for (const [retval, packets] of counts.verdicts) {
    const { name } = type.verdict(retval, 0);
    tally.verdicts.set(name, (tally.verdicts.get(name) ?? 0) + packets);
  }
  for (const [name, packets] of [
    ['KEEP', counts.kept],
    ['TRIM', counts.trimmed],
    ['DROP', counts.dropped],
  ] as const) {
    if (packets > 0) tally.verdicts.set(name, (tally.verdicts.get(name) ?? 0) + packets);
  }
  return {
    ...tally,
    refused: new Map(counts.refused),
    bytesKept: counts.bytesKept,
    bytesCut: counts.bytesCut,
    cutAtCapture: counts.cutAtCapture,
  };
}
