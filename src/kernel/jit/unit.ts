/** What is compiled: instructions with everything that the translator needs to know of the world around them. */
import type { Insn, Reg, Size } from '../../isa/index.ts';
import { LIMITS } from '../../sys/limits.ts';
import type { InsnProof } from '../verifier/index.ts';
import type { KernelFunctions } from '../wasm/native.ts';
import type { FunctionRange } from './graph.ts';
import type { WasmFunction } from './wasm/host.ts';
import type { MemoryLimits } from './wasm/module.ts';

/** How an argument register goes to an imported function. A 64-bit number as f64 is exact to 2^53, as a pointer as i32. */
export interface Argument {
  readonly reg: Reg;
  readonly as: 'i32' | 'i64' | 'f64';
}

/** A function of the host that a program calls. */
export interface HostCall {
  readonly kind: 'host';
  /** Two calls of the same name are of the same function. */
  readonly name: string;
  readonly args: readonly Argument[];
  /** The caller's frame goes behind the arguments: callbacks get theirs below it. */
  readonly frame?: true;
  /** What r0 gets: an address, a signed 32-bit number, an unsigned one to 2^53, a 64-bit one, or zero. */
  readonly result: 'address' | 's32' | 'f64' | 'i64' | 'none';
  readonly call: WasmFunction;
}

/** An argument of a function of the kernel: a register, a constant, the current CPU's number, or the address of its area. */
export type NativeArgument = Argument | { readonly value: number } | 'cpu' | 'area';

/** A function of the kernel in WebAssembly (`wasm/assembly/`) that a program calls without JavaScript in between. */
export interface NativeCall {
  readonly kind: 'native';
  readonly name: keyof KernelFunctions;
  readonly args: readonly NativeArgument[];
  readonly result: HostCall['result'];
}

/** What a call of a helper becomes. */
export type Lowering =
  | HostCall
  | NativeCall
  /** Address of an element of an array; `cpuStride` is 0 where all CPUs share the elements. */
  | {
      readonly kind: 'element';
      readonly base: number;
      readonly stride: number;
      readonly count: number;
      readonly cpuStride: number;
      /** The index where it is constant. */
      readonly index?: number;
    }
  /** The current CPU's number. */
  | { readonly kind: 'cpu' }
  | { readonly kind: 'constant'; readonly value: bigint }
  /** Through an array of table indices; 0 is empty. */
  | { readonly kind: 'tail_call'; readonly slots: number; readonly count: number }
  /** Through a map that only the run knows: the host names the table index. */
  | { readonly kind: 'tail_call_any'; readonly find: HostCall }
  /** `bpf_loop`. */
  | { readonly kind: 'loop' }
  | { readonly kind: 'unsupported'; readonly problem: string };

/** Where a context field is in the kernel's object. */
export interface FieldPlace {
  /** The struct begins where these two members of the object, added, point to. */
  readonly via?: readonly [number, number];
  /** Offsets at which a pointer is followed; a null pointer makes the value 0. */
  readonly hops: readonly number[];
  readonly offset: number;
  /** Bytes to load or store there. */
  readonly size: Size;
  readonly nonzero: boolean;
  /** Bits that the value is shifted left, then right, before it is cut to what was asked for. */
  readonly shiftLeft: number;
  readonly shiftRight: number;
  /** Values from here on are not stored. */
  readonly below?: number;
}

export interface ContextPlaces {
  /** `undefined` where the context is plain memory or the access is not allowed. */
  read(offset: number, size: Size): FieldPlace | undefined;
  write(offset: number, size: Size): FieldPlace | undefined;
}

/** Where the linear bytes of the packet are, for legacy loads: offsets of members of the context's object. */
export interface PacketPlace {
  readonly data: number;
  readonly length: number;
  /** Loads that are not simply inside: the value, or -1. */
  readonly slow: HostCall;
}

/** Accesses by the host. The address comes whole, then the value of a store, then the number of bytes. */
export interface IndirectAccess {
  /** The number of bytes comes with sixteen times the offset in the map's struct. */
  readonly mapLoad: HostCall;
  readonly arenaLoad: HostCall;
  readonly arenaStore: HostCall;
  /** Takes the operand, r0 and the instruction's slot, too. @returns the old value */
  readonly arenaAtomic: HostCall;
  /** High half of the addresses that user space has for the arena. */
  readonly userHigh: bigint;
}

export interface Unit {
  readonly name: string;
  /** By slot. */
  readonly insns: readonly (Insn | undefined)[];
  /** The functions, the entry first. */
  readonly functions: readonly FunctionRange[];
  /** By slot. What is here is taken for true: no access is checked again. */
  readonly proofs: ReadonlyMap<number, InsnProof>;
  /** By slot of a 64-bit immediate load: what it loads. */
  readonly constants: ReadonlyMap<number, bigint>;
  /** r1 of the entry: a context, or r1 and r2: memory and its length. */
  readonly entry: 'context' | 'memory';
  readonly context: ContextPlaces | undefined;
  readonly packet: PacketPlace | undefined;
  /** What a call of a helper at a slot becomes. */
  readonly helper: (slot: number, id: number) => Lowering;
  /** What a call of a kernel function at a slot becomes; absent where none is called. */
  readonly kfunc?: (slot: number, btfId: number) => Lowering;
  /** Start of the function that exceptions end in: it is called from outside. */
  readonly handler?: number;
  /** Fields of sockets, from a pointer to one. */
  readonly socket?: ContextPlaces;
  /** Loads, stores and atomic operations that are not made on the memory as it is: of arenas, and of maps' own fields. */
  readonly indirect?: IndirectAccess;
  /** Of `callx`: takes the low half of the register as a helper's number; absent where that is not run. */
  readonly register: HostCall | undefined;
  /** Called with a slot that can't be run. It throws. */
  readonly abort: HostCall;
  readonly memory: MemoryLimits;
  /** Ends the run when the fuel is used up: for code that nobody proved to end. */
  readonly fuel: boolean;
  readonly cpus: number;
}

/** A frame of the BPF stack, in bytes. */
export const FRAME = 512;
/** Frames that a run may nest: each tail call of a subprogram may begin a call chain of its own. */
const FRAMES = LIMITS.MAX_CALL_FRAMES * (LIMITS.MAX_TAIL_CALL_CNT + 1);

/**
 * The area of one processor: words of the run and, with a frame's room on either side, its stacks. Offsets in bytes.
 */
export const AREA = {
  /** Tail calls that the run has made. */
  tailCalls: 0,
  /** Number of the processor. */
  cpu: 4,
  /** Row of the packet that is run, of those that are run at once. */
  row: 8,
  /** Behind them are the words of `area-layout.ts`: the clock and the random generator. */
  /** Where frame 0 ends: r10 of the entry. */
  top: (FRAMES + 1) * FRAME,
  size: (FRAMES + 2) * FRAME,
} as const;
