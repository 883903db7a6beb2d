import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, at, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import { ALL_CPUS, HashBase, lookupOf } from './hash.ts';
import type { Elem } from './hash-table.ts';
import {
  type MapElement,
  type MapShape,
  type NativeOperations,
  narrow,
  roundUp8,
  type Status,
} from './map.ts';

/**
 * A hash map that makes room by dropping an element that was not used lately (`wasm/assembly/lru.ts`). Programs' lookups
 * count as use, user space's don't.
 */
export class LruHashMap extends HashBase {
  readonly #percpu: boolean;
  readonly #stride: number;

  constructor(machine: Machine, asked: MapShape) {
    const shape = { ...asked, maxEntries: capacity(asked, machine.cpus) };
    super(machine, shape, shape.flags & MAP_CREATE_FLAGS.BPF_F_NO_COMMON_LRU ? 'split' : 'common');
    this.#percpu = shape.type === 'lru_percpu_hash';
    this.#stride = roundUp8(shape.valueSize);
  }

  override get sysValueSize(): number {
    // Asked for by the base class's constructor, before the fields are set.
    const percpu = this.shape.type === 'lru_percpu_hash';
    return percpu ? roundUp8(this.shape.valueSize) * this.machine.cpus : this.shape.valueSize;
  }

  override get native(): NativeOperations {
    const remove = { name: 'lru_delete' } as const;
    if (!this.#percpu) {
      return {
        lookup: lookupOf('lru', this.shape.keySize),
        update: { name: 'lru_update', cpu: true },
        delete: remove,
      };
    }
    return {
      lookup: { name: 'lru_lookup_percpu', cpu: true },
      lookupPercpu: { name: 'lru_lookup_percpu' },
      update: { name: 'lru_update_percpu', cpu: true },
      delete: remove,
    };
  }

  override lookup(key: Addr): Addr {
    return this.#percpu ? this.lookupPercpu(key, this.machine.cpu) : super.lookup(key);
  }

  override lookupPercpu(key: Addr, cpu: number): Addr {
    return this.#percpu ? ((this.functions.lru_lookup_percpu(this.addr, key, cpu) >>> 0) as Addr) : NULL;
  }

  update(key: Addr, value: Addr, flags: number): Status {
    const { cpu } = this.machine;
    return this.#percpu
      ? this.functions.lru_put_percpu(this.addr, key, value, narrow(flags), cpu, cpu)
      : this.functions.lru_put(this.addr, key, value, narrow(flags), cpu);
  }

  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    if (!this.#percpu) return super.sysUpdate(key, value, flags);
    const [from, to] = [this.valueIn(value), this.keyIn(key)];
    return this.functions.lru_put_percpu(this.addr, to, from, narrow(flags), ALL_CPUS, this.machine.cpu);
  }

  override delete(key: Addr): Status {
    return this.functions.lru_delete(this.addr, key);
  }

  protected override give(elem: Elem): void {
    this.functions.lru_give(this.addr, elem);
  }

  /** Linux gives a bucket's elements back the last first. */
  protected override giveAll(elems: readonly Elem[]): void {
    super.giveAll(elems.toReversed());
  }

  protected override elemValue(elem: Elem): Uint8Array<ArrayBuffer> {
    if (!this.#percpu) return super.elemValue(elem);
    return this.readPercpu((cpu) => at(this.table.value(elem), cpu * this.#stride));
  }

  protected override releaseElem(elem: Elem): void {
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
