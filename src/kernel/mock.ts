/**
 * Helpers and kernel functions in a test's own words: any of them can be replaced, for one kernel, by a function of
 * TypeScript. What it is given follows from the helper's prototype.
 *
 * | argument | given as |
 * |--|--|
 * | number | `bigint`, unsigned 64 bits |
 * | size of memory | `number` |
 * | memory, key, value | `Uint8Array`: a window into the kernel's memory, good until the function returns |
 * | what may be NULL | also `undefined` |
 * | map | {@link MockMap} |
 * | context | {@link MockContext} |
 * | constant string | `string` |
 * | function, socket, BTF pointer, dynptr, timer, … | its address, as a `bigint` |
 */
import { InputError } from '../base/error.ts';
import type { Size } from '../isa/index.ts';
import { type Errno, errnoId } from '../sys/errno.ts';
import { HELPERS, type Helper } from '../sys/helper-ids.ts';
import type { MapType, ProgType } from '../sys/tables.ts';
import { IMPLEMENTATIONS } from './helpers/implementations.ts';
import { prototype } from './helpers/prototypes.ts';
import type { Arg } from './helpers/prototypes-arg.ts';
import type { MAP_PROTOTYPES } from './helpers/prototypes-map.ts';
import type { PACKET_PROTOTYPES } from './helpers/prototypes-packet.ts';
import type { SOCKET_PROTOTYPES } from './helpers/prototypes-socket.ts';
import type { TRACING_PROTOTYPES } from './helpers/prototypes-tracing.ts';
import type {
  HelperImpl,
  HelperResult,
  HelperRun,
  RunContext,
  RunKernel,
  Task,
} from './interpreter/index.ts';
import { KFUNC_IMPLEMENTATIONS } from './kfuncs/implementations.ts';
import type { BpfMap } from './maps/index.ts';
import { type Addr, NULL } from './memory/index.ts';

type Tables = typeof MAP_PROTOTYPES &
  typeof PACKET_PROTOTYPES &
  typeof SOCKET_PROTOTYPES &
  typeof TRACING_PROTOTYPES;

/** A map, as a mock is given it. */
export interface MockMap {
  readonly name: string;
  readonly type: MapType;
  /** Bytes. */
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** A copy of a value as programs see it, or `undefined` where there is none. */
  lookup(key: Uint8Array): Uint8Array | undefined;
}

/** What the program is run on, as a mock is given it. */
export interface MockContext {
  /** Bytes. */
  readonly size: number;
  /** A field as the program reads it, or `undefined` where it may not. */
  read(offset: number, size: Size): bigint | undefined;
}

/** What a mock finds in `this`. */
export interface MockCall {
  /** Calls so far, this one included. */
  readonly calls: number;
  /** The program that calls. */
  readonly program: { readonly name: string; readonly type: ProgType };
  readonly cpu: number;
  readonly task: Task;
  /** What the kernel's own function does with the same arguments; a mock may return it. */
  original(): MockResult;
  /** The number that says an errno in r0: `this.errno('EPERM')` is -1. */
  errno(name: Errno): number;
}

/** What goes into r0. Nothing is 0. */
export type MockResult = HelperResult | boolean | undefined;

type Memory = 'mem' | 'map_key' | 'map_value' | 'ringbuf_mem';

type Given<A> = A extends { readonly kind: infer K }
  ?
      | (K extends Memory
          ? Uint8Array
          : K extends 'const_map_ptr'
            ? MockMap
            : K extends 'ctx'
              ? MockContext
              : K extends 'const_str'
                ? string
                : K extends 'const_size' | 'const_size_or_zero' | 'const_alloc_size_or_zero'
                  ? number
                  : bigint)
      | (A extends { readonly nullable: true } ? undefined : never)
  : never;

type GivenAll<T extends readonly unknown[]> = { -readonly [I in keyof T]: Given<T[I]> };

/** Names of helpers, with or without `bpf_`. */
export type MockName = Helper | `bpf_${Helper}`;

type HelperOf<N> = N extends Helper ? N : N extends `bpf_${infer H}` ? (H extends Helper ? H : never) : never;

/** The arguments of a mock of the helper; of a kernel function: what r1 to r5 hold. */
export type MockArguments<N extends string> = [HelperOf<N>] extends [never]
  ? bigint[]
  : HelperOf<N> extends keyof Tables
    ? Tables[HelperOf<N>] extends { readonly args: infer T extends readonly unknown[] }
      ? GivenAll<T>
      : bigint[]
    : bigint[];

/** A function in the place of a helper (`ktime_get_ns`, `bpf_ktime_get_ns`) or a kernel function (`bpf_strcmp`). */
export type MockFunction<N extends string> = (this: MockCall, ...args: MockArguments<N>) => MockResult;

/** A replacement that holds until it is restored. */
export interface Mock extends Disposable {
  readonly name: string;
  /** How often programs called it. */
  readonly calls: number;
  /** Puts the kernel's own function back. */
  restore(): void;
}

/** @throws InputError where the kernel has no such function */
export function installMock<N extends string>(kernel: RunKernel, name: N, call: MockFunction<N>): Mock {
  const target = targetOf(name);
  let calls = 0;
  const run: HelperImpl = (run, ...regs) => {
    calls += 1;
    const self: MockCall = {
      calls,
      program: { name: run.program.name, type: run.program.type },
      cpu: run.machine.cpu,
      task: run.kernel.task,
      original: () => target.original(run, ...regs),
      errno: (errno) => -errnoId(errno),
    };
    const args = target.helper === undefined ? regs : givenArguments(run, target.helper, regs);
    return resultOf(name, call.apply(self, args as MockArguments<N>));
  };
  kernel.mocks.set(target.key, run);
  const restore = () => {
    // A later mock of the same function stays.
    if (kernel.mocks.get(target.key) === run) kernel.mocks.set(target.key, undefined);
  };
  return {
    name,
    get calls() {
      return calls;
    },
    restore,
    [Symbol.dispose]: restore,
  };
}

interface Target {
  readonly key: string;
  readonly helper?: Helper;
  readonly original: HelperImpl;
}

function targetOf(name: string): Target {
  const short = name.startsWith('bpf_') ? name.slice('bpf_'.length) : name;
  const kfunc = KFUNC_IMPLEMENTATIONS.get(name);
  if (kfunc) return { key: name, original: kfunc.call };
  if (Object.hasOwn(IMPLEMENTATIONS, short)) {
    const helper = short as Helper & keyof typeof IMPLEMENTATIONS;
    return { key: helper, helper, original: IMPLEMENTATIONS[helper] };
  }
  const known = Object.hasOwn(HELPERS, short);
  throw new InputError(
    'kernel-mock',
    `replacing ${name}: ${known ? 'this kernel does not have that helper' : 'there is no helper and no kernel function of that name'}`,
    { errno: 'ENOENT' },
  );
}

function resultOf(name: string, result: MockResult): HelperResult {
  switch (typeof result) {
    case 'undefined':
      return 0n;
    case 'boolean':
      return BigInt(result);
    case 'number':
      if (Number.isInteger(result)) return BigInt(result);
      throw new InputError('kernel-mock', `the mock of ${name} returned ${result}, which is no whole number`);
    default:
      return result;
  }
}

function givenArguments(run: HelperRun, helper: Helper, regs: readonly bigint[]): unknown[] {
  const { args } = prototype(helper, run.program.type);
  let map: BpfMap | undefined;
  return args.map((arg, i) => {
    const value = regs[i]!;
    if (arg.kind === 'const_map_ptr') map = run.kernel.mapAt(Number(BigInt.asUintN(32, value)));
    return given(run, arg, value, { size: sizeAfter(args, regs, i), map });
  });
}

/** Bytes of a memory argument by the size argument behind it. */
function sizeAfter(args: readonly Arg[], regs: readonly bigint[], i: number): number | undefined {
  const next = args[i + 1]?.kind;
  return next === 'const_size' || next === 'const_size_or_zero'
    ? Number(BigInt.asUintN(32, regs[i + 1]!))
    : undefined;
}

interface Beside {
  readonly size: number | undefined;
  readonly map: BpfMap | undefined;
}

function given(run: HelperRun, arg: Arg, value: bigint, { size, map }: Beside): unknown {
  const addr = Number(BigInt.asUintN(32, value)) as Addr;
  switch (arg.kind) {
    case 'mem':
    case 'map_key':
    case 'map_value':
    case 'ringbuf_mem': {
      if (addr === NULL) return arg.nullable ? undefined : new Uint8Array(0);
      const bytes =
        arg.kind === 'map_key'
          ? map?.shape.keySize
          : arg.kind === 'map_value'
            ? map?.shape.valueSize
            : undefined;
      const region = run.machine.memory.region(addr);
      const room = region ? region.end - addr : 0;
      return run.machine.memory.window(addr, arg.size ?? bytes ?? size ?? room);
    }
    case 'const_map_ptr':
      return map && mockMap(run, map);
    case 'ctx':
      return run.context ? mockContext(run.context) : arg.nullable ? undefined : NO_CONTEXT;
    case 'const_str':
      return text(run, addr);
    case 'const_size':
    case 'const_size_or_zero':
    case 'const_alloc_size_or_zero':
      return addr as number;
    default:
      return arg.nullable && addr === NULL ? undefined : BigInt.asUintN(64, value);
  }
}

function mockMap(run: HelperRun, map: BpfMap): MockMap {
  const { name, type, keySize, valueSize, maxEntries } = map.shape;
  return {
    name,
    type,
    keySize,
    valueSize,
    maxEntries,
    lookup(key) {
      const { memory } = run.machine;
      const at = memory.allocate(keySize, { kind: 'kernel', owner: map.label, access: 'none' });
      try {
        memory.write(at, key.subarray(0, keySize));
        const value = map.lookup(at);
        return value === NULL ? undefined : memory.read(value, valueSize);
      } finally {
        memory.free(at);
      }
    },
  };
}

function mockContext(context: RunContext): MockContext {
  return { size: context.size, read: (offset, size) => context.read(offset, size) };
}

const NO_CONTEXT: MockContext = { size: 0, read: () => undefined };

function text(run: HelperRun, addr: Addr): string {
  const { u8 } = run.machine.memory;
  const end = u8.indexOf(0, addr);
  return new TextDecoder().decode(Uint8Array.from(u8.subarray(addr, end)));
}
