/** Helpers on ring buffers. @see kernel/bpf/ringbuf.c */
import { Bug } from '../../../base/error.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import type { BpfMap } from '../../maps/map.ts';
import { RingbufMap } from '../../maps/ringbuf.ts';
import { NULL } from '../../memory/index.ts';
import { addr, flags32, s32, size } from './values.ts';

function ring(run: HelperRun, pointer: bigint): RingbufMap {
  const map: BpfMap = run.map(pointer);
  if (!(map instanceof RingbufMap)) throw new Bug(`a ring buffer helper on a map of type ${map.shape.type}`);
  return map;
}

/** Gives up the reservation of a record. @returns the ring that it is in */
function release(run: HelperRun, record: bigint): RingbufMap {
  const map = run.acquired.get(addr(record));
  run.acquired.delete(addr(record));
  if (!(map instanceof RingbufMap)) throw new Bug(`0x${record.toString(16)} is no reserved record`);
  return map;
}

export const ringbuf_output: HelperImpl = (run, map, data, length, flags) =>
  ring(run, map).output(addr(data), size(length), flags32(flags));

export const ringbuf_reserve: HelperImpl = (run, map, length, flags) => {
  const record = ring(run, map).reserve(Number(length), flags32(flags));
  if (record !== NULL) run.acquired.set(record, ring(run, map));
  return BigInt(record);
};

export const ringbuf_submit: HelperImpl = (run, record, flags) => {
  release(run, record).submit(addr(record), flags32(flags));
  return 0n;
};

export const ringbuf_discard: HelperImpl = (run, record, flags) => {
  release(run, record).discard(addr(record), flags32(flags));
  return 0n;
};

export const ringbuf_query: HelperImpl = (run, map, what) => ring(run, map).query(s32(what));
