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
  'modified-pointer': 'pass the pointer as it was given, and put the offset into the access itself',
};
