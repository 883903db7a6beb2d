/** What a running program can reach beside its own registers and stack. The kernel provides it; helpers work on it. */
import type { Size } from '../../isa/index.ts';
import type { Jit } from '../jit/jit.ts';
import type { BpfMap } from '../maps/map.ts';
import type { Addr } from '../memory/index.ts';
import type { Devices } from '../net/device.ts';
import type { RedirectInfo } from '../net/redirect.ts';
import type { Routes } from '../net/routes.ts';
import type { Alarms, Deferred } from '../objects/alarms.ts';
import type { Heap } from '../objects/heap.ts';
import type { Machine } from '../objects/machine.ts';
import type { Mocks } from '../objects/mocks.ts';
import type { Task } from '../objects/task.ts';
import type { Traced } from '../objects/traced.ts';
import type { World } from '../objects/world.ts';
import type { Executable } from './executable.ts';

export type { Task } from '../objects/task.ts';

/** What programs find in a kernel beside maps, packets and devices. */
export interface Services {
  /** Functions that the caller has replaced. */
  readonly mocks: Mocks;
  /** What programs allocate, and the kernel's objects that they hold. */
  readonly heap: Heap;
  /** Functions of programs that run later. */
  readonly alarms: Alarms;
  /** The kernel's own structs, as its BTF lays them out. */
  readonly world: World;
  /** What is attached to the kernel's functions. */
  readonly traced: Traced;
  /** Where packets would go, for `bpf_fib_lookup`. */
  readonly routes: Routes;
}

/** System calls of programs. */
export interface SystemCalls {
  /** @returns false when it was not open */
  close(fd: number): boolean;
  /** `bpf(2)`. @param attr address of the attributes @returns what the call returns, or a negative errno */
  bpf(command: number, attr: Addr, size: number): number;
}

/** The kernel that a program runs in. */
export interface RunKernel extends Services {
  readonly machine: Machine;
  /** The task that programs run on behalf of. */
  task: Task;
  /** The map that a program's map pointer points to. */
  mapAt(addr: number): BpfMap | undefined;
  readonly devices: Devices;
  /** Where the current CPU's last `bpf_redirect` wants its packet to go. */
  readonly redirect: RedirectInfo;
  /** System calls, for programs that may make them. */
  sys?: SystemCalls | undefined;
  /** Its compiled programs; absent where programs are interpreted. */
  readonly jit?: Jit | undefined;
}

/** What a program is run on: it decides what r1 points to and what an access there means. */
export interface RunContext {
  /** What r1 holds. */
  readonly addr: Addr;
  /** Bytes of the context as the program sees it. */
  readonly size: number;
  /** The value of a load, or `undefined` where the context does not allow it. */
  read(offset: number, size: Size): bigint | undefined;
  /** False where the context does not allow it. */
  write(offset: number, size: Size, value: bigint): boolean;
  /** Bounds of the packet bytes that a program may load and store, as addresses; both 0 without a packet. */
  readonly packetStart: number;
  readonly packetEnd: number;
  /** Value of a legacy packet load in host order, or `undefined` outside of the packet. */
  loadPacket(offset: number, size: 1 | 2 | 4): number | undefined;
}

/** Calls of a function of the program that a helper asks for, one after the other. */
export interface CallbackPlan {
  /** Address of the function. */
  readonly callback: bigint;
  /**
   * The arguments of the next call (r1 on), or the helper's result when there are no more.
   * @param result what the call before returned; `undefined` before the first
   */
  next(result: bigint | undefined): readonly bigint[] | bigint;
}

/** A running program, as a helper sees it. */
export interface HelperRun {
  readonly kernel: RunKernel;
  readonly machine: Machine;
  readonly program: Executable;
  readonly context: RunContext | undefined;
  /** Records that are reserved and not given back yet, by address, with the map that they are in. */
  readonly acquired: Map<number, BpfMap>;
  /** The map that a map argument points to. @throws Bug when there is none: arguments are checked before */
  map(pointer: bigint): BpfMap;
  /** Goes on in another program in place of the current one. @returns false when the limit of tail calls is reached */
  tailCall(target: Executable): boolean;
  /** Keeps a function of the program, to be called when no program runs. */
  later(callback: bigint): Deferred;
  /** Ends the program by an exception with that value. */
  raise(cookie: bigint): HelperResult;
}

/** What a helper answers: r0, or calls to make first. Negative errnos are negative. */
export type HelperResult = bigint | number | CallbackPlan;

/** A helper's behaviour. The arguments fit its prototype. */
export type HelperImpl = (
  run: HelperRun,
  r1: bigint,
  r2: bigint,
  r3: bigint,
  r4: bigint,
  r5: bigint,
) => HelperResult;

/** A helper as the interpreter calls it. */
export interface CallableHelper {
  readonly name: string;
  /** What is wrong with the arguments, or `undefined`. */
  readonly check: (run: ArgumentScope) => string | undefined;
  /** Number of arguments that must have been written. */
  readonly args: number;
  readonly call: HelperImpl;
}

/** A kernel function as the interpreter calls it. */
export interface CallableKfunc {
  readonly name: string;
  /** Number of arguments that must have been written. */
  readonly args: number;
  /** Its result has 32 bits or fewer: the upper half of r0 is zero. */
  readonly narrow: boolean;
  readonly call: HelperImpl;
}

/** What argument checks look at. */
export interface ArgumentScope extends HelperRun {
  readonly regs: BigUint64Array;
  /** Why a program may not access a stretch of memory, or `undefined`. */
  memoryProblem(addr: bigint, size: number, write: boolean): string | undefined;
  isFunction(addr: bigint): boolean;
  isMap(pointer: bigint): boolean;
}
