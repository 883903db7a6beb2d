/** Samples for user space through perf buffers. @see kernel/trace/bpf_trace.c, bpf_event_output; net/core/filter.c */
import { Bug } from '../../../base/error.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { PerfEventArrayMap } from '../../maps/perf-event-array.ts';
import { SkBuff } from '../../net/sk-buff.ts';
import { XdpBuff } from '../../net/xdp-buff.ts';
import type { PerfEvent } from '../../objects/perf-event.ts';
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

/** The event that a slot holds, if this processor may read it, or a negative errno. */
function eventOf(run: HelperRun, mapPointer: bigint, flags: bigint): PerfEvent | number {
  const map = run.map(mapPointer);
  if (!(map instanceof PerfEventArrayMap)) throw new Bug(`a perf event of a map of type ${map.shape.type}`);
  if (flags & ~INDEX_MASK) return err('EINVAL');
  const index = flags === INDEX_MASK ? run.machine.cpu : u32(flags);
  if (index >= map.shape.maxEntries) return err('E2BIG');
  const event = map.slot(index);
  if (!event) return err('ENOENT');
  return event.isOn(run.machine.cpu) ? event : err('EINVAL');
}

/** @returns the count; those that are negative errnos can't be told from them */
export const perf_event_read: HelperImpl = (run, map, flags) => {
  const event = eventOf(run, map, flags);
  return typeof event === 'number' ? event : event.count().count;
};

/** `struct bpf_perf_event_value`: the count, the time enabled and the time running. */
const VALUE = { count: 0, enabled: 8, running: 16, size: 24 } as const;

export const perf_event_read_value: HelperImpl = (run, map, flags, to, length) => {
  const { memory } = run.machine;
  memory.fill(addr(to), size(length), 0);
  if (u32(length) !== VALUE.size) return err('EINVAL');
  const event = eventOf(run, map, flags);
  if (typeof event === 'number') return event;
  const { count, enabled } = event.count();
  memory.writeU64(addr(to) + VALUE.count, count);
  memory.writeU64(addr(to) + VALUE.enabled, enabled);
  memory.writeU64(addr(to) + VALUE.running, enabled);
  return 0;
};
