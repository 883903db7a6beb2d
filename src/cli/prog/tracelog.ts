import type { Call } from '../grammar/call.ts';
import { waitForInterrupt } from '../grammar/interrupt.ts';
import { attempt, Usage } from '../grammar/refusal.ts';
import { takeProgram } from '../grammar/selectors.ts';

const STREAMS = { stdout: 1, stderr: 2 } as const;
const CHUNK = 4096;

/** `prog tracelog`: the trace pipe as it comes, until interrupted; `prog tracelog stdout|stderr PROG`: what a program wrote there. */
export async function traceLog(call: Call): Promise<void> {
  const { words, out, io } = call;
  const stream = words.accept('stdout') ? 'stdout' : words.accept('stderr') ? 'stderr' : undefined;
  if (stream === undefined && words.left > 0) throw new Usage(words.near(Object.keys(STREAMS)));
  if (stream !== undefined) words.need(2);
  const world = await call.world();
  if (stream !== undefined) {
    const fd = takeProgram(call, world);
    const decoder = new TextDecoder();
    for (;;) {
      const bytes = attempt('failed to read from prog stream', () =>
        world.kernel.bpf.prog_stream_read_by_fd({ prog_fd: fd, stream_id: STREAMS[stream], size: CHUNK }),
      );
      if (bytes.length === 0) return;
      out.print(decoder.decode(bytes, { stream: true }));
    }
  }
  out.json?.startArray();
  const end = world.trace((line) => {
    if (out.json) out.json.value(`${line}\n`);
    else out.print(`${line}\n`);
    out.flush();
  });
  await waitForInterrupt(io);
  end();
  out.json?.endArray();
}
