import { MAP_UPDATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, at, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import { HashBase } from './hash.ts';
import { NONE } from './hash-table.ts';
import { errno, type MapElement, type MapShape, roundUp8, type Status } from './map.ts';

/**
 * A hash map that makes room by dropping the element that was used longest ago. Programs' lookups count as use, user
 * space's don't. Linux drops one of the least used, by CPU and in batches; which one is nobody's promise.
 */
export class LruHashMap extends HashBase {
  /** Elements in the order of their last use, the oldest first. */
  readonly #order = new Set<number>();
  readonly #percpu: boolean;
  readonly #stride: number;

  constructor(machine: Machine, shape: MapShape) {
    const percpu = shape.type === 'lru_percpu_hash';
    super(machine, shape, percpu ? machine.cpus : 1, 0);
    this.#percpu = percpu;
    this.#stride = roundUp8(shape.valueSize);
  }

  override get sysValueSize(): number {
    // Asked for by the base class's constructor, before the fields are set.
    const percpu = this.shape.type === 'lru_percpu_hash';
    return percpu ? roundUp8(this.shape.valueSize) * this.machine.cpus : this.shape.valueSize;
  }

  override lookup(key: Addr): Addr {
    return this.#lookupOn(key, this.#percpu ? this.machine.cpu : 0);
  }

  override lookupPercpu(key: Addr, cpu: number): Addr {
    return this.#percpu && cpu < this.machine.cpus ? this.#lookupOn(key, cpu) : NULL;
  }

  #lookupOn(key: Addr, cpu: number): Addr {
    const elem = this.find(key);
    if (elem === NONE) return NULL;
    this.#use(elem);
    return at(this.table.value(elem), cpu * this.#stride);
  }

  #use(elem: number): void {
    this.#order.delete(elem);
    this.#order.add(elem);
  }

  update(key: Addr, value: Addr, flags: number): Status {
    return this.#store(key, flags, (elem, fresh) => {
      const { memory, cpu, cpus } = this.machine;
      const values = this.table.value(elem);
      if (fresh && this.#percpu) memory.fill(values, cpus * this.#stride, 0);
      memory.copy(at(values, this.#percpu ? cpu * this.#stride : 0), value, this.shape.valueSize);
    });
  }

  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    return this.#store(this.keyIn(key), flags, (elem) =>
      this.machine.memory.write(this.table.value(elem), value),
    );
  }

  #store(key: Addr, flags: number, write: (elem: number, fresh: boolean) => void): Status {
    if (flags > MAP_UPDATE_FLAGS.BPF_EXIST) return errno('EINVAL');
    const hash = this.table.hashOf(key);
    const old = this.table.find(key, hash);
    const status = this.checkExistence(old, flags);
    if (status !== 0) return status;
    if (old !== NONE) {
      write(old, false);
      this.#use(old);
      return 0;
    }
    const elem = this.#room();
    write(elem, true);
    this.table.insert(elem, key, hash);
    this.#use(elem);
    return 0;
  }

  #room(): number {
    const free = this.table.take();
    if (free !== NONE) return free;
    const [oldest] = this.#order;
    this.drop(oldest!);
    return this.table.take();
  }

  protected override drop(elem: number): void {
    this.#order.delete(elem);
    super.drop(elem);
  }

  protected override elemValue(elem: number): Uint8Array<ArrayBuffer> {
    return this.machine.memory.read(this.table.value(elem), this.sysValueSize);
  }

  override *elements(): Iterable<MapElement> {
    const cpu = this.#percpu ? this.machine.cpu : 0;
    for (const { key, value } of super.elements()) yield { key, value: at(value, cpu * this.#stride) };
  }
}
