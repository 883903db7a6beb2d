import type { Kernel } from '../../src/sys/index.ts';
import { outcome, u32 } from './kernels.ts';
import type { Shape } from './shapes.ts';

/** A map under test, with keys and values as numbers. */
export class TestMap {
  readonly fd: ReturnType<Kernel['bpf']['map_create']>;
  readonly #kernel: Kernel;
  readonly #shape: Shape;

  constructor(kernel: Kernel, fd: TestMap['fd'], shape: Shape) {
    this.#kernel = kernel;
    this.fd = fd;
    this.#shape = shape;
  }

  at(key: number) {
    const { attr } = this.#shape;
    return attr.key_size === 0
      ? { map_fd: this.fd }
      : { map_fd: this.fd, key: this.#shape.key?.(key) ?? u32(key) };
  }

  value(value: number): Uint8Array {
    const { attr, percpu } = this.#shape;
    if (!percpu) {
      const bytes = new Uint8Array(attr.value_size);
      bytes.set(u32(value).subarray(0, attr.value_size));
      return bytes;
    }
    const slot = Math.ceil(attr.value_size / 8) * 8;
    const bytes = new Uint8Array(slot * this.#kernel.possibleCpus);
    for (let cpu = 0; cpu < this.#kernel.possibleCpus; cpu++) bytes.set(u32(value + cpu), cpu * slot);
    return bytes;
  }

  update(key: number, value: number, flags = 0): string {
    const attr = { ...this.at(key), value: this.value(value), flags: BigInt(flags) };
    return outcome(() => this.#kernel.bpf.map_update_elem(attr));
  }

  lookup(key: number): Uint8Array | undefined {
    return this.#kernel.bpf.map_lookup_elem(this.at(key));
  }

  delete(key: number): string {
    return outcome(() => this.#kernel.bpf.map_delete_elem(this.at(key)));
  }

  keys(): string[] {
    const keys: string[] = [];
    for (let key = this.next(); key; key = this.next(key)) keys.push(key.join());
    return keys;
  }

  next(key?: Uint8Array): Uint8Array | undefined {
    return this.#kernel.bpf.map_get_next_key(key ? { map_fd: this.fd, key } : { map_fd: this.fd });
  }
}
