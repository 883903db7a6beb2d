/**
 * What programs allocate (`bpf_obj_new`, `bpf_percpu_obj_new`) and the kernel's objects that they hold references to. An
 * object is named by its address; it ends with its last reference, and lets go of what its fields hold.
 *
 * @see kernel/bpf/helpers.c, bpf_obj_drop_impl and the functions beside it
 */
import { type Btf, type BtfTypeId, sizeOf } from '../../btf/index.ts';
import { releaseFields } from '../maps/value-fields.ts';
import { type Addr, at, NULL } from '../memory/index.ts';
import { type FieldRecord, NO_FIELDS, recordOf } from './field-record.ts';
import { listNodes, treeNodes } from './graph.ts';
import type { FieldReleases, Machine } from './machine.ts';

interface HeapObject {
  readonly addr: Addr;
  readonly fields: FieldRecord;
  /** References to it; `Infinity` for what the kernel itself keeps. */
  refs: number;
  /** Where the program's own counter of references is, for what counts them in its memory. */
  readonly counter: Addr | undefined;
  /** Bytes from one processor's part to the next's; 0 where there is one for all. */
  readonly stride: number;
  readonly onEnd: (() => void) | undefined;
}

const MAPPING = { kind: 'mem', owner: 'allocated object', access: 'rw' } as const;

export class Heap {
  readonly #machine: Machine;
  readonly #objects = new Map<number, HeapObject>();
  /** How fields of map values and of objects let go of what they hold. */
  readonly releases: FieldReleases;

  constructor(machine: Machine, releases: FieldReleases) {
    this.#machine = machine;
    const drop = (field: Addr) => this.drop(this.#machine.memory.readU64(field));
    this.releases = {
      kptr_ref: drop,
      kptr_percpu: drop,
      list_head: (field) => this.#dropAll(listNodes(machine.memory, field)),
      rb_root: (field) => this.#dropAll(treeNodes(machine.memory, field)),
      ...releases,
    };
  }

  /** Objects that there are. */
  get count(): number {
    return this.#objects.size;
  }

  /** A zeroed object of a program's type with one reference, or `NULL`. */
  allocate(btf: Btf, type: BtfTypeId): Addr {
    const { memory } = this.#machine;
    const addr = memory.tryAllocate(sizeOf(btf, type), MAPPING);
    if (addr === NULL) return NULL;
    const fields = recordOf(btf, type);
    let counter: Addr | undefined;
    for (const { kind, offset } of fields) {
      const field = at(addr, offset);
      if (kind === 'refcount') {
        counter = field;
        memory.writeU32(field, 1);
      } else if (kind === 'list_head' || kind === 'list_node') {
        memory.writeU64(field, BigInt(field));
        memory.writeU64(field + 8, BigInt(field));
      } else if (kind === 'rb_node') {
        memory.writeU64(field, BigInt(field));
      }
    }
    this.#objects.set(addr, { addr, fields, refs: 1, counter, stride: 0, onEnd: undefined });
    return addr;
  }

  /** A zeroed object for each processor, or `NULL`. The address is that of the first one's. */
  allocatePercpu(size: number): Addr {
    const { memory, cpus } = this.#machine;
    const stride = Math.ceil(size / 8) * 8;
    const addr = memory.tryAllocate(stride * cpus, MAPPING);
    if (addr === NULL) return NULL;
    const object = { addr, fields: NO_FIELDS, refs: 1, counter: undefined, stride, onEnd: undefined };
    this.#objects.set(addr, object);
    return addr;
  }

  /**
   * Lets programs hold references to an object of the kernel. Its memory is freed with the last one.
   * @param onEnd is told then, before
   */
  adopt(addr: Addr, refs: number, onEnd?: () => void): void {
    this.#objects.set(addr, { addr, fields: NO_FIELDS, refs, counter: undefined, stride: 0, onEnd });
  }

  /** Programs hold it no more. Its memory is its owner's to free. */
  forget(addr: Addr): void {
    this.#objects.delete(addr);
  }

  has(addr: number): boolean {
    return this.#objects.has(addr);
  }

  /** The object that an address lies in. */
  baseOf(addr: bigint): Addr {
    return this.#machine.memory.region(Number(addr))?.start ?? NULL;
  }

  /** One more reference. @returns false for what is no object, or has none any more */
  acquire(addr: bigint): boolean {
    const object = this.#objects.get(Number(addr));
    if (!object) return false;
    const { counter } = object;
    const { memory } = this.#machine;
    if (counter === undefined) object.refs += 1;
    else if (memory.readU32(counter) === 0) return false;
    else memory.writeU32(counter, memory.readU32(counter) + 1);
    return true;
  }

  /** One reference less. What is no object is let pass. */
  drop(addr: bigint): void {
    const object = this.#objects.get(Number(addr));
    if (!object) return;
    const { counter } = object;
    const { memory, grace } = this.#machine;
    if (counter === undefined) {
      object.refs -= 1;
      if (object.refs > 0) return;
    } else {
      const refs = memory.readU32(counter) - 1;
      memory.writeU32(counter, refs);
      if (refs > 0) return;
    }
    this.#objects.delete(object.addr);
    if (object.fields.length > 0) releaseFields(this.#machine, object.fields, object.addr);
    object.onEnd?.();
    // A program in an RCU section may still look at it.
    grace.after(() => memory.free(object.addr));
  }

  /** Where a processor's part of a per-processor object is, or `NULL`. */
  percpu(addr: bigint, cpu: number): Addr {
    const object = this.#objects.get(Number(addr));
    if (!object || cpu >= this.#machine.cpus) return NULL;
    return at(object.addr, object.stride * cpu);
  }

  #dropAll(nodes: readonly Addr[]): void {
    for (const node of nodes) this.drop(BigInt(this.baseOf(BigInt(node))));
  }

  /** Gives back everything. */
  clear(): void {
    for (const { addr } of this.#objects.values()) this.#machine.memory.free(addr);
    this.#objects.clear();
  }
}
