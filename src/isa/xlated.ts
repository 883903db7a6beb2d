/**
 * Programs as the kernel gives them back after verification and rewriting (`xlated`). It rewrites some instructions into
 * forms that it would not load; they are printed as `bpftool prog dump xlated` prints them, and decoded by nothing.
 *
 * @see kernel/bpf/disasm.c for the texts; kernel/bpf/syscall.c, bpf_insn_prepare_dump, for what a dump undoes
 */
import { decodeSlot } from './decode.ts';
import { type KernelNames, kernelText } from './kernel-notation.ts';
import { ALU, CLASS, CLASS_MASK, FORMS, SOURCE } from './opcodes.ts';
import type { Slot } from './slot.ts';

/** `BPF_NOSPEC`: the barrier against speculation. */
const NOSPEC = 0xc0 | CLASS.st;
/** `BPF_ADDR_PERCPU`: the offset of a move that makes a per-CPU address one of this CPU. */
const ADDR_PERCPU_OFF = -1;
/** Fields that may have to be cleared before a rewritten instruction can be printed. */
const FIELDS = 5;

const CLASS_NAMES = new Map<number, string>([
  [CLASS.ld, 'BUG_ld_'],
  [CLASS.ldx, 'BUG_ldx_'],
  [CLASS.st, 'BUG_st_'],
]);

function hex(code: number): string {
  return code.toString(16).padStart(2, '0');
}

/**
 * Text of a slot of a dump, opcode first: `(b7) r0 = 0`. Fields that the kernel uses for itself are passed over; what is no
 * instruction is `BUG_ldx_1f`.
 *
 * @param next the slot behind it, which a 64-bit immediate load takes too
 */
export function xlatedInsn(slot: Slot, next: Slot | undefined, names: KernelNames = {}): string {
  const code = `(${hex(slot.code)})`;
  if (slot.code === NOSPEC) return `${code} nospec`;
  if (slot.code === (ALU.mov.code | SOURCE.reg | CLASS.alu64) && slot.off === ADDR_PERCPU_OFF) {
    return `${code} r${slot.dst} = &(void __percpu *)(r${slot.src})`;
  }
  let first = slot;
  let second = next;
  for (let i = 0; i < FIELDS; i++) {
    const result = decodeSlot(first, second);
    if ('kind' in result) return `${code} ${kernelText(result, names)}`;
    const field = result.field.replace('second.', '');
    if (result.code !== 'reserved-field' && result.code !== 'bad-ldimm64') break;
    if (field === result.field) first = { ...first, [field]: 0 };
    else if (second !== undefined) second = { ...second, [field]: 0 };
  }
  return `${CLASS_NAMES.get(slot.code & CLASS_MASK) ?? 'BUG_'}${hex(slot.code)}`;
}

/** Slots that an entry of a dump takes. */
export function xlatedSlots(slot: Slot): 1 | 2 {
  return FORMS[slot.code]?.form === 'ldimm64' ? 2 : 1;
}
