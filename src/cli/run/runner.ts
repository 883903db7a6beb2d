/** Runs one program over a capture, packet by packet. */
import { InputError } from '../../base/error.ts';
import type { LoadedProgram } from '../../loader/index.ts';
import type { Kernel } from '../../sys/index.ts';
import type { OutFile } from './out-file.ts';
import type { Progress } from './progress.ts';
import type { Frame, FrameSource } from './source.ts';
import { type Tally, TURN } from './tally.ts';
import type { PacketType } from './verdicts.ts';

/** What to run, on what, where to. */
export interface Run {
  readonly kernel: Kernel;
  readonly program: LoadedProgram;
  readonly type: PacketType;
  readonly source: FrameSource;
  readonly out: OutFile | undefined;
  readonly repeat: number;
  readonly progress: Progress;
  /** Asked between packets. */
  readonly interrupted: () => boolean;
  /** Called after each packet, to read the records that wait. */
  readonly drain: () => void;
}

/** Fills the tally; it is true to the packets run so far at any time, also when this throws. */
export async function runCapture(run: Run, tally: Tally): Promise<void> {
  let turned = performance.now();
  for (let frames = await run.source.next(); frames !== undefined; frames = await run.source.next()) {
    for (const frame of frames) {
      runFrame(run, tally, frame);
      run.drain();
      if (performance.now() - turned < TURN) continue;
      run.progress.update(tally.packets, run.source.offset);
      await new Promise((resolve) => setImmediate(resolve));
      if (run.interrupted()) return;
      turned = performance.now();
    }
    if (run.interrupted()) return;
  }
}

function runFrame(run: Run, tally: Tally, frame: Frame): void {
  const { data, packet } = frame;
  let result: { readonly retval: number; readonly duration: number; readonly data_out: Uint8Array };
  try {
    result = run.kernel.bpf.prog_test_run({
      prog_fd: run.program.fd,
      data_in: run.type.input?.(data) ?? data,
      data_size_out: data.length + ROOM,
      repeat: run.repeat,
    });
  } catch (error) {
    if (!(error instanceof InputError) || error.errno === undefined) throw error;
    count(tally.refused, `${data.length < SHORTEST ? `shorter than ${SHORTEST} bytes` : error.message}`);
    return;
  }
  tally.packets++;
  tally.duration += result.duration * run.repeat;
  if (packet.originalLength > packet.data.length) tally.cutAtCapture++;
  const verdict = run.type.verdict(result.retval, data.length);
  count(tally.verdicts, verdict.name);
  if (verdict.bytes !== undefined) {
    tally.bytesKept += verdict.bytes;
    tally.bytesCut += data.length - verdict.bytes;
  }
  if (!verdict.kept || run.out === undefined) return;
  const missing = Math.max(packet.originalLength - packet.data.length, 0);
  // A socket filter changes nothing of the packet but how much of it is seen.
  if (verdict.bytes !== undefined)
    run.out.write(frame, data.subarray(0, verdict.bytes), data.length + missing);
  else run.out.write(frame, result.data_out, result.data_out.length + missing);
}

/** An Ethernet header, which the kernels want at least. */
const SHORTEST = 14;
/** Bytes by which a program may make a packet longer: the head room and the tail room that it can claim. */
const ROOM = 4096;

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
