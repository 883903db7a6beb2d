import { MAP_UPDATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, at, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import {
  type Check,
  checkFlags,
  checkKeySize,
  checkNonZero,
  first,
  KMALLOC_MAX_SIZE,
  refuse,
} from './checks.ts';
import { BpfMap, errno, type MapShape, type Status, type SysValue } from './map.ts';

export const checkQueue: Check = (shape) =>
  first(
    checkNonZero(shape, 'maxEntries', 'valueSize'),
    checkKeySize(shape, 0),
    checkFlags(shape),
    shape.valueSize > KMALLOC_MAX_SIZE
      ? refuse('E2BIG', `a value of ${shape.valueSize} bytes exceeds 4 MiB`)
      : undefined,
  );

/** Values without keys: first in, first out for a queue; last in, first out for a stack. */
export class QueueMap extends BpfMap {
  readonly #values: Addr;
  /** Slot of the oldest value. */
  #tail = 0;
  #count = 0;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape);
    this.#values = machine.memory.allocate(shape.valueSize * shape.maxEntries, {
      kind: 'map_value',
      owner: this.label,
      access: 'none',
    });
  }

  /** Address of the `n`th oldest value. */
  #place(n: number): Addr {
    return at(this.#values, ((this.#tail + n) % this.shape.maxEntries) * this.shape.valueSize);
  }

  override push(value: Addr, flags: number): Status {
    if (flags > MAP_UPDATE_FLAGS.BPF_EXIST || flags & MAP_UPDATE_FLAGS.BPF_NOEXIST) return errno('EINVAL');
    if (this.#count === this.shape.maxEntries) {
      // BPF_EXIST: the oldest makes room.
      if (flags !== MAP_UPDATE_FLAGS.BPF_EXIST) return errno('E2BIG');
      this.#tail = (this.#tail + 1) % this.shape.maxEntries;
      this.#count -= 1;
    }
    this.machine.memory.copy(this.#place(this.#count), value, this.shape.valueSize);
    this.#count += 1;
    return 0;
  }

  override peek(value: Addr): Status {
    const { memory } = this.machine;
    const { valueSize, type } = this.shape;
    if (this.#count === 0) {
      memory.fill(value, valueSize, 0);
      return errno('ENOENT');
    }
    memory.copy(value, this.#place(type === 'stack' ? this.#count - 1 : 0), valueSize);
    return 0;
  }

  override pop(value: Addr): Status {
    const status = this.peek(value);
    if (status !== 0) return status;
    this.#count -= 1;
    if (this.shape.type === 'queue') this.#tail = (this.#tail + 1) % this.shape.maxEntries;
    return 0;
  }

  lookup(_key: Addr): Addr {
    return NULL;
  }
  update(_key: Addr, _value: Addr, _flags: number): Status {
    return errno('EINVAL');
  }
  delete(_key: Addr): Status {
    return errno('EINVAL');
  }
  nextKey(): SysValue {
    return errno('EINVAL');
  }

  override sysLookup(): SysValue {
    return this.#take((value) => this.peek(value));
  }
  override sysLookupAndDelete(): SysValue {
    return this.#take((value) => this.pop(value));
  }
  override sysUpdate(_key: Uint8Array, value: Uint8Array, flags: number): Status {
    return this.push(this.valueIn(value), flags);
  }

  #take(operation: (value: Addr) => Status): SysValue {
    const { valueSize } = this.shape;
    const place = this.valueIn(new Uint8Array(valueSize));
    const status = operation(place);
    return status === 0 ? this.machine.memory.read(place, valueSize) : status;
  }

  override destroy(): void {
    this.machine.memory.free(this.#values);
    super.destroy();
  }
}
