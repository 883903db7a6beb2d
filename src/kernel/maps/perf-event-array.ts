import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import { PerfEvent } from '../objects/perf-event.ts';
import { errno, type Status, type SysValue } from './map.ts';
import { ObjectArray } from './object-array.ts';

/** `BPF_F_CURRENT_CPU`, the index that asks for the slot of the CPU. */
const CURRENT_CPU = 0xffff_ffff;

/** The events that programs write samples to, by CPU as a rule. */
export class PerfEventArrayMap extends ObjectArray<PerfEvent> {
  protected admit(fd: number): PerfEvent | Status {
    const object = this.host.objectAt(fd);
    return object instanceof PerfEvent ? object : errno('EBADF');
  }

  override sysLookup(_key: Uint8Array, _flags: number): SysValue {
    return errno('ENOTSUPP');
  }

  /**
   * `bpf_perf_event_output`.
   * @param index a slot, or `CURRENT_CPU`
   * @returns 0; `E2BIG` past the last slot, `ENOENT` for an empty one, `EINVAL` for a counter, `EOPNOTSUPP` for an event of
   *   another CPU, `ENOSPC` when the sample was lost
   */
  output(index: number, data: Uint8Array): Status {
    const { cpu } = this.machine;
    const slot = index === CURRENT_CPU ? cpu : index;
    if (slot >= this.shape.maxEntries) return errno('E2BIG');
    const event = this.slot(slot);
    if (!event) return errno('ENOENT');
    if (event.counter !== 'output') return errno('EINVAL');
    if (!event.runsOn(cpu)) return errno('EOPNOTSUPP');
    return event.write(data) ? 0 : errno('ENOSPC');
  }

  override releaseUser(): void {
    if ((this.shape.flags & MAP_CREATE_FLAGS.BPF_F_PRESERVE_ELEMS) === 0) this.clearAll();
  }
}
