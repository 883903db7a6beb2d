/** Pointers to the kernel's objects: kept in map values, and to what each processor has of them. */

import { Bug } from '../../../base/error.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';
import { UserRingbufMap } from '../../maps/user-ringbuf.ts';
import { NULL } from '../../memory/index.ts';
import { clearDynptr, DYNPTR, writeDynptr } from './dynptr.ts';
import { addr, err, s64, u32 } from './values.ts';

/** Puts a pointer in a field. @returns the one that was there */
export const kptr_xchg: HelperImpl = ({ machine: { memory } }, field, pointer) => {
  const before = memory.readU64(addr(field));
  memory.writeU64(addr(field), pointer);
  return before;
};

export const per_cpu_ptr: HelperImpl = ({ kernel }, pointer, cpu) =>
  BigInt(kernel.heap.percpu(pointer, u32(cpu)));

export const this_cpu_ptr: HelperImpl = ({ kernel, machine }, pointer) =>
  BigInt(kernel.heap.percpu(pointer, machine.cpu));

/** Every program runs on a full socket where it runs on one at all. */
export const sk_fullsock: HelperImpl = (_run, socket) => socket;

/** `BPF_RB_NO_WAKEUP` and `BPF_RB_FORCE_WAKEUP`. */
const WAKEUP_FLAGS = 3n;
/** Samples of one drain. @see kernel/bpf/ringbuf.c, BPF_MAX_USER_RINGBUF_SAMPLES */
const MAX_SAMPLES = 128 * 1024;

/** Calls back with a dynptr to each record. @returns how many there were */
export const user_ringbuf_drain: HelperImpl = (run, mapPointer, callback, context, flags) => {
  const map = run.map(mapPointer);
  if (!(map instanceof UserRingbufMap)) throw new Bug(`draining a map of type ${map.shape.type}`);
  if (flags & ~WAKEUP_FLAGS) return err('EINVAL');
  const { memory } = run.machine;
  const place = memory.tryAllocate(16, { kind: 'mem', owner: 'dynptr of a record', access: 'rw' });
  if (place === NULL) return err('ENOMEM');
  const dynptr = BigInt(place);
  let done = 0;
  /** Bytes of the record that the program has. */
  let held: number | undefined;
  const finish = (status = done): bigint => {
    memory.free(place);
    map.drained();
    return BigInt(status);
  };
  return {
    callback,
    next: (result) => {
      if (held !== undefined) {
        map.consume(held);
        held = undefined;
        if (s64(result ?? 0n) !== 0n) return finish();
      }
      const record = done < MAX_SAMPLES ? map.peekRecord() : undefined;
      if (record === undefined) return finish();
      if (typeof record === 'number') return finish(done > 0 ? done : record);
      clearDynptr(run, dynptr);
      const { addr: data, size } = record;
      writeDynptr(run, dynptr, { data, kind: DYNPTR.local, readOnly: false, size, offset: 0 });
      done += 1;
      held = size;
      return [dynptr, context];
    },
  };
};
