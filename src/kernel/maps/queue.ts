import { type Addr, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import {
  QUEUE_HEADER,
  QUEUE_IS_STACK,
  QUEUE_MAX_ENTRIES,
  QUEUE_VALUE_SIZE,
  QUEUE_VALUES,
} from '../wasm/assembly/queue-layout.ts';
import type { KernelFunctions } from '../wasm/native.ts';
import {
  type Check,
  checkFlags,
  checkKeySize,
  checkNonZero,
  first,
  KMALLOC_MAX_SIZE,
  refuse,
} from './checks.ts';
import {
  BpfMap,
  errno,
  type MapShape,
  type NativeOperations,
  narrow,
  type Status,
  type SysValue,
} from './map.ts';

export const checkQueue: Check = (shape) =>
  first(
    checkNonZero(shape, 'maxEntries', 'valueSize'),
    checkKeySize(shape, 0),
    checkFlags(shape),
    shape.valueSize > KMALLOC_MAX_SIZE
      ? refuse('E2BIG', `a value of ${shape.valueSize} bytes exceeds 4 MiB`)
      : undefined,
  );

/**
 * Values without keys: first in, first out for a queue; last in, first out for a stack. WebAssembly keeps them
 * (`wasm/assembly/queue.ts`).
 */
export class QueueMap extends BpfMap {
  readonly #values: Addr;
  readonly #functions: KernelFunctions;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape);
    const { memory } = machine;
    this.#functions = memory.native.functions;
    this.#values = memory.allocate(shape.valueSize * shape.maxEntries, {
      kind: 'map_value',
      owner: this.label,
      access: 'none',
    });
    memory.writeU32(this.addr + QUEUE_VALUES, this.#values);
    memory.writeU32(this.addr + QUEUE_VALUE_SIZE, shape.valueSize);
    memory.writeU32(this.addr + QUEUE_MAX_ENTRIES, shape.maxEntries);
    memory.writeU32(this.addr + QUEUE_IS_STACK, shape.type === 'stack' ? 1 : 0);
  }

  protected override get headerSize(): number {
    return QUEUE_HEADER;
  }

  override get native(): NativeOperations {
    return { push: { name: 'queue_push' }, pop: { name: 'queue_pop' }, peek: { name: 'queue_peek' } };
  }

  override push(value: Addr, flags: number): Status {
    return this.#functions.queue_put(this.addr, value, narrow(flags));
  }

  override peek(value: Addr): Status {
    return this.#functions.queue_peek(this.addr, value);
  }

  override pop(value: Addr): Status {
    return this.#functions.queue_pop(this.addr, value);
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
