/** What calls of helpers become: a few instructions, or calls of the kernel with arguments as narrow as they can be. */
import { Bug } from '../../base/error.ts';
import type { Reg } from '../../isa/index.ts';
import { type Helper, helperName } from '../../sys/helper-ids.ts';
import type { ProgType } from '../../sys/tables.ts';
import { IMPLEMENTATIONS } from '../helpers/implementations.ts';
import { prototype } from '../helpers/prototypes.ts';
import type { ArgKind } from '../helpers/prototypes-arg.ts';
import type { CallbackPlan, HelperImpl, HelperResult } from '../interpreter/environment.ts';
import { ArrayMap, PercpuArrayMap } from '../maps/array.ts';
import type { BpfMap, NativeOperations } from '../maps/map.ts';
import { ProgArrayMap } from '../maps/prog-array.ts';
import type { InsnProof } from '../verifier/index.ts';
import { memoryLimits } from './memory-limits.ts';
import type { JitRun } from './run.ts';
import type { Argument, HostCall, Lowering, NativeCall } from './unit.ts';

/** What lowering asks of the kernel's compiler. */
export interface LoweringHost {
  readonly run: JitRun;
  readonly type: ProgType;
  /** The maps that the program uses, in the order of its verified form. */
  readonly maps: readonly BpfMap[];
  /** Address of the table indices of a prog array's programs. */
  readonly programSlots: (map: ProgArrayMap) => number;
  /** Table index of the program in a slot of a map that only the run knows; 0 is none. */
  readonly findProgram: (map: number, index: number) => number;
}

export function lowerHelper(host: LoweringHost, id: number, proof: InsnProof | undefined): Lowering {
  const name = helperName(id);
  if (name === undefined || !Object.hasOwn(IMPLEMENTATIONS, name)) {
    return { kind: 'unsupported', problem: `there is no helper ${id} here` };
  }
  if (host.run.kernel.mocks.has(name)) return generic(host, name as Helper & keyof typeof IMPLEMENTATIONS);
  const map = host.maps[proof?.call?.map ?? -1];
  const inlined = inline(host, name, map, proof);
  if (inlined) return inlined;
  const native = map ? lowerNative(map, name) : lowerAny(host, name);
  if (native) return native;
  const helper = HELPER_CALLS[name] ?? INPUT_CALLS[name]?.(host.run);
  if (helper) return { ...helper, kind: 'native' };
  if (map) {
    const call = MAP_CALLS[name]?.(map, host.run);
    if (call) return { ...call, kind: 'host', name: `${name} ${map.addr}` };
  }
  const call = RUN_CALLS[name]?.(host.run);
  if (call) return { ...call, kind: 'host', name };
  return generic(host, name as Helper & keyof typeof IMPLEMENTATIONS);
}

function inline(
  host: LoweringHost,
  name: Helper,
  map: BpfMap | undefined,
  proof: InsnProof | undefined,
): Lowering | undefined {
  switch (name) {
    case 'get_smp_processor_id':
      return { kind: 'cpu' };
    case 'get_numa_node_id':
      return { kind: 'constant', value: 0n };
    case 'spin_lock':
    case 'spin_unlock':
      // Over a memory that one thread has to itself a lock is always free.
      return memoryLimits(host.run.machine.memory).shared
        ? { kind: 'native', name, args: [i32(1)], result: 'none' }
        : { kind: 'constant', value: 0n };
    case 'loop':
      return { kind: 'loop' };
    case 'map_lookup_elem':
      return map && element(map, proof?.call?.key);
    case 'tail_call':
      if (map instanceof ProgArrayMap) {
        return { kind: 'tail_call', slots: host.programSlots(map), count: map.shape.maxEntries };
      }
      return {
        kind: 'tail_call_any',
        find: {
          kind: 'host',
          name: 'tail_call',
          args: [i32(2), i32(3)],
          result: 'address',
          call: (at: number, index: number) => host.findProgram(at >>> 0, index >>> 0),
        },
      };
    default:
      return undefined;
  }
}

function element(map: BpfMap, key: Uint8Array | undefined): Lowering | undefined {
  if (!(map instanceof ArrayMap || map instanceof PercpuArrayMap)) return undefined;
  const { base, stride, cpuStride } = map.elementPlaces;
  const index =
    key && key.length === 4 ? new DataView(key.buffer, key.byteOffset).getUint32(0, true) : undefined;
  return {
    kind: 'element',
    base,
    stride,
    cpuStride,
    count: map.shape.maxEntries,
    ...(index !== undefined && { index }),
  };
}

const i32 = (reg: Reg): Argument => ({ reg, as: 'i32' });
const i64 = (reg: Reg): Argument => ({ reg, as: 'i64' });
const f64 = (reg: Reg): Argument => ({ reg, as: 'f64' });

/** Operations of maps that are known, in WebAssembly: the operation, what it takes of the helper's arguments, and the result. */
const NATIVE_CALLS: Partial<
  Readonly<
    Record<
      Helper,
      {
        readonly of: keyof NativeOperations;
        readonly args: readonly Argument[];
        readonly result: 'address' | 's32';
      }
    >
  >
> = {
  map_lookup_elem: { of: 'lookup', args: [i32(2)], result: 'address' },
  map_lookup_percpu_elem: { of: 'lookupPercpu', args: [i32(2), i32(3)], result: 'address' },
  map_update_elem: { of: 'update', args: [i32(2), i32(3), i64(4)], result: 's32' },
  map_delete_elem: { of: 'delete', args: [i32(2)], result: 's32' },
  map_push_elem: { of: 'push', args: [i32(2), i64(3)], result: 's32' },
  map_pop_elem: { of: 'pop', args: [i32(2)], result: 's32' },
  map_peek_elem: { of: 'peek', args: [i32(2)], result: 's32' },
};

/** Helpers that need no map that is known: those on ring buffers find it in r1, or from the record there. */
const HELPER_CALLS: Partial<Readonly<Record<Helper, Omit<NativeCall, 'kind'>>>> = {
  ringbuf_reserve: { name: 'ring_reserve', args: [i32(1), i64(2), i64(3)], result: 'address' },
  ringbuf_submit: { name: 'ring_submit', args: [i32(1), i64(2)], result: 'none' },
  ringbuf_discard: { name: 'ring_discard', args: [i32(1), i64(2)], result: 'none' },
  ringbuf_output: { name: 'ring_output', args: [i32(1), i32(2), i32(3), i64(4)], result: 's32' },
  csum_diff: { name: 'csum_diff', args: [i32(1), i32(2), i32(3), i32(4), i32(5)], result: 'address' },
  ringbuf_query: { name: 'ring_query', args: [i32(1), i64(2)], result: 'i64' },
};

function lowerNative(map: BpfMap, helper: Helper): NativeCall | undefined {
  const call = NATIVE_CALLS[helper];
  const operation = call && map.native[call.of];
  if (!operation) return undefined;
  const args = [{ value: map.addr }, ...call.args, ...(operation.cpu ? (['cpu'] as const) : [])];
  return { kind: 'native', name: operation.name, args, result: call.result };
}

/** The same of maps that only the run knows: those that a program found in another map. */
const ANY_CALLS: Partial<Readonly<Record<Helper, Omit<NativeCall, 'kind'>>>> = {
  map_lookup_elem: { name: 'any_lookup', args: [i32(1), i32(2), 'cpu'], result: 'address' },
  map_update_elem: { name: 'any_update', args: [i32(1), i32(2), i32(3), i64(4), 'cpu'], result: 's32' },
  map_delete_elem: { name: 'any_delete', args: [i32(1), i32(2), 'cpu'], result: 's32' },
};

function lowerAny({ run: { kernel } }: LoweringHost, helper: Helper): NativeCall | undefined {
  const call = ANY_CALLS[helper];
  if (!call) return undefined;
  kernel.machine.memory.native.mapAt = (at) => kernel.mapAt(at);
  return { ...call, kind: 'native' };
}

type Call = Pick<HostCall, 'args' | 'result' | 'call'>;

/** Calls on a map that is known, without its pointer. Addresses come as signed numbers. */
const MAP_CALLS: Partial<Readonly<Record<Helper, (map: BpfMap, run: JitRun) => Call | undefined>>> = {
  map_lookup_elem: (map) => ({
    args: [i32(2)],
    result: 'address',
    call: (key: number) => map.lookup(addr(key)),
  }),
  map_update_elem: (map) => ({
    args: [i32(2), i32(3), f64(4)],
    result: 's32',
    call: (key: number, value: number, flags: number) => map.update(addr(key), addr(value), flags),
  }),
  map_delete_elem: (map) => ({
    args: [i32(2)],
    result: 's32',
    call: (key: number) => map.delete(addr(key)),
  }),
  map_push_elem: (map) => ({
    args: [i32(2), f64(3)],
    result: 's32',
    call: (value: number, flags: number) => map.push(addr(value), flags),
  }),
  map_pop_elem: (map) => ({
    args: [i32(2)],
    result: 's32',
    call: (value: number) => map.pop(addr(value)),
  }),
  map_peek_elem: (map) => ({
    args: [i32(2)],
    result: 's32',
    call: (value: number) => map.peek(addr(value)),
  }),
};

/** Of the kernel's inputs: the clock where it is the host's, and its random generator. */
const INPUT_CALLS: Partial<Readonly<Record<Helper, (run: JitRun) => Omit<NativeCall, 'kind'> | undefined>>> =
  {
    ktime_get_ns: time('clock_ns'),
    ktime_get_boot_ns: time('clock_ns'),
    ktime_get_coarse_ns: time('clock_coarse_ns'),
    jiffies64: time('clock_jiffies'),
    get_prandom_u32: ({ machine }) =>
      machine.source && { name: 'prandom', args: ['area'], result: 'address' },
  };

function time(name: NativeCall['name']) {
  return ({ machine }: JitRun): Omit<NativeCall, 'kind'> | undefined =>
    machine.hostTime ? { name, args: ['area'], result: 'i64' } : undefined;
}

/** Calls that need nothing but the run. */
const RUN_CALLS: Partial<Readonly<Record<Helper, (run: JitRun) => Call>>> = {
  // As a signed number, which the engine need not box.
  get_prandom_u32: ({ machine }) => ({ args: [], result: 'address', call: () => machine.random() | 0 }),
};

const addr = (value: number) => (value >>> 0) as Parameters<BpfMap['lookup']>[0];

/** Arguments that are addresses or sizes in it: their upper half is zero, or nobody looks at it. */
const NARROW: ReadonlySet<ArgKind> = new Set<ArgKind>([
  'ctx',
  'const_map_ptr',
  'map_key',
  'map_value',
  'mem',
  'const_size',
  'const_size_or_zero',
  'const_alloc_size_or_zero',
  'ringbuf_mem',
  'spin_lock',
]);

/** The helper as the interpreter calls it. */
function generic({ run, type }: LoweringHost, name: Helper & keyof typeof IMPLEMENTATIONS): HostCall {
  const facts = prototype(name, type);
  const implementation: HelperImpl = run.kernel.mocks.get(name) ?? IMPLEMENTATIONS[name];
  const args = facts.args.map(
    ({ kind }, i): Argument => ({ reg: (i + 1) as Reg, as: NARROW.has(kind) ? 'i32' : 'i64' }),
  );
  for (let reg = args.length + 1; facts.variadic && reg <= 5; reg++)
    args.push({ reg: reg as Reg, as: 'i64' });
  const callsBack = facts.args.some(({ kind }) => kind === 'func');
  const wide = args.map(({ as }) => as === 'i64');
  const value = (given: readonly (number | bigint)[], i: number): bigint => {
    const arg = given[i];
    if (arg === undefined) return 0n;
    return wide[i] ? BigInt.asUintN(64, arg as bigint) : BigInt((arg as number) >>> 0);
  };
  const invoke = (given: readonly (number | bigint)[]): HelperResult =>
    implementation(run, value(given, 0), value(given, 1), value(given, 2), value(given, 3), value(given, 4));
  const call = callsBack
    ? (...given: (number | bigint)[]) => {
        const frame = given.pop() as number;
        const result = invoke(given);
        return typeof result === 'object' ? run.callBack(result, frame) : BigInt(result);
      }
    : (...given: (number | bigint)[]) => plain(name, invoke(given));
  return { kind: 'host', name, args, result: 'i64', call, ...(callsBack && { frame: true as const }) };
}

/** A kernel function as the interpreter calls it. Its arguments come whole. */
export function lowerKfunc(run: JitRun, slot: number): Lowering {
  const kfunc = run.program.kfuncs.get(slot);
  if (!kfunc) return { kind: 'unsupported', problem: 'the kernel function is not here' };
  const { name, narrow } = kfunc;
  const implementation = run.kernel.mocks.get(name) ?? kfunc.call;
  const args = Array.from({ length: kfunc.args }, (_, i): Argument => ({ reg: (i + 1) as Reg, as: 'i64' }));
  const call = (...given: (bigint | number)[]): bigint => {
    const frame = given.pop() as number;
    const arg = (i: number) => BigInt.asUintN(64, (given[i] as bigint | undefined) ?? 0n);
    const answer = implementation(run, arg(0), arg(1), arg(2), arg(3), arg(4));
    const result = typeof answer === 'object' ? run.callBack(answer, frame) : BigInt(answer);
    return narrow ? BigInt.asUintN(32, result) : result;
  };
  return { kind: 'host', name, args, result: 'i64', call, frame: true };
}

function plain(name: string, result: bigint | number | CallbackPlan): bigint {
  if (typeof result === 'object') throw new Bug(`bpf_${name} calls back, which its prototype does not say`);
  return BigInt(result);
}
