/**
 * The kernel's functions in WebAssembly, instantiated over a memory. Each thread of a shared memory has an instance of its
 * own; their state is in the memory, so all are one.
 *
 * The modules are compiled when they are first needed, at once and not in the background: they are a few dozen kilobytes,
 * far below the 8 MB up to which engines let a page's main thread do that.
 */
import { Bug } from '../../base/error.ts';
import type { Addr } from '../memory/addr.ts';
import type { WasmMemory } from '../memory/webassembly.ts';
import { type KernelFunctions, SHARED, SINGLE } from './generated.ts';

export type { KernelFunctions } from './generated.ts';

/** What the functions ask of the thread that they run on. */
export interface NativeHost {
  /** Gives a map more elements. @returns whether there was memory for them */
  readonly grow: (map: number) => boolean;
  /** Lets go of what the special fields of an element's values hold. */
  readonly release: (map: number, element: number) => void;
  /** Tells who waits for a ring buffer's records that there is one. */
  readonly wake: (map: number) => void;
  /** The monotonic clock, in nanoseconds. */
  readonly now: () => number;
  /** 32 random bits, where the kernel is given them. */
  readonly random: () => number;
  /** The map at an address, where it is not kept in WebAssembly. */
  readonly mapAt: (map: number) => HostMap | undefined;
  /** Whether the thread may sleep while it waits for another; a page's main thread may not. */
  readonly mayWait: boolean;
}

/** A map that the host looks into. Addresses are those of keys and values; the answers are as those of `BpfMap`. */
export interface HostMap {
  lookup(key: Addr): number;
  update(key: Addr, value: Addr, flags: number): number;
  delete(key: Addr): number;
}

/** What one map does for the functions. */
export interface MapHooks {
  readonly grow?: () => boolean;
  readonly release?: (element: number) => void;
  readonly wake?: () => void;
}

/** The functions over the kernel's memory, with the maps that they call back. */
export class Native {
  readonly functions: KernelFunctions;
  /** By the map's address. */
  readonly hooks = new Map<number, MapHooks>();
  /** Finds maps for programs that know them only while they run. */
  mapAt: (map: number) => HostMap | undefined = () => undefined;
  /** What programs see of time and randomness, of the processor whose functions these are. */
  now: () => number = () => performance.now() * 1e6;
  random: () => number = () => 0;

  constructor(memory: WasmMemory) {
    this.functions = instantiate(memory, {
      grow: (map) => this.hooks.get(map)?.grow?.() ?? false,
      release: (map, element) => this.hooks.get(map)?.release?.(element),
      wake: (map) => this.hooks.get(map)?.wake?.(),
      now: () => this.now(),
      random: () => this.random() | 0,
      mapAt: (map) => this.mapAt(map),
      mayWait: mayWait(),
    });
  }
}

declare const compiled: unique symbol;
interface Module {
  readonly [compiled]: true;
}

interface Namespace {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => Module;
  readonly Instance: new (
    module: Module,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => { readonly exports: unknown };
  readonly Global: new (descriptor: { readonly value: 'i32' }, value: number) => object;
}

const modules = new Map<string, Module>();

function moduleOf(wasm: Namespace, base64: string): Module {
  let module = modules.get(base64);
  if (!module) {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
    module = new wasm.Module(bytes);
    modules.set(base64, module);
  }
  return module;
}

export function instantiate(memory: WasmMemory, host: NativeHost): KernelFunctions {
  const wasm = (globalThis as unknown as { WebAssembly: Namespace }).WebAssembly;
  const { buffer } = memory;
  const shared = typeof SharedArrayBuffer !== 'undefined' && buffer instanceof SharedArrayBuffer;
  const { exports } = new wasm.Instance(moduleOf(wasm, shared ? SHARED : SINGLE), {
    env: { memory },
    host: {
      grow: (map: number) => (host.grow(map >>> 0) ? 1 : 0),
      release: (map: number, element: number) => host.release(map >>> 0, element >>> 0),
      wake: (map: number) => host.wake(map >>> 0),
      now: host.now,
      random: host.random,
      map_lookup: (map: number, key: number) => known(host, map).lookup(addr(key)),
      map_update: (map: number, key: number, value: number, flags: number) =>
        known(host, map).update(addr(key), addr(value), flags >>> 0),
      map_delete: (map: number, key: number) => known(host, map).delete(addr(key)),
      mayWait: new wasm.Global({ value: 'i32' }, host.mayWait ? 1 : 0),
    },
  });
  return exports as KernelFunctions;
}

const addr = (value: number): Addr => (value >>> 0) as Addr;

function known(host: NativeHost, at: number): HostMap {
  const map = host.mapAt(at >>> 0);
  if (!map) throw new Bug(`0x${(at >>> 0).toString(16)} is no map`);
  return map;
}

/** Whether this thread may sleep: everywhere but on a page's main thread. */
export function mayWait(): boolean {
  return !('window' in globalThis && 'document' in globalThis);
}
