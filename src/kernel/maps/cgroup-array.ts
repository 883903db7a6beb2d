import type { KernelObject } from '../objects/object.ts';
import { errno, type Status, type SysValue } from './map.ts';
import { ObjectArray } from './object-array.ts';

/** The cgroups that programs ask about by index. No descriptor of this kernel is a cgroup's. */
export class CgroupArrayMap extends ObjectArray<KernelObject> {
  protected admit(_fd: number): Status {
    return errno('EBADF');
  }

  override sysLookup(_key: Uint8Array, _flags: number): SysValue {
    return errno('ENOTSUPP');
  }
}
