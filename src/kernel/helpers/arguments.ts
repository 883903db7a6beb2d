/**
 * Checks a helper's arguments against its prototype while the program runs: what the verifier proves before, for
 * programs that it has not explored.
 */
import { type Helper, helperId } from '../../sys/helper-ids.ts';
import { type MapType, mapTypeId } from '../../sys/map-types.ts';
import type { ArgumentScope } from '../interpreter/environment.ts';
import { takesMapType } from './map-types.ts';
import type { Arg, Prototype } from './prototypes-arg.ts';

const MAX_SIZE = 1n << 29n;

/** What is wrong with the arguments in r1 to r5, or `undefined`. */
export function argumentProblem(
  run: ArgumentScope,
  helper: Helper,
  prototype: Prototype,
): string | undefined {
  const { args } = prototype;
  for (let i = 0; i < args.length; i++) {
    const problem = checkArgument(run, helper, args, i);
    if (problem !== undefined) return `R${i + 1}: ${problem}`;
  }
  return undefined;
}

function checkArgument(
  run: ArgumentScope,
  helper: Helper,
  args: readonly Arg[],
  i: number,
): string | undefined {
  const arg = args[i]!;
  const value = run.regs[i + 1]!;
  if (arg.nullable && value === 0n) return undefined;
  switch (arg.kind) {
    case 'anything':
    case 'const_alloc_size_or_zero':
    case 'btf_id':
    case 'percpu_btf_id':
    case 'sock_common':
    case 'socket':
    case 'btf_id_sock_common':
      return undefined;
    case 'const_size':
      if (value === 0n) return 'invalid zero-sized read';
      return checkSize(value);
    case 'const_size_or_zero':
      return checkSize(value);
    case 'ctx':
      return value === BigInt(run.context?.addr ?? -1) ? undefined : 'expected=ctx';
    case 'const_map_ptr':
      return run.isMap(value) ? checkMapType(helper, run.map(value).shape.type) : 'expected=map_ptr';
    case 'map_key':
      return checkElement(run, value, 'key', false);
    case 'map_value':
      return checkElement(run, value, 'value', arg.access === 'uninit');
    case 'mem': {
      const next = args[i + 1]?.kind;
      const sized = next === 'const_size' || next === 'const_size_or_zero';
      const size = arg.size !== undefined ? BigInt(arg.size) : sized ? run.regs[i + 2]! : 0n;
      return checkSize(size) ?? checkMemory(run, value, Number(size), arg.access !== 'read');
    }
    case 'func':
      return run.isFunction(value) ? undefined : 'expected=func';
    case 'stack':
      return checkMemory(run, value, 1, true);
    case 'const_str':
      return checkMemory(run, value, 1, false);
    case 'spin_lock':
      return checkMemory(run, value, 4, true);
    case 'timer':
    case 'dynptr':
      return checkMemory(run, value, 16, true);
    case 'ringbuf_mem':
      return run.acquired.has(Number(value)) ? undefined : 'expected=ringbuf_mem';
    case 'kptr_xchg_dest':
      return checkMemory(run, value, 1, true);
  }
}

function checkMapType(helper: Helper, type: MapType): string | undefined {
  if (takesMapType(helper, type)) return undefined;
  return `cannot pass map_type ${mapTypeId(type)} into func bpf_${helper}#${helperId(helper)}`;
}

function checkSize(size: bigint): string | undefined {
  return size < MAX_SIZE ? undefined : 'unbounded memory access, make sure to bounds check any such access';
}

/** A key or value belongs to the map in r1. */
function checkElement(
  run: ArgumentScope,
  addr: bigint,
  what: 'key' | 'value',
  write: boolean,
): string | undefined {
  if (!run.isMap(run.regs[1]!)) return undefined;
  const { keySize, valueSize, type } = run.map(run.regs[1]!).shape;
  // Sockets are passed themselves, and are not read.
  if (what === 'value' && (type === 'sockmap' || type === 'sockhash')) return undefined;
  return checkMemory(run, addr, what === 'key' ? keySize : valueSize, write);
}

function checkMemory(run: ArgumentScope, addr: bigint, size: number, write: boolean): string | undefined {
  return size === 0 ? undefined : run.memoryProblem(addr, size, write);
}
