/** A compiled program as its helpers see it while it runs. */
import { Bug } from '../../base/error.ts';
import type { CallbackPlan, HelperRun, RunContext, RunKernel } from '../interpreter/environment.ts';
import { type Executable, functionSlot } from '../interpreter/executable.ts';
import type { BpfMap } from '../maps/map.ts';
import type { Machine } from '../objects/machine.ts';
import { FRAME } from './unit.ts';
import type { WasmFunction } from './wasm/host.ts';

type Callback = (frame: number, ...args: bigint[]) => bigint;

/** What all programs of one run share. */
export interface Current {
  context: RunContext | undefined;
  readonly acquired: Map<number, BpfMap>;
}

export class JitRun implements HelperRun {
  readonly kernel: RunKernel;
  readonly machine: Machine;
  readonly program: Executable;
  readonly #current: Current;
  /** By slot. */
  readonly callbacks = new Map<number, WasmFunction>();

  constructor(kernel: RunKernel, program: Executable, current: Current) {
    this.kernel = kernel;
    this.machine = kernel.machine;
    this.program = program;
    this.#current = current;
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

  /** Makes the calls that a helper asks for. @param frame the caller's frame pointer @returns what the helper answers */
  callBack(plan: CallbackPlan, frame: number): bigint {
    const slot = functionSlot(this.program, BigInt.asUintN(64, plan.callback));
    const callback = this.callbacks.get(slot ?? -1) as Callback | undefined;
    let result: bigint | undefined;
    for (;;) {
      const next = plan.next(result);
      if (typeof next === 'bigint') return next;
      if (!callback) throw new Bug('the callback is no function of the program');
      const [r1 = 0n, r2 = 0n, r3 = 0n, r4 = 0n, r5 = 0n] = next;
      result = BigInt.asUintN(64, callback((frame - FRAME) | 0, r1, r2, r3, r4, r5));
    }
  }
}
