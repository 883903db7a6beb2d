import { type Addr, NULL } from '../memory/index.ts';
import { u32, u32Bytes } from './array.ts';
import { type Check, checkFlags, checkKeySize, first, refuse } from './checks.ts';
import { BpfMap, errno, type Status, type SysValue } from './map.ts';

/** `struct bpf_struct_ops_common_value`: a counter of references and a state, which are the kernel's. */
const COMMON = 8;

export const checkStructOps: Check = (shape, { kernelValueType }) =>
  first(
    checkKeySize(shape, 4),
    shape.maxEntries !== 1 ? refuse('EINVAL', 'a struct_ops map has one entry') : undefined,
    checkFlags(shape),
    kernelValueType === 0
      ? refuse('EINVAL', 'a struct_ops map names the type of its value by btf_vmlinux_value_type_id')
      : undefined,
  );

/** A struct of functions that the kernel calls, once programs are in its place. */
export class StructOpsMap extends BpfMap {
  lookup(_key: Addr): Addr {
    return NULL;
  }
  update(_key: Addr, _value: Addr, _flags: number): Status {
    return errno('EINVAL');
  }

  /** Before anything is registered the value is all zeros. */
  override sysLookup(key: Uint8Array, _flags: number): SysValue {
    return u32(key) === 0 ? new Uint8Array(this.shape.valueSize) : errno('ENOENT');
  }

  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    if (flags !== 0) return errno('EINVAL');
    if (u32(key) !== 0) return errno('E2BIG');
    if (value.subarray(0, COMMON).some((byte) => byte !== 0)) return errno('EINVAL');
    return errno('EOPNOTSUPP');
  }

  delete(_key: Addr): Status {
    return errno('ENOENT');
  }
  nextKey(key: Uint8Array | undefined): SysValue {
    return key && u32(key) === 0 ? errno('ENOENT') : u32Bytes(0);
  }
}
