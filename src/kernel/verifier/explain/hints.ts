/** What to do about refusals of which the code says enough. */
import type { RejectCode } from '../rejection.ts';

export const HINTS: Partial<Readonly<Record<RejectCode, string>>> = {
  'jump-out-of-range':
    'let every jump of hand-written assembly end in its own function; a compiler makes no others',
  'jump-into-ldimm64': 'a 64-bit constant takes two slots: count both when a jump is written by hand',
  'unreachable-insn': 'remove what can never run: code after an endless loop, a return or a goto',
  'falls-off-the-end': 'end the function with a return (exit)',
  'stack-bounds':
    'locals of a function have 512 bytes: keep large ones in a per-CPU array map, or in a record of a ring buffer',
  'stack-size':
    'keep large variables in a per-CPU array map; the functions of a chain of calls share 512 bytes',
  'uninitialised-stack':
    'give the variable a value when it is declared, padding included: struct key key = {}; or memset(&key, 0, sizeof(key))',
  'pointer-arithmetic':
    'only add to pointers: mask, shift or multiply the offset before it is added to the pointer',
  'pointer-leak':
    'store a number in place of the address: addresses are secrets of the kernel for callers without CAP_PERFMON',
  'misaligned-access':
    'place the member at a multiple of its size, or access it in smaller parts (packed structs are not aligned)',
  'bad-shift':
    'shift by less than the width of the value; the constant is what the C code says, or undefined behaviour that the compiler folded',
  'division-by-zero':
    'divide by a constant that is not 0; a variable divisor needs no test, the result is then 0',
  'read-only-memory': 'copy what is there to a variable of the program, and change that',
  'frame-pointer-write': 'use another register: r10 always holds the frame pointer',
  'special-field':
    'leave the field to its own functions, and write the other members one by one in place of the whole struct',
  'helper-needs-capability': 'load with CAP_BPF and CAP_PERFMON',
  'not-permitted': 'load with CAP_BPF, and CAP_NET_ADMIN or CAP_PERFMON as the type of program asks',
  'pointer-comparison':
    'compare pointers with null or with pointers of the same kind only, or load with CAP_PERFMON',
  'bad-attach-target':
    'check the name of the function or hook: skep btf dump lists the functions of a kernel',
  'kfunc-not-found':
    'the kernel has no such function for BPF programs: declare it __weak and test its address, or ask for a newer kernel',
  'gpl-only': 'license the program under the GPL, if you may: char LICENSE[] SEC("license") = "GPL";',
  'packet-write':
    'write the packet through a helper, or in a program type that may write it directly (xdp, sched_cls)',
  'not-a-pointer': 'use the pointer that a helper or the context gave, and change it only by adding to it',
  'bad-dynptr':
    'make the dynptr first (bpf_dynptr_from_mem(), bpf_ringbuf_reserve_dynptr(), …), pass its own address, and give it back once',
  'context-access': 'access fields of the context by their names, whole and without extending their sign',
  'bad-lock':
    'lock and unlock the same struct bpf_spin_lock: one in the value of a map that BTF describes (declared in SEC(".maps"))',
  'map-argument': 'use a map that this function and this type of program can work on',
  'unreferenced-argument':
    'release only what was acquired and not released yet, by the pointer that the acquiring function returned',
  'memory-bounds': 'stay inside the object: access members by their names and with their own types',
  'bad-graph-node':
    'pass the node of an object that is owned (of bpf_obj_new(), or taken out), of the type that the list or tree contains',
  'bad-argument': 'pass what the function takes there: see its description in bpf-helpers(7)',
  'bad-argument-type':
    'pass a pointer to memory that the function may use so: a local variable or the value of a map',
  'bad-kfunc-argument': "pass an argument of the type that the kernel's function declares",
  'bad-fd': 'keep the map open while the program is loaded',
  'atomic-target':
    'let atomic operations work on maps, the stack or arenas: do it on a variable, and store that',
  'bad-iterator':
    'make the iterator (bpf_iter_…_new()), take from it with bpf_iter_…_next(), destroy it on every path; bpf_for_each() does all of it',
  'bad-kptr':
    'use the kptr by the type that its field declares: bpf_kptr_xchg() for a referenced one, reading otherwise',
  'bad-func-argument':
    'pass what the global function declares, tested for null and of the right size, or make the function static',
  'bad-kfunc-call':
    'call it from a type of program that the kernel registered it for, or use a helper that does the same',
  'bad-region':
    'open the region first, and close it on every path: bpf_rcu_read_lock() … bpf_rcu_read_unlock()',
  'bad-func-info': 'compile with -g, and let each function keep the types that it is declared with',
  'bad-return-value': 'return a number that is known: a constant, or a value that was compared with one',
  'modified-pointer': 'pass the pointer as it was given, and put the offset into the access itself',
};
