import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, NULL } from '../memory/index.ts';
import { type Check, checkFlags, checkKeySize, checkNonZero, first, refuse } from './checks.ts';
import { BpfMap, errno, type Status, type SysValue } from './map.ts';

const PAGE = 4096;
const SPAN = 2 ** 32;

export const checkArena: Check = (shape) => {
  const bytes = BigInt(shape.maxEntries) * BigInt(PAGE);
  return first(
    checkKeySize(shape, 0),
    shape.valueSize !== 0
      ? refuse('EINVAL', 'an arena has pages, not values: value_size must be 0')
      : undefined,
    checkNonZero(shape, 'maxEntries'),
    (shape.flags & MAP_CREATE_FLAGS.BPF_F_MMAPABLE) === 0
      ? refuse('EINVAL', 'an arena must be created with BPF_F_MMAPABLE')
      : undefined,
    checkFlags(shape),
    shape.extra % BigInt(PAGE) !== 0n
      ? refuse('EINVAL', `map_extra is an address in user space, a multiple of ${PAGE}`)
      : undefined,
    bytes > BigInt(SPAN) ? refuse('E2BIG', `an arena of ${shape.maxEntries} pages exceeds 4 GiB`) : undefined,
    shape.extra !== 0n && shape.extra >> 32n !== (shape.extra + bytes - 1n) >> 32n
      ? refuse('ERANGE', 'the addresses in user space cross a multiple of 4 GiB')
      : undefined,
  );
};

/** Memory that programs and user space share by the page. It has no elements. */
export class ArenaMap extends BpfMap {
  lookup(_key: Addr): Addr {
    return NULL;
  }
  update(_key: Addr, _value: Addr, _flags: number): Status {
    return errno('EOPNOTSUPP');
  }
  delete(_key: Addr): Status {
    return errno('EOPNOTSUPP');
  }
  override sysLookup(): SysValue {
    return errno('EINVAL');
  }
  nextKey(): SysValue {
    return errno('EOPNOTSUPP');
  }
}
