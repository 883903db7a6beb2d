/** A context that is plain memory: system call and raw tracepoint programs', and the arguments of traced functions. */
import type { Size } from '../../isa/index.ts';
import type { RunContext } from '../interpreter/environment.ts';
import { type Addr, at, type Memory, NULL } from '../memory/index.ts';

export class PlainContext implements RunContext {
  readonly #memory: Memory;
  readonly addr: Addr;
  readonly size: number;

  /** @param bytes none: the program gets a null pointer */
  constructor(memory: Memory, bytes: Uint8Array) {
    this.#memory = memory;
    this.size = bytes.length;
    this.addr =
      bytes.length === 0
        ? NULL
        : memory.allocate(bytes.length, { kind: 'ctx', owner: 'context', access: 'rw' });
    memory.write(this.addr, bytes);
  }

  /** What is in it now. */
  bytes(): Uint8Array {
    return this.#memory.read(this.addr, this.size);
  }

  read(offset: number, size: Size): bigint | undefined {
    if (offset + size > this.size) return undefined;
    let value = 0n;
    for (let i = size - 1; i >= 0; i--)
      value = (value << 8n) | BigInt(this.#memory.u8[this.addr + offset + i]!);
    return value;
  }

  write(offset: number, size: Size, value: bigint): boolean {
    if (offset + size > this.size) return false;
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.#memory.write(at(this.addr, offset), bytes.subarray(0, size));
    return true;
  }

  get packetStart(): number {
    return 0;
  }
  get packetEnd(): number {
    return 0;
  }

  loadPacket(): undefined {
    return undefined;
  }

  close(): void {
    this.#memory.free(this.addr);
  }
}
