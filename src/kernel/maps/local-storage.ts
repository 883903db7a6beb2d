/** Values that belong to a socket, an inode, a task or a cgroup, and end with it or with the map. */
import { MAP_CREATE_FLAGS, MAP_UPDATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, at, NULL } from '../memory/index.ts';
import { u32 } from './array.ts';
import { type Check, checkFlags, checkKeySize, checkNonZero, first, refuse } from './checks.ts';
import { BpfMap, errno, type MapHost, type MapShape, type Status, type SysValue } from './map.ts';
import { hasLock } from './value-fields.ts';

/** `BPF_LOCAL_STORAGE_MAX_VALUE_SIZE`: with its header it has a size of 16 bits. */
export const LARGEST_STORAGE = 65_407;
/** `BPF_LOCAL_STORAGE_GET_F_CREATE`. */
const CREATE = 1;

export const checkLocalStorage: Check = (shape, { keyType, valueType }) =>
  first(
    checkFlags(shape),
    (shape.flags & MAP_CREATE_FLAGS.BPF_F_NO_PREALLOC) === 0
      ? refuse('EINVAL', `a ${shape.type} map must be created with BPF_F_NO_PREALLOC`)
      : undefined,
    shape.maxEntries !== 0
      ? refuse('EINVAL', `a ${shape.type} map has as many entries as there are owners: max_entries must be 0`)
      : undefined,
    checkKeySize(shape, 4),
    checkNonZero(shape, 'valueSize'),
    keyType === 0 || valueType === 0
      ? refuse('EINVAL', `a ${shape.type} map needs BTF types for its keys and values`)
      : undefined,
    shape.valueSize > LARGEST_STORAGE
      ? refuse('E2BIG', `a value has at most ${LARGEST_STORAGE} bytes`)
      : undefined,
  );

/** Address of an owner's struct, by which programs name it; -1 is the inode that all descriptors of BPF objects share. */
type Owner = number;
const ANONYMOUS_INODE: Owner = -1;

export class LocalStorageMap extends BpfMap {
  readonly #host: MapHost;
  readonly #values = new Map<Owner, Addr>();

  constructor(host: MapHost, shape: MapShape) {
    super(host, shape);
    this.#host = host;
  }

  /**
   * The helpers' lookup.
   * @param initial address of the value that a new one begins as, or `NULL` for zeros
   */
  get(owner: number, initial: Addr, flags: bigint): Addr {
    if (owner === 0 || flags > BigInt(CREATE)) return NULL;
    const known = this.#values.get(owner);
    if (known !== undefined || flags === 0n) return known ?? NULL;
    const value = this.#make(owner);
    if (value !== NULL && initial !== NULL) this.storeValue(value, initial);
    return value;
  }

  /** The helpers' delete. */
  forget(owner: number): Status {
    if (owner === 0) return errno('EINVAL');
    const value = this.#values.get(owner);
    if (value === undefined) return errno('ENOENT');
    this.#values.delete(owner);
    this.releaseValue(value);
    const { grace, memory } = this.machine;
    grace.after(() => memory.free(value));
    return 0;
  }

  #make(owner: Owner): Addr {
    const mapping = { kind: 'map_value', owner: this.label, access: 'rw' } as const;
    const value = this.machine.memory.tryAllocate(this.shape.valueSize, mapping);
    if (value !== NULL) this.#values.set(owner, value);
    return value;
  }

  /** The owner that a key's descriptor stands for, or a negative errno below -1. */
  #owner(key: Uint8Array): Owner {
    const open = this.#host.objectAt(u32(key)) !== undefined;
    switch (this.shape.type) {
      case 'inode_storage':
        return open ? ANONYMOUS_INODE : errno('EBADF');
      case 'sk_storage':
        return errno(open ? 'ENOTSOCK' : 'EBADF');
      default:
        return errno('EBADF');
    }
  }

  lookup(_key: Addr): Addr {
    return NULL;
  }
  update(_key: Addr, _value: Addr, _flags: number): Status {
    return errno('EOPNOTSUPP');
  }
  delete(_key: Addr): Status {
    return errno('EOPNOTSUPP');
  }

  override sysLookup(key: Uint8Array, _flags: number): SysValue {
    const owner = this.#owner(key);
    if (owner < ANONYMOUS_INODE) return owner;
    const value = this.#values.get(owner);
    return value === undefined ? errno('ENOENT') : this.readValue(value);
  }

  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    const { BPF_F_LOCK, BPF_EXIST, BPF_NOEXIST } = MAP_UPDATE_FLAGS;
    const owner = this.#owner(key);
    if (owner < ANONYMOUS_INODE) return owner;
    const wish = flags & ~BPF_F_LOCK;
    if (flags > (BPF_F_LOCK | BPF_EXIST) || wish > BPF_EXIST) return errno('EINVAL');
    if (flags & BPF_F_LOCK && !hasLock(this.shape)) return errno('EINVAL');
    const known = this.#values.get(owner);
    if (known !== undefined && wish === BPF_NOEXIST) return errno('EEXIST');
    if (known === undefined && wish === BPF_EXIST) return errno('ENOENT');
    const place = known ?? this.#make(owner);
    if (place === NULL) return errno('ENOMEM');
    this.storeValue(at(place, 0), this.valueIn(value));
    return 0;
  }

  override sysDelete(key: Uint8Array): Status {
    const owner = this.#owner(key);
    return owner < ANONYMOUS_INODE ? owner : this.forget(owner);
  }

  nextKey(): SysValue {
    return errno('ENOTSUPP');
  }

  override destroy(): void {
    for (const value of this.#values.values()) {
      this.releaseValue(value);
      this.machine.memory.free(value);
    }
    this.#values.clear();
    super.destroy();
  }
}
