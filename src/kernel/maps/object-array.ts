/** Arrays of objects that user space names by file descriptor: programs, perf events, maps. */
import { type Addr, NULL } from '../memory/index.ts';
import type { KernelObject } from '../objects/object.ts';
import { checkArrayLike, nextIndex, u32, u32Bytes } from './array.ts';
import { type Check, checkValueSize, first } from './checks.ts';
import { BpfMap, errno, type MapHost, type MapShape, type Status, type SysValue } from './map.ts';

export const checkObjectArray: Check = (shape, context) =>
  first(checkValueSize(shape, 4), checkArrayLike(shape, context));

/** @typeParam O what the slots hold */
export abstract class ObjectArray<O extends KernelObject> extends BpfMap {
  readonly host: MapHost;
  readonly #slots = new Map<number, O>();
  /** Told of each slot that changes, and what it holds then. */
  onChange: ((index: number, object: O | undefined) => void) | undefined;

  constructor(host: MapHost, shape: MapShape) {
    super(host, shape);
    this.host = host;
  }

  /** The object behind a file descriptor, if this map may hold it, or a negative errno. */
  protected abstract admit(fd: number): O | Status;

  slot(index: number): O | undefined {
    return this.#slots.get(index);
  }

  /** What the slots hold, by index. */
  get slots(): ReadonlyMap<number, O> {
    return this.#slots;
  }

  lookup(_key: Addr): Addr {
    return NULL;
  }
  update(_key: Addr, _value: Addr, _flags: number): Status {
    return errno('EINVAL');
  }
  delete(key: Addr): Status {
    return this.#clear(this.machine.memory.readU32(key));
  }

  override sysLookup(key: Uint8Array, _flags: number): SysValue {
    const object = this.#slots.get(u32(key));
    return object ? u32Bytes(object.id) : errno('ENOENT');
  }

  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    if (flags !== 0) return errno('EINVAL');
    const index = u32(key);
    if (index >= this.shape.maxEntries) return errno('E2BIG');
    const object = this.admit(u32(value));
    if (typeof object === 'number') return object;
    const old = this.#slots.get(index);
    this.#slots.set(index, object.hold());
    this.onChange?.(index, object);
    if (old) this.#drop(old);
    return 0;
  }

  override sysDelete(key: Uint8Array): Status {
    return this.#clear(u32(key));
  }

  #clear(index: number): Status {
    if (index >= this.shape.maxEntries) return errno('E2BIG');
    const old = this.#slots.get(index);
    if (!old) return errno('ENOENT');
    this.#slots.delete(index);
    this.onChange?.(index, undefined);
    this.#drop(old);
    return 0;
  }

  #drop(object: O): void {
    this.machine.grace.after(() => object.release());
  }

  protected clearAll(): void {
    const old = [...this.#slots];
    this.#slots.clear();
    for (const [index, object] of old) {
      this.onChange?.(index, undefined);
      this.#drop(object);
    }
  }

  nextKey(key: Uint8Array | undefined): SysValue {
    return nextIndex(key, this.shape.maxEntries);
  }

  override destroy(): void {
    this.clearAll();
    super.destroy();
  }
}
