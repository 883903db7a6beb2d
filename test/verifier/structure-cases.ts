/**
 * Programs whose structure is wrong, with what Linux 6.18 answers to them as socket filters, as root; and some whose
 * structure is right. Map fds: 0 is another object, 3 an array of one 8-byte value, 4 one of four, 5 a hash, 100 to 199
 * arrays.
 */
import { writeSlot } from '../../src/isa/index.ts';

export type Raw = readonly [code: number, dst?: number, src?: number, off?: number, imm?: number];

export function bytes(slots: readonly Raw[]): Uint8Array {
  const out = new Uint8Array(slots.length * 8);
  for (const [idx, [code, dst = 0, src = 0, off = 0, imm = 0]] of slots.entries()) {
    writeSlot(out, idx, { code, dst, src, off, imm });
  }
  return out;
}

export const R0: Raw = [0xb7];
export const EXIT: Raw = [0x95];
export const NEXT: Raw = [0];
export const call = (off: number): Raw => [0x85, 0, 1, 0, off];
export const chain = (n: number): Raw[] => [
  ...Array.from({ length: n }, () => [call(1), EXIT]).flat(),
  R0,
  EXIT,
];
const stack = (size: number, n: number): Raw[] => [
  ...Array.from({ length: n }, (): Raw[] => [[0x7a, 10, 0, -size], call(1), EXIT]).flat(),
  [0x7a, 10, 0, -size],
  R0,
  EXIT,
];

/** What Linux 6.18 answers to the same instructions as a socket filter, as root: errno and message. */
export const REFUSED: Record<string, readonly [Raw[], errno: string, problem: string]> = {
  'jump past the end': [[[0x05, 0, 0, 5], EXIT], 'EINVAL', 'jump out of range from insn 0 to 6'],
  'jump before the start': [[R0, [0x05, 0, 0, -5], EXIT], 'EINVAL', 'jump out of range from insn 1 to -3'],
  'jump into another function': [
    [R0, [0x15, 0, 0, 2], call(1), EXIT, R0, EXIT],
    'EINVAL',
    'jump out of range from insn 1 to 4',
  ],
  'dead code': [[R0, EXIT, R0, EXIT], 'EINVAL', 'unreachable insn 2'],
  'endless loop before the exit': [[R0, [0x05, 0, 0, -1], EXIT], 'EINVAL', 'unreachable insn 2'],
  'no exit': [[R0], 'EINVAL', 'last insn is not an exit or jmp'],
  'function falls into the next': [[call(1), R0, R0, EXIT], 'EINVAL', 'last insn is not an exit or jmp'],
  'unknown opcode': [[R0, [0xff], EXIT], 'EINVAL', 'unknown opcode ff'],
  'unknown arithmetic': [[R0, [0xe7], EXIT], 'EINVAL', 'unknown opcode e7'],
  callx: [[R0, [0x8d], EXIT], 'EINVAL', 'unknown opcode 8d'],
  'ldimm64 at the end': [[R0, EXIT, [0x18]], 'EINVAL', 'last insn is not an exit or jmp'],
  'ldimm64 without its second slot': [[[0x18], [0xb7], R0, EXIT], 'EINVAL', 'invalid bpf_ld_imm64 insn'],
  'ldimm64 with a register in its second slot': [
    [[0x18], [0, 1], R0, EXIT],
    'EINVAL',
    'invalid bpf_ld_imm64 insn',
  ],
  'ldimm64 of nothing known': [[[0x18, 0, 9], NEXT, R0, EXIT], 'EINVAL', 'unrecognized bpf_ld_imm64 insn'],
  'ldimm64 with an offset': [
    [[0x18, 0, 0, 1], NEXT, R0, EXIT],
    'EINVAL',
    'BPF_LD_IMM64 uses reserved fields',
  ],
  'ldimm64 of a closed fd': [
    [[0x18, 1, 1, 0, 99], NEXT, R0, EXIT],
    'EBADF',
    'fd 99 is not pointing to valid bpf_map',
  ],
  'ldimm64 of another fd': [
    [[0x18, 1, 1, 0, 0], NEXT, R0, EXIT],
    'EINVAL',
    'fd 0 is not pointing to valid bpf_map',
  ],
  'ldimm64 by index without fd_array': [
    [[0x18, 1, 5], NEXT, R0, EXIT],
    'EPROTO',
    'fd_idx without fd_array is invalid',
  ],
  'ldimm64 of a map with a second immediate': [
    [[0x18, 1, 1, 0, 99], [0, 0, 0, 0, 1], R0, EXIT],
    'EINVAL',
    'unrecognized bpf_ld_imm64 insn',
  ],
  'map value past its end': [
    [[0x18, 1, 2, 0, 3], [0, 0, 0, 0, 8], R0, EXIT],
    'EINVAL',
    'invalid access to map value pointer, value_size=8 off=8',
  ],
  'map value far away': [
    [[0x18, 1, 2, 0, 3], [0, 0, 0, 0, 1 << 29], R0, EXIT],
    'EINVAL',
    'direct value offset of 536870912 is not allowed',
  ],
  'map value of an array of four': [
    [[0x18, 1, 2, 0, 4], NEXT, R0, EXIT],
    'ENOTSUPP',
    'invalid access to map value pointer, value_size=8 off=0',
  ],
  'map value of a hash': [
    [[0x18, 1, 2, 0, 5], NEXT, R0, EXIT],
    'EINVAL',
    'no direct value access support for this map type',
  ],
  '65 maps': [
    [...Array.from({ length: 65 }, (_, i): Raw[] => [[0x18, 1, 1, 0, 100 + i], NEXT]).flat(), R0, EXIT],
    'E2BIG',
    'The total number of maps per program has reached the limit of 64',
  ],
  'load with an immediate': [[[0x61, 0, 1, 0, 1], EXIT], 'EINVAL', 'BPF_LDX uses reserved fields'],
  'write r11': [[[0xb7, 11], R0, EXIT], 'EINVAL', 'R11 is invalid'],
  'unreadable register into r14': [[[0xbf, 14, 3], R0, EXIT], 'EACCES', 'R3 !read_ok'],
  'store of an unreadable register through r13': [[[0x7b, 13, 3], R0, EXIT], 'EACCES', 'R3 !read_ok'],
  'sign-extending load of 8 bytes': [[R0, [0x99, 0, 1], EXIT], 'EINVAL', 'unknown opcode 99'],
  'sign-extending load of 8 bytes with an immediate': [
    [R0, [0x99, 0, 1, 0, 7], EXIT],
    'EINVAL',
    'BPF_LDX uses reserved fields',
  ],
  'map by its place in no array, into r15': [
    [[0x18, 15, 5], NEXT, R0, EXIT],
    'EPROTO',
    'fd_idx without fd_array is invalid',
  ],
  "variable in a module's BTF": [
    [[0x18, 1, 3, 0, 20], [0, 0, 0, 0, 99], R0, EXIT],
    'EINVAL',
    'invalid module BTF object FD specified.',
  ],
  'read r12': [[[0xbf, 0, 12], EXIT], 'EINVAL', 'R12 is invalid'],
  'jump on r13 and an unreadable register': [[[0x5e, 13, 5], R0, EXIT], 'EINVAL', 'R13 is invalid'],
  'jump on r13 and r14': [[[0xbd, 13, 14], R0, EXIT], 'EINVAL', 'R13 is invalid'],
  'jump on an unreadable register and r13': [[[0x5e, 5, 13], R0, EXIT], 'EACCES', 'R5 !read_ok'],
  'nine functions deep, by a call with a reserved field that is never reached': [
    [
      [0xb7, 1],
      [0x15, 1, 0, 1],
      [0x85, 0, 1, 0, 2],
      R0,
      EXIT,
      ...Array.from({ length: 7 }, (_, i): Raw[] => [[0x85, i === 3 ? 1 : 0, 1, 0, 1], EXIT]).flat(),
      R0,
      EXIT,
    ],
    'E2BIG',
    'the call stack of 8 frames is too deep !',
  ],
  'load through r15': [[[0x61, 0, 15], EXIT], 'EINVAL', 'R15 is invalid'],
  'write r10': [[[0xb7, 10], R0, EXIT], 'EACCES', 'frame pointer is read only'],
  'jump over half of a ldimm64': [[[0x05, 0, 0, 1], [0x18], NEXT, R0, EXIT], 'EINVAL', 'unreachable insn 1'],
  'branch into a ldimm64': [
    [R0, [0x15, 0, 0, 1], [0x18], NEXT, R0, EXIT],
    'EINVAL',
    'jump into the middle of ldimm64 insn 2',
  ],
  'helper without a name': [[[0x85, 0, 0, 0, 5000], R0, EXIT], 'EINVAL', 'invalid func unknown#5000'],
  'helper 0': [[[0x85], R0, EXIT], 'EINVAL', 'program of this type cannot use helper bpf_unspec#0'],
  'call with an offset': [[[0x85, 0, 0, 1, 5], R0, EXIT], 'EINVAL', 'BPF_CALL uses reserved fields'],
  'call of an unknown kind': [[[0x85, 0, 3, 0, 5], R0, EXIT], 'EINVAL', 'BPF_CALL uses reserved fields'],
  'call out of the program': [[call(50), R0, EXIT], 'EINVAL', 'call to invalid destination'],
  'recursion without an end': [[call(-1), R0, EXIT], 'E2BIG', 'the call stack of 9 frames is too deep'],
  'nine frames': [chain(8), 'E2BIG', 'the call stack of 9 frames is too deep'],
  'exit with an immediate': [[R0, [0x95, 0, 0, 0, 1]], 'EINVAL', 'BPF_EXIT uses reserved fields'],
  'goto with an immediate': [[R0, [0x05, 0, 0, 0, 1], EXIT], 'EINVAL', 'BPF_JA uses reserved fields'],
  'gotol with an offset': [[R0, [0x06, 0, 0, 1], EXIT], 'EINVAL', 'BPF_JA uses reserved fields'],
  'branch with both operands': [[R0, [0x15, 0, 1], EXIT], 'EINVAL', 'BPF_JMP/JMP32 uses reserved fields'],
  'may_goto with an immediate': [[R0, [0xe5, 0, 0, 0, 1], EXIT], 'EINVAL', 'invalid may_goto imm 1'],
  'mov with both operands': [[[0xb7, 0, 1], R0, EXIT], 'EINVAL', 'BPF_MOV uses reserved fields'],
  'movsx of 7 bits': [[R0, [0xbf, 0, 0, 7], EXIT], 'EINVAL', 'BPF_MOV uses reserved fields'],
  'add with an offset': [[R0, [0x07, 0, 0, 1, 1], EXIT], 'EINVAL', 'BPF_ALU uses reserved fields'],
  'neg with an immediate': [[R0, [0x87, 0, 0, 0, 1], EXIT], 'EINVAL', 'BPF_NEG uses reserved fields'],
  le17: [[R0, [0xd4, 0, 0, 0, 17], EXIT], 'EINVAL', 'BPF_END uses reserved fields'],
  'division by zero': [[R0, [0x37], EXIT], 'EINVAL', 'div by zero'],
  'modulo by zero': [[R0, [0x94], EXIT], 'EINVAL', 'div by zero'],
  'shift by 64': [[R0, [0x67, 0, 0, 0, 64], EXIT], 'EINVAL', 'invalid shift 64'],
  'shift of a half by 32': [[R0, [0x64, 0, 0, 0, 32], EXIT], 'EINVAL', 'invalid shift 32'],
  'st with a source': [[[0x62, 10, 1, -8], R0, EXIT], 'EINVAL', 'BPF_ST uses reserved fields'],
  'stx with an immediate': [[R0, [0x63, 10, 0, -8, 1], EXIT], 'EINVAL', 'BPF_STX uses reserved fields'],
  'unknown atomic': [
    [R0, [0xdb, 10, 0, -8, 0x22], EXIT],
    'EINVAL',
    'BPF_ATOMIC uses invalid atomic opcode 22',
  ],
  'atomic byte': [[R0, [0xd3, 10, 0, -8], EXIT], 'EINVAL', 'invalid atomic operand size'],
  'legacy load of 8 bytes': [[[0xbf, 6, 1], [0x38], EXIT], 'EINVAL', 'unknown opcode 38'],
  'legacy load with a register': [
    [[0xbf, 6, 1], [0x20, 1], EXIT],
    'EINVAL',
    'BPF_LD_[ABS|IND] uses reserved fields',
  ],
  'misaligned store': [
    [[0x7a, 10, 0, -12], R0, EXIT],
    'EACCES',
    'misaligned stack access off 0+0+-12 size 8',
  ],
  'address of a function without BTF': [
    [[0x18, 2, 4, 0, 3], NEXT, R0, EXIT, R0, EXIT],
    'EINVAL',
    'missing btf func_info',
  ],
  'store below the stack': [
    [[0x7a, 10, 0, -520], R0, EXIT],
    'EACCES',
    'invalid write to stack R10 off=-520 size=8',
  ],
  'store above the stack': [[[0x7a, 10], R0, EXIT], 'EACCES', 'invalid write to stack R10 off=0 size=8'],
  'load below the stack': [
    [[0x79, 0, 10, -520], EXIT],
    'EACCES',
    'invalid read from stack R10 off=-520 size=8',
  ],
  '3 × 256 bytes of stack': [stack(256, 2), 'EACCES', 'combined stack size of 3 calls is 768. Too large'],
  '2 × 264 bytes of stack': [stack(264, 1), 'EACCES', 'combined stack size of 2 calls is 544. Too large'],
  '300 functions': [
    [
      ...Array.from({ length: 299 }, (_, k) => call(k + 300)),
      R0,
      EXIT,
      ...Array.from({ length: 299 }, (): Raw[] => [R0, EXIT]).flat(),
    ],
    'E2BIG',
    'too many subprograms',
  ],
  'tail call in a function without BTF': [
    [call(1), EXIT, [0xb7, 3], [0x85, 0, 0, 0, 12], R0, EXIT],
    'EINVAL',
    'tail_call is not allowed in subprogs without BTF',
  ],
};

export const ACCEPTED: Record<string, Raw[]> = {
  smallest: [R0, EXIT],
  gotol: [R0, [0x06], EXIT],
  may_goto: [R0, [0xe5], EXIT],
  'load-acquire': [R0, [0x7b, 10, 0, -8], [0xdb, 0, 10, -8, 0x100], EXIT],
  'legacy load': [[0xbf, 6, 1], [0x20], EXIT].map((raw) => raw as Raw),
  'eight frames': chain(7),
  'exactly 512 bytes of stack': stack(256, 1),
  'an impossible call behind a constant': [R0, [0x15, 0, 0, 1], [0x85, 0, 0, 0, 195896080], EXIT],
  'bounded loop': [R0, [0x07, 0, 0, 0, 1], [0xa5, 0, 0, -2, 9], EXIT],
  '64 maps': [
    ...Array.from({ length: 64 }, (_, i): Raw[] => [[0x18, 1, 1, 0, 100 + i], NEXT]).flat(),
    R0,
    EXIT,
  ],
};
