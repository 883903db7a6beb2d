/** How the threads of one run talk: what one is told to do, what it answers, and what carries that. */

import type { CaptureCounts } from '../batch/counts.ts';
import type { LoopFacts } from '../batch/packet-loop.ts';
import type { Task } from '../interpreter/environment.ts';
import type { WasmModule } from '../jit/wasm/host.ts';
import type { Addr, MemoryPart } from '../memory/index.ts';
import type { Geometry, Share } from './control.ts';

/** A program as another thread gets it. */
export interface SentProgram {
  readonly name: string;
  /** Its place in the table, the same on all threads. */
  readonly index: number;
  readonly module: WasmModule;
  /** Names of the functions of the host that it imports. */
  readonly host: readonly string[];
}

/** Everything that a processor needs to know. Plain data, modules and a memory: it can be posted. */
export interface ProcessorOrder {
  readonly cpu: number;
  readonly cpus: number;
  readonly loop: LoopFacts;
  /** The one that packets are given to first. */
  readonly programs: readonly SentProgram[];
  readonly area: Addr;
  readonly part: MemoryPart;
  readonly geometry: Geometry;
  readonly share: Share;
  /** Tables of the flows' hash. */
  readonly tables: Addr;
  /** Where the processor reads the capture, in the words of who embeds the kernel; absent where it is put into memory. */
  readonly source?: unknown;
  readonly task: Task;
  readonly seed: number;
  /** Milliseconds since 1970 at which the kernel's host clock began. */
  readonly timeOrigin: number;
}

export type ProcessorAnswer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'trace'; readonly line: string }
  | { readonly kind: 'done'; readonly counts: CaptureCounts }
  | {
      readonly kind: 'failed';
      readonly message: string;
      /** The code of an {@link InputError}: the capture could not be read. */
      readonly input?: string;
    };

/** Reads the capture from a position on. @returns bytes read; 0 at the end */
export type ReadAt = (position: number, into: Uint8Array) => number;

/** Opens what an order names as its source. */
export type OpenSource = (source: unknown) => ReadAt;

/** A worker thread as the thread that made it sees it. */
export interface Thread {
  readonly post: (order: ProcessorOrder) => void;
  /** Told of each answer, and of an error that ended the thread. */
  onAnswer: ((answer: ProcessorAnswer) => void) | undefined;
  readonly terminate: () => void | Promise<unknown>;
}

/** Makes a thread that runs `serveProcessor`. */
export type ThreadMaker = () => Thread;
