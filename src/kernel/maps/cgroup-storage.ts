import { MAP_UPDATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, at, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import { type Check, checkFlags, checkNonZero, first, PCPU_MIN_UNIT_SIZE, refuse } from './checks.ts';
import { LARGEST_STORAGE } from './local-storage.ts';
import { BpfMap, errno, type MapShape, roundUp8, type Status, type SysValue } from './map.ts';

/** A cgroup's id, or that and an attach type (`struct bpf_cgroup_storage_key`). */
const KEY_SIZES = [8, 16];

export const checkCgroupStorage: Check = (shape) => {
  const percpu = shape.type === 'percpu_cgroup_storage';
  const largest = percpu ? PCPU_MIN_UNIT_SIZE : LARGEST_STORAGE;
  return first(
    KEY_SIZES.includes(shape.keySize)
      ? undefined
      : refuse('EINVAL', `a ${shape.type} map has keys of 8 or 16 bytes, not ${shape.keySize}`),
    checkNonZero(shape, 'valueSize'),
    shape.valueSize > largest ? refuse('E2BIG', `a value has at most ${largest} bytes`) : undefined,
    checkFlags(shape),
    shape.maxEntries !== 0
      ? refuse('EINVAL', `a ${shape.type} map has an entry for each attachment: max_entries must be 0`)
      : undefined,
  );
};

/**
 * A value for each cgroup that a program is attached to; it comes and goes with the attachment, so user space can only
 * read and overwrite it. Nothing is attached in this kernel, but a test run has a value of its own.
 */
export class CgroupStorageMap extends BpfMap {
  readonly #percpu: boolean;
  readonly #stride: number;
  #detached: Addr = NULL;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape);
    this.#percpu = shape.type === 'percpu_cgroup_storage';
    this.#stride = roundUp8(shape.valueSize);
  }

  override get sysValueSize(): number {
    // Asked for by the base class's constructor, before the fields are set.
    const percpu = this.shape.type === 'percpu_cgroup_storage';
    return percpu ? roundUp8(this.shape.valueSize) * this.machine.cpus : this.shape.valueSize;
  }

  /** `bpf_get_local_storage` in a program that runs without being attached; its current CPU's for the per-CPU type. */
  get detached(): Addr {
    if (this.#detached === NULL) {
      this.#detached = this.machine.memory.allocate(this.#stride * (this.#percpu ? this.machine.cpus : 1), {
        kind: 'map_value',
        owner: this.label,
        access: this.valueAccess,
        cells: { stride: this.#stride, offset: 0, size: this.shape.valueSize },
      });
    }
    return at(this.#detached, this.#percpu ? this.machine.cpu * this.#stride : 0);
  }

  /** A test run begins with zeros. */
  beginTestRun(): void {
    this.machine.memory.free(this.#detached);
    this.#detached = NULL;
  }

  lookup(_key: Addr): Addr {
    return NULL;
  }

  update(_key: Addr, _value: Addr, flags: number): Status {
    const { BPF_ANY, BPF_EXIST, BPF_F_LOCK } = MAP_UPDATE_FLAGS;
    const known = this.#percpu
      ? [BPF_ANY, BPF_EXIST]
      : [BPF_ANY, BPF_EXIST, BPF_F_LOCK, BPF_F_LOCK | BPF_EXIST];
    return errno(known.includes(flags as 0) ? 'ENOENT' : 'EINVAL');
  }

  delete(_key: Addr): Status {
    return errno('EINVAL');
  }
  nextKey(): SysValue {
    return errno('ENOENT');
  }

  override destroy(): void {
    this.beginTestRun();
    super.destroy();
  }
}
