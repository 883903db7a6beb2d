/** Samples for user space through perf buffers. @see kernel/trace/bpf_trace.c, bpf_event_output; net/core/filter.c */
import { Bug } from '../../../base/error.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { PerfEventArrayMap } from '../../maps/perf-event-array.ts';
import { SkBuff } from '../../net/sk-buff.ts';
import { XdpBuff } from '../../net/xdp-buff.ts';
import { addr, err, size, u32 } from './values.ts';

const INDEX_MASK = 0xffff_ffffn;
/** How many bytes of the packet follow the sample. */
const CTXLEN_MASK = 0xfffffn << 32n;

export const perf_event_output: HelperImpl = (run, _context, mapPointer, flags, data, length) => {
  const map = run.map(mapPointer);
  if (!(map instanceof PerfEventArrayMap)) throw new Bug(`a perf event to a map of type ${map.shape.type}`);
  const onPacket = run.context instanceof SkBuff || run.context instanceof XdpBuff;
  if (flags & ~(INDEX_MASK | (onPacket ? CTXLEN_MASK : 0n))) return err('EINVAL');
  const wanted = Number((flags & CTXLEN_MASK) >> 32n);
  const packet = onPacket ? (run.context as SkBuff | XdpBuff).head(wanted) : new Uint8Array();
  if (packet === undefined) return err('EFAULT');
  const sample = run.machine.memory.window(addr(data), size(length));
  const record = new Uint8Array(sample.length + packet.length);
  record.set(sample);
  record.set(packet, sample.length);
  return map.output(u32(flags), record);
};

/** The event that a slot holds, if this processor may read it. */
function eventOf(run: HelperRun, mapPointer: bigint, flags: bigint): number {
  const map = run.map(mapPointer);
  if (!(map instanceof PerfEventArrayMap)) throw new Bug(`a perf event of a map of type ${map.shape.type}`);
  if (flags & ~INDEX_MASK) return err('EINVAL');
  const index = flags === INDEX_MASK ? run.machine.cpu : u32(flags);
  if (index >= map.shape.maxEntries) return err('E2BIG');
  const event = map.slot(index);
  if (!event) return err('ENOENT');
  return event.cpu === run.machine.cpu ? 0 : err('EINVAL');
}

/** Events count nothing here: they are there to be written to. */
export const perf_event_read: HelperImpl = (run, map, flags) => eventOf(run, map, flags);

/** `sizeof(struct bpf_perf_event_value)`. */
const VALUE_BYTES = 24;

export const perf_event_read_value: HelperImpl = (run, map, flags, to, length) => {
  run.machine.memory.fill(addr(to), size(length), 0);
  return u32(length) === VALUE_BYTES ? eventOf(run, map, flags) : err('EINVAL');
};
