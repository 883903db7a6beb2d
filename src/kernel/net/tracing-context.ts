/** The context of a program at a function: its arguments, and behind it what it returns. */
import type { Memory } from '../memory/index.ts';
import { PlainContext } from './plain-context.ts';

export interface TracedCall {
  readonly args: readonly bigint[];
  /** What it returns so far; `undefined` in front of it. */
  readonly result: bigint | undefined;
  readonly cookie: bigint;
  /** The function's address. */
  readonly ip: bigint;
}

export class TracingContext extends PlainContext {
  readonly call: TracedCall;

  constructor(memory: Memory, call: TracedCall) {
    const words = BigUint64Array.from([...call.args, call.result ?? 0n], (word) => BigInt.asUintN(64, word));
    super(memory, new Uint8Array(words.buffer));
    this.call = call;
  }
}
