/** A context whose fields are those of a struct of the kernel's own, and of nothing else. */
import type { Size } from '../../isa/index.ts';
import type { RunContext } from '../interpreter/environment.ts';
import type { Addr, Memory } from '../memory/index.ts';
import type { FieldView } from './field-view.ts';

export class ObjectContext implements RunContext {
  readonly #memory: Memory;
  readonly #view: FieldView;
  readonly addr: Addr;
  readonly size: number;
  readonly packetStart = 0;
  readonly packetEnd = 0;

  /** @param bytes of the struct */
  constructor(memory: Memory, view: FieldView, bytes: number) {
    this.#memory = memory;
    this.#view = view;
    this.size = view.size;
    const mapping = { kind: 'ctx', owner: 'context', access: 'none' } as const;
    this.addr = memory.allocate(Math.max(bytes, view.size), mapping);
  }

  read(offset: number, size: Size): bigint | undefined {
    return this.#view.read(this.#memory, this.addr, offset, size);
  }
  write(offset: number, size: Size, value: bigint): boolean {
    return this.#view.write(this.#memory, this.addr, offset, size, value);
  }
  loadPacket(): undefined {
    return undefined;
  }
  close(): void {
    this.#memory.free(this.addr);
  }
}
