/**
 * What a helper wants in an argument register, and which register types Linux takes for it.
 *
 * @see include/linux/bpf.h, enum bpf_arg_type; kernel/bpf/verifier.c, compatible_reg_types
 */
import type { Helper } from '../../sys/index.ts';

export type ArgKind =
  /** Any initialised register. */
  | 'anything'
  | 'ctx'
  | 'const_map_ptr'
  | 'map_key'
  | 'map_value'
  | 'mem'
  /** Size of the memory argument before it, not zero. */
  | 'const_size'
  | 'const_size_or_zero'
  /** A constant: the size of what is returned. */
  | 'const_alloc_size_or_zero'
  | 'spin_lock'
  | 'sock_common'
  | 'socket'
  /** A socket of the verifier's own types or a BTF pointer to one. */
  | 'btf_id_sock_common'
  | 'btf_id'
  | 'percpu_btf_id'
  | 'ringbuf_mem'
  | 'func'
  | 'stack'
  /** A zero-terminated string in a read-only map. */
  | 'const_str'
  | 'timer'
  | 'kptr_xchg_dest'
  | 'dynptr';

export type DynptrKind = 'local' | 'ringbuf';

export interface Arg {
  readonly kind: ArgKind;
  /** NULL is taken too. */
  readonly nullable?: true;
  /** Memory and dynptrs: `read` only, `write` (contents must be initialised), or `uninit` (written, need not be initialised). */
  readonly access?: 'read' | 'write' | 'uninit';
  /** Memory of a fixed size, in bytes. */
  readonly size?: number;
  /** Fixed-size memory must be naturally aligned. */
  readonly aligned?: true;
  /** Kernel struct of a `btf_id`. */
  readonly btf?: string;
  /** The reference that the argument holds is given up. */
  readonly release?: true;
  /** Which dynptrs are taken or, with `uninit`, made; absent: any. */
  readonly dynptr?: DynptrKind;
}

export const ANY = { kind: 'anything' } as const satisfies Arg;
export const CTX = { kind: 'ctx' } as const satisfies Arg;
export const CTX_OR_NULL = { kind: 'ctx', nullable: true } as const satisfies Arg;
export const MAP = { kind: 'const_map_ptr' } as const satisfies Arg;
export const KEY = { kind: 'map_key' } as const satisfies Arg;
export const VALUE = { kind: 'map_value' } as const satisfies Arg;
export const VALUE_OR_NULL = { kind: 'map_value', nullable: true } as const satisfies Arg;
export const UNINIT_VALUE = { kind: 'map_value', access: 'uninit' } as const satisfies Arg;
export const READ_MEM = { kind: 'mem', access: 'read' } as const satisfies Arg;
export const READ_MEM_OR_NULL = { kind: 'mem', access: 'read', nullable: true } as const satisfies Arg;
export const WRITE_MEM = { kind: 'mem', access: 'write' } as const satisfies Arg;
export const WRITE_MEM_OR_NULL = { kind: 'mem', access: 'write', nullable: true } as const satisfies Arg;
export const UNINIT_MEM = { kind: 'mem', access: 'uninit' } as const satisfies Arg;
export const SIZE = { kind: 'const_size' } as const satisfies Arg;
export const SIZE_OR_ZERO = { kind: 'const_size_or_zero' } as const satisfies Arg;
export const ALLOC_SIZE = { kind: 'const_alloc_size_or_zero' } as const satisfies Arg;
export const SOCK_COMMON = { kind: 'sock_common' } as const satisfies Arg;
export const BTF_SOCK = { kind: 'btf_id_sock_common' } as const satisfies Arg;
export const BTF_SOCK_OR_NULL = { kind: 'btf_id_sock_common', nullable: true } as const satisfies Arg;
export const FUNC = { kind: 'func' } as const satisfies Arg;
export const STACK_OR_NULL = { kind: 'stack', nullable: true } as const satisfies Arg;
export const CONST_STR = { kind: 'const_str' } as const satisfies Arg;
export const TIMER = { kind: 'timer' } as const satisfies Arg;
export const OUT_LONG = { kind: 'mem', access: 'uninit', size: 8, aligned: true } as const satisfies Arg;

export const btf = (name: string) => ({ kind: 'btf_id', btf: name }) as const satisfies Arg;
export const btfOrNull = (name: string) =>
  ({ kind: 'btf_id', btf: name, nullable: true }) as const satisfies Arg;
export const readFixed = (size: number) => ({ kind: 'mem', access: 'read', size }) as const satisfies Arg;

/** What r0 holds after the call. */
export type ReturnKind =
  | 'integer'
  | 'void'
  | 'map_value'
  | 'map_value_or_null'
  | 'socket_or_null'
  | 'tcp_sock_or_null'
  | 'sock_common_or_null'
  | 'ringbuf_mem_or_null'
  | 'dynptr_mem_or_null'
  | 'btf_id'
  | 'btf_id_trusted'
  | 'btf_id_or_null'
  /** Of a per-CPU variable: read-only memory for a scalar, a BTF pointer for a struct. */
  | 'mem_or_btf_id'
  | 'mem_or_btf_id_or_null';

export interface Prototype {
  readonly args: readonly Arg[];
  readonly ret: ReturnKind;
  /** Kernel struct that a `btf_id` result points to; absent where the arguments decide. */
  readonly retBtf?: string;
  /** What is known of an integer result: a size up to the size argument or a negative errno; the number of a CPU. */
  readonly retRange?: 'size_or_errno' | 'cpu';
  /** Registers behind the named arguments are read as they are, unverified. */
  readonly variadic?: true;
  readonly gplOnly?: true;
  /** Packet pointers may be passed as memory. */
  readonly packetAccess?: true;
  readonly mightSleep?: true;
  /** Invalidates packet pointers. */
  readonly changesPacket?: true;
  /** r0 holds a reference that must be released. */
  readonly acquires?: true;
  /** r1 to r5 that are no arguments survive where the compiler says so. */
  readonly fastcall?: true;
}

export type Prototypes = Partial<Readonly<Record<Helper, Prototype>>>;

const MEM_TYPES = [
  'fp',
  'pkt',
  'pkt_meta',
  'map_key',
  'map_value',
  'mem',
  'ringbuf_mem',
  'buf',
  'trusted_ptr_',
] as const;

/** Register types that an argument takes, as the log names them and in the order in which it lists them. */
export const COMPATIBLE_TYPES: Readonly<Record<ArgKind, readonly string[]>> = {
  anything: [],
  ctx: ['ctx'],
  const_map_ptr: ['map_ptr'],
  map_key: MEM_TYPES,
  map_value: MEM_TYPES,
  mem: MEM_TYPES,
  const_size: ['scalar'],
  const_size_or_zero: ['scalar'],
  const_alloc_size_or_zero: ['scalar'],
  spin_lock: ['map_value', 'ptr_'],
  sock_common: ['sock_common', 'sock', 'tcp_sock', 'xdp_sock'],
  socket: ['sock'],
  btf_id_sock_common: ['sock_common', 'sock', 'tcp_sock', 'xdp_sock', 'ptr_', 'trusted_ptr_'],
  btf_id: ['ptr_', 'trusted_ptr_', 'rcu_ptr_'],
  percpu_btf_id: ['percpu_ptr_', 'percpu_rcu_ptr_', 'percpu_trusted_ptr_'],
  ringbuf_mem: ['ringbuf_mem'],
  func: ['func'],
  stack: ['fp'],
  const_str: ['map_value'],
  timer: ['map_value'],
  kptr_xchg_dest: ['map_value', 'ptr_'],
  dynptr: ['fp', 'dynptr_ptr'],
};
