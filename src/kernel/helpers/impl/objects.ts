/** Pointers to the kernel's objects: kept in map values, and to what each processor has of them. */

import { Bug } from '../../../base/error.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';
import { UserRingbufMap } from '../../maps/user-ringbuf.ts';
import { NULL } from '../../memory/index.ts';
import { SOCK, SOCK_COMMON } from '../../net/structs.ts';
import { clearDynptr, DYNPTR, writeDynptr } from './dynptr.ts';
import { addr, err, flags32, s64, u32 } from './values.ts';

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

/** States in which a socket is only the common part of one: `TCP_TIME_WAIT`, `TCP_NEW_SYN_RECV`. */
const PARTIAL: ReadonlySet<number | undefined> = new Set([6, 12]);
const STATE = SOCK.members.__sk_common.offset + SOCK_COMMON.members.skc_state.offset;

/** The socket, where it is a full one. @see include/net/sock.h, sk_fullsock */
export const sk_fullsock: HelperImpl = ({ machine: { memory } }, socket) =>
  PARTIAL.has(memory.u8[addr(socket) + STATE]) ? 0n : socket;

/** `BPF_RB_NO_WAKEUP`, `BPF_RB_FORCE_WAKEUP`. */
const NO_WAKEUP = 1;
const FORCE_WAKEUP = 2;
/** Samples of one drain. @see kernel/bpf/ringbuf.c, BPF_MAX_USER_RINGBUF_SAMPLES */
const MAX_SAMPLES = 128 * 1024;

/** Calls back with a dynptr to each record. @returns how many there were, or a negative errno where a record can't be */
export const user_ringbuf_drain: HelperImpl = (run, mapPointer, callback, context, flags) => {
  const map = run.map(mapPointer);
  if (!(map instanceof UserRingbufMap)) throw new Bug(`draining a map of type ${map.shape.type}`);
  const options = flags32(flags);
  if (options & ~(NO_WAKEUP | FORCE_WAKEUP)) return err('EINVAL');
  if (map.busy) return err('EBUSY');
  const { memory } = run.machine;
  const place = memory.tryAllocate(16, { kind: 'mem', owner: 'dynptr of a record', access: 'rw' });
  if (place === NULL) return err('ENOMEM');
  map.busy = true;
  const dynptr = BigInt(place);
  /** Records that were looked at, those given up among them. */
  let samples = 0;
  let discarded = 0;
  /** Bytes of the record that the program has. */
  let held: number | undefined;
  const finish = (status = samples - discarded): bigint => {
    memory.free(place);
    map.busy = false;
    if (options & FORCE_WAKEUP || (!(options & NO_WAKEUP) && samples > 0)) map.drained();
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
      for (; samples < MAX_SAMPLES; samples++) {
        const record = map.peekRecord();
        if (record === undefined) return finish();
        if (typeof record === 'number') return finish(record);
        if (record === 'discarded') {
          discarded++;
          continue;
        }
        clearDynptr(run, dynptr);
        const { addr: data, size } = record;
        writeDynptr(run, dynptr, { data, kind: DYNPTR.local, readOnly: false, size, offset: 0 });
        samples++;
        held = size;
        return [dynptr, context];
      }
      return finish();
    },
  };
};
