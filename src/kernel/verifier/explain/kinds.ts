/** Facts of program types and arguments, in a person's words. */
import type { ProgType } from '../../../sys/tables.ts';
import type { ArgKind } from '../../helpers/prototypes-arg.ts';

/** Types of programs that look at the kernel's own memory. */
const TRACING: ReadonlySet<ProgType> = new Set<ProgType>([
  'kprobe',
  'tracepoint',
  'raw_tracepoint',
  'raw_tracepoint_writable',
  'perf_event',
  'tracing',
  'lsm',
]);

export const isTracing = (type: ProgType): boolean => TRACING.has(type);

/** What an argument of a helper must be. */
export const ARGUMENT_WORDS: Readonly<Record<ArgKind, string>> = {
  anything: 'a number or a pointer',
  ctx: "the program's context, as it was given",
  const_map_ptr: 'a map (&map)',
  map_key: "the address of a key of the map's key type (of a local variable, or in a map's value)",
  map_value: "the address of a value of the map's value type (of a local variable, or in a map's value)",
  mem: "the address of memory (a local variable, a map's value, or compared bytes of the packet)",
  const_size: 'a size',
  const_size_or_zero: 'a size',
  const_alloc_size_or_zero: 'a constant size',
  spin_lock: "the address of a struct bpf_spin_lock in a map's value",
  sock_common: 'a socket',
  socket: 'a full socket (bpf_sk_fullsock())',
  btf_id_sock_common: 'a socket',
  btf_id: 'a pointer to an object of the kernel that stays while it is used',
  percpu_btf_id: 'the address of a per-CPU variable of the kernel',
  ringbuf_mem: 'the record that bpf_ringbuf_reserve() returned, tested for null',
  func: "one of the program's static functions",
  stack: 'the address of a local variable',
  const_str: 'a string constant in a read-only map (static const char fmt[] = …)',
  timer: "the address of a struct bpf_timer in a map's value",
  kptr_xchg_dest: "the address of a kptr in a map's value",
  dynptr: 'the address of a local struct bpf_dynptr that was made by a helper',
};
