import { MAP_CREATE_FLAGS, MAP_UPDATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, at, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import { HashBase } from './hash.ts';
import { NONE } from './hash-table.ts';
import { Lru } from './lru-list.ts';
import { errno, type MapElement, type MapShape, roundUp8, type Status } from './map.ts';

/**
 * A hash map that makes room by dropping an element that was not used lately. Programs' lookups count as use, user
 * space's don't.
 */
export class LruHashMap extends HashBase {
  readonly #lru: Lru;
  readonly #percpu: boolean;
  readonly #stride: number;

  constructor(machine: Machine, asked: MapShape) {
    const shape = { ...asked, maxEntries: capacity(asked, machine.cpus) };
    const percpu = shape.type === 'lru_percpu_hash';
    super(machine, shape, percpu ? machine.cpus : 1, 0);
    this.#percpu = percpu;
    this.#stride = roundUp8(shape.valueSize);
    // All elements are the list's; in the table are those that have a key.
    for (let i = 0; i < shape.maxEntries; i++) this.table.take();
    this.#lru = new Lru({
      elements: shape.maxEntries,
      cpus: machine.cpus,
      percpu: (shape.flags & MAP_CREATE_FLAGS.BPF_F_NO_COMMON_LRU) !== 0,
      evict: (elem) => this.#evict(elem),
    });
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
    this.#lru.use(elem);
    return at(this.table.value(elem), cpu * this.#stride);
  }

  update(key: Addr, value: Addr, flags: number): Status {
    return this.#percpu
      ? this.#updatePercpu(key, flags, (elem, fresh) => {
          const { memory, cpu, cpus } = this.machine;
          const values = this.table.value(elem);
          if (fresh) memory.fill(values, cpus * this.#stride, 0);
          this.storeValue(at(values, cpu * this.#stride), value);
        })
      : this.#replace(key, value, flags);
  }

  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    if (!this.#percpu) return this.#replace(this.keyIn(key), this.valueIn(value), flags);
    return this.#updatePercpu(this.keyIn(key), flags, (elem) => {
      this.writePercpu(value, (cpu) => at(this.table.value(elem), cpu * this.#stride));
    });
  }

  /** The new value has an element of its own, which is taken before anything is looked up. */
  #replace(key: Addr, value: Addr, flags: number): Status {
    if (flags > MAP_UPDATE_FLAGS.BPF_EXIST) return errno('EINVAL');
    const hash = this.table.hashOf(key);
    const elem = this.#lru.take(this.machine.cpu);
    if (elem === NONE) return errno('ENOMEM');
    this.storeValue(this.table.value(elem), value);
    const old = this.table.find(key, hash);
    const status = this.checkExistence(old, flags);
    if (status !== 0) {
      this.releaseElem(elem);
      this.#lru.give(elem);
      return status;
    }
    this.table.insert(elem, key, hash);
    if (old === NONE) return 0;
    this.#lru.use(elem);
    this.drop(old);
    return 0;
  }

  /** Values of CPUs are written where they are; an element is taken in case that there is none yet. */
  #updatePercpu(key: Addr, flags: number, write: (elem: number, fresh: boolean) => void): Status {
    if (flags > MAP_UPDATE_FLAGS.BPF_EXIST) return errno('EINVAL');
    const hash = this.table.hashOf(key);
    const spare = flags === MAP_UPDATE_FLAGS.BPF_EXIST ? NONE : this.#lru.take(this.machine.cpu);
    if (spare === NONE && flags !== MAP_UPDATE_FLAGS.BPF_EXIST) return errno('ENOMEM');
    const old = this.table.find(key, hash);
    const status = this.checkExistence(old, flags);
    if (status === 0 && old === NONE) {
      write(spare, true);
      this.table.insert(spare, key, hash);
      return 0;
    }
    if (status === 0) {
      this.#lru.use(old);
      write(old, false);
    }
    if (spare !== NONE) this.#lru.give(spare);
    return status;
  }

  #evict(elem: number): boolean {
    if (!this.table.holds(elem)) return false;
    this.table.remove(elem);
    this.releaseElem(elem);
    return true;
  }

  protected override drop(elem: number): void {
    this.#evict(elem);
    this.#lru.give(elem);
  }

  /** Linux gives a bucket's elements back the last first. */
  protected override dropAll(elems: readonly number[]): void {
    for (const elem of elems) this.#evict(elem);
    for (const elem of elems.toReversed()) this.#lru.give(elem);
  }

  protected override elemValue(elem: number): Uint8Array<ArrayBuffer> {
    if (!this.#percpu) return super.elemValue(elem);
    return this.readPercpu((cpu) => at(this.table.value(elem), cpu * this.#stride));
  }

  protected override releaseElem(elem: number): void {
    if (this.fields.length === 0) return;
    const slots = this.#percpu ? this.machine.cpus : 1;
    for (let cpu = 0; cpu < slots; cpu++) this.releaseValue(at(this.table.value(elem), cpu * this.#stride));
  }

  override *elements(): Iterable<MapElement> {
    const cpu = this.#percpu ? this.machine.cpu : 0;
    for (const { key, value } of super.elements()) yield { key, value: at(value, cpu * this.#stride) };
  }
}

/** With lists of their own all CPUs have as many elements. */
function capacity({ maxEntries, flags }: MapShape, cpus: number): number {
  if ((flags & MAP_CREATE_FLAGS.BPF_F_NO_COMMON_LRU) === 0) return maxEntries;
  const up = Math.ceil(maxEntries / cpus) * cpus;
  return up > 0xffff_ffff ? up - cpus : up;
}
