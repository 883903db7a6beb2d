/** A compiled program as its helpers see it while it runs. */
import { Bug } from '../../base/error.ts';
import type { CallbackPlan, HelperRun, RunContext, RunKernel } from '../interpreter/environment.ts';
import { type Executable, functionSlot } from '../interpreter/executable.ts';
import type { BpfMap } from '../maps/map.ts';
import type { Deferred } from '../objects/alarms.ts';
import type { Machine } from '../objects/machine.ts';
import { FRAME } from './unit.ts';
import type { WasmFunction } from './wasm/host.ts';

type Callback = (frame: number, ...args: bigint[]) => bigint;

/** What all programs of one run share. */
export interface Current {
  context: RunContext | undefined;
  readonly acquired: Map<number, BpfMap>;
}

/** Takes an exception of a program through its frames to who runs it. */
export class Raised {
  readonly run: JitRun;
  readonly cookie: bigint;

  constructor(run: JitRun, cookie: bigint) {
    this.run = run;
    this.cookie = cookie;
  }
}

export class JitRun implements HelperRun {
  readonly kernel: RunKernel;
  readonly machine: Machine;
  readonly program: Executable;
  readonly #current: Current;
  readonly #enter: () => number;
  /** By slot. */
  readonly callbacks = new Map<number, WasmFunction>();

  /** @param enter makes ready for a run without a context, and answers where its stack ends */
  constructor(kernel: RunKernel, program: Executable, current: Current, enter: () => number) {
    this.kernel = kernel;
    this.machine = kernel.machine;
    this.program = program;
    this.#current = current;
    this.#enter = enter;
  }

  get context(): RunContext | undefined {
    return this.#current.context;
  }
  get acquired(): Map<number, BpfMap> {
    return this.#current.acquired;
  }

  map(pointer: bigint): BpfMap {
    const map = this.program.maps.get(Number(pointer)) ?? this.kernel.mapAt(Number(pointer));
    if (!map) throw new Bug(`0x${pointer.toString(16)} is no map`);
    return map;
  }

  tailCall(): boolean {
    throw new Bug('compiled programs make their tail calls themselves');
  }

  #callback(pointer: bigint): Callback {
    const slot = functionSlot(this.program, BigInt.asUintN(64, pointer));
    const callback = this.callbacks.get(slot ?? -1) as Callback | undefined;
    if (!callback) throw new Bug('the callback is no function of the program');
    return callback;
  }

  later(pointer: bigint): Deferred {
    this.program.owner?.hold();
    return {
      call: ([r1 = 0n, r2 = 0n, r3 = 0n, r4 = 0n, r5 = 0n]) => {
        // Looked up anew: the program may have been compiled again since.
        const callback = this.#callback(pointer);
        return BigInt.asUintN(64, callback(this.#enter() | 0, r1, r2, r3, r4, r5));
      },
      release: () => this.program.owner?.release(),
    };
  }

  raise(cookie: bigint): never {
    throw new Raised(this, cookie);
  }

  /** What a program that an exception ends returns. */
  handle(cookie: bigint): bigint {
    const slot = this.program.verified?.exceptionCallback;
    if (slot === undefined) return cookie;
    const handler = this.callbacks.get(slot) as Callback | undefined;
    if (!handler) throw new Bug('the function that exceptions end in is not compiled');
    return BigInt.asUintN(64, handler(this.#enter() | 0, cookie, 0n, 0n, 0n, 0n));
  }

  /** Makes the calls that a helper asks for. @param frame the caller's frame pointer @returns what the helper answers */
  callBack(plan: CallbackPlan, frame: number): bigint {
    const callback = this.#callback(plan.callback);
    let result: bigint | undefined;
    for (;;) {
      const next = plan.next(result);
      if (typeof next === 'bigint') return next;
      const [r1 = 0n, r2 = 0n, r3 = 0n, r4 = 0n, r5 = 0n] = next;
      result = BigInt.asUintN(64, callback((frame - FRAME) | 0, r1, r2, r3, r4, r5));
    }
  }
}
