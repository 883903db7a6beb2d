import { InputError } from '../../base/error.ts';
import { openPerfBuffer } from '../../loader/index.ts';
import { PERF_RECORD } from '../../sys/index.ts';
import { hexText } from '../grammar/bytes.ts';
import type { Call } from '../grammar/call.ts';
import type { Output } from '../grammar/output.ts';
import { infoOf, takeMap } from '../grammar/selectors.ts';
import { parseNumber, unexpected } from '../grammar/words.ts';

/** `map event_pipe MAP [cpu N index M]`: what programs send through a perf event array, until interrupted. */
export async function eventPipe(call: Call): Promise<void> {
  const { out, io } = call;
  const world = await call.world();
  const { kernel } = world;
  const fd = takeMap(call, world);
  if (infoOf(kernel, fd, 'map').type !== 'perf_event_array') {
    throw new InputError('cli-map', 'map is not a perf event array');
  }
  const one = takeCpu(call);
  const reader = openPerfBuffer(kernel, fd, { times: true, ...(one && { cpus: [one.cpu] }) });
  if (one && one.index !== one.cpu) {
    reader.close();
    throw new InputError(
      'cli-map',
      `the event of CPU ${one.cpu} stands at index ${one.cpu} of the map; index ${one.index} is not read`,
      { errno: 'EINVAL' },
    );
  }
  const stop = io.onInterrupt(() => reader.close());
  const lost = new Map<number, number>();
  out.json?.startArray();
  try {
    await reader.forEach((record) => {
      const cpu = record.source;
      tellLost(out, reader.lostBySource().get(cpu) ?? 0, lost, cpu, one?.index ?? cpu);
      sample(out, cpu, one?.index ?? cpu, record.time, record.data);
      out.flush();
    });
  } finally {
    stop();
    out.json?.endArray();
  }
}

interface Place {
  readonly cpu: number;
  /** Of the map. */
  readonly index: number;
}

/** `cpu N index M`, both or neither. */
function takeCpu({ words }: Call): Place | undefined {
  let cpu: number | undefined;
  let index: number | undefined;
  while (words.left > 0) {
    if (words.left < 2) throw unexpected(words.take());
    const what = words.accept('cpu') ? 'CPU ID' : words.accept('index') ? 'index' : undefined;
    if (what === undefined) throw unexpected(words.take());
    const word = words.take();
    const value = parseNumber(word);
    if (value === undefined) throw new InputError('cli-map', `can't parse ${word} as ${what}`);
    if (what === 'index') index = value;
    else cpu = value;
  }
  if (cpu === undefined && index === undefined) return undefined;
  if (cpu === undefined || index === undefined) {
    throw new InputError('cli-map', 'cpu and index must be specified together');
  }
  return { cpu, index };
}

function sample(out: Output, cpu: number, index: number, time: bigint, data: Uint8Array): void {
  const { json } = out;
  if (json) {
    json.startObject().field('type', PERF_RECORD.PERF_RECORD_SAMPLE).field('cpu', cpu).field('index', index);
    json.field('timestamp', time).name('data').startArray();
    for (const byte of data) json.value(byte);
    json.endArray().endObject();
    return;
  }
  const seconds = `${time / 1_000_000_000n}.${String(time % 1_000_000_000n).padStart(9, '0')}`;
  out.print(`== @${seconds} CPU: ${cpu} index: ${index} =====\n${hexText(data)}\n`);
}

function tellLost(out: Output, now: number, before: Map<number, number>, cpu: number, index: number): void {
  const count = now - (before.get(cpu) ?? 0);
  if (count === 0) return;
  before.set(cpu, now);
  if (!out.json) {
    out.print(`lost ${count} events\n`);
    return;
  }
  out.json.startObject().field('type', PERF_RECORD.PERF_RECORD_LOST).field('cpu', cpu).field('index', index);
  out.json.name('lost').startObject().field('id', 0).field('count', count).endObject().endObject();
}
