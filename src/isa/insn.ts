/**
 * A decoded BPF instruction: what it does, not how it is encoded. `decode.ts` and `encode.ts` translate between this
 * and the 8-byte slots of RFC 9669 §3; each is the other's inverse.
 */
import type { Brand } from '../base/brand.ts';

/** Index of an instruction slot: counts 8-byte slots, so a 64-bit immediate load takes two. */
export type InsnIdx = Brand<number, 'InsnIdx'>;

/** r0 to r10; r10 is the read-only frame pointer. @see RFC 9669 §2.1 */
export type Reg = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;

/** Operand width of an ALU or jump instruction, in bits. */
export type Width = 32 | 64;

/** Size of a memory access, in bytes. */
export type Size = 1 | 2 | 4 | 8;

/** Binary ALU operations. `neg`, byte swaps and sign-extending moves are instructions of their own. */
export type AluOp =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'or'
  | 'and'
  | 'lsh'
  | 'rsh'
  | 'mod'
  | 'xor'
  | 'mov'
  | 'arsh'
  | 'sdiv'
  | 'smod';

/** Conditions of a conditional jump. */
export type JmpOp =
  | 'jeq'
  | 'jgt'
  | 'jge'
  | 'jset'
  | 'jne'
  | 'jsgt'
  | 'jsge'
  | 'jlt'
  | 'jle'
  | 'jslt'
  | 'jsle';

/** Atomic read-modify-write operations. @see RFC 9669 §5.3 */
export type AtomicOp = 'add' | 'or' | 'and' | 'xor' | 'xchg' | 'cmpxchg';

/** The second operand of an ALU or jump instruction. Immediates are signed 32-bit values. */
export type Operand =
  | { readonly kind: 'reg'; readonly reg: Reg }
  | { readonly kind: 'imm'; readonly imm: number };

/**
 * What a 64-bit immediate load loads, by the `src_reg` pseudo value of Linux (`include/uapi/linux/bpf.h`,
 * `BPF_PSEUDO_*`) and RFC 9669 §5.4.
 */
export type Imm64 =
  | { readonly kind: 'value'; readonly value: bigint }
  /** `BPF_PSEUDO_MAP_FD`: the address of the map that `fd` names. */
  | { readonly kind: 'map_fd'; readonly fd: number }
  /** `BPF_PSEUDO_MAP_VALUE`: the address of the map's first value plus `off`. */
  | { readonly kind: 'map_value'; readonly fd: number; readonly off: number }
  /** `BPF_PSEUDO_BTF_ID`: the address of the kernel variable of that BTF id, in the BTF object `btf_fd` (0 is vmlinux). */
  | { readonly kind: 'btf_id'; readonly id: number; readonly btfFd: number }
  /** `BPF_PSEUDO_FUNC`: the address of a subprogram; `off` counts slots from the next instruction's first slot (imm). */
  | { readonly kind: 'func'; readonly off: number }
  /** `BPF_PSEUDO_MAP_IDX`: as `map_fd`, by index into the load's `fd_array`. */
  | { readonly kind: 'map_idx'; readonly idx: number }
  /** `BPF_PSEUDO_MAP_IDX_VALUE`: as `map_value`, by index into the load's `fd_array`. */
  | { readonly kind: 'map_idx_value'; readonly idx: number; readonly off: number };

/** What a call calls. @see RFC 9669 §4.3 */
export type CallTarget =
  | { readonly kind: 'helper'; readonly id: number }
  /** `BPF_PSEUDO_CALL`: a subprogram; `off` counts slots from the next instruction. */
  | { readonly kind: 'local'; readonly off: number }
  /** `BPF_PSEUDO_KFUNC_CALL`: a kernel function by BTF id; `fdIdx` picks the module's BTF in `fd_array` (0 is vmlinux). */
  | { readonly kind: 'kfunc'; readonly btfId: number; readonly fdIdx: number }
  /** `callx`: the address in a register. RFC 9669 reserves it, Linux rejects it, clang can emit it. */
  | { readonly kind: 'reg'; readonly reg: Reg };

export type Insn =
  | {
      readonly kind: 'alu';
      readonly op: AluOp;
      readonly width: Width;
      readonly dst: Reg;
      readonly src: Operand;
    }
  | { readonly kind: 'neg'; readonly width: Width; readonly dst: Reg }
  /** `dst = (sN) src`: sign-extends the low `bits` of src to `width`. */
  | {
      readonly kind: 'movsx';
      readonly width: Width;
      readonly bits: 8 | 16 | 32;
      readonly dst: Reg;
      readonly src: Reg;
    }
  /** `dst = addr_space_cast(src, dst_as, src_as)` (Linux 6.9, arenas). */
  | {
      readonly kind: 'addr_space_cast';
      readonly dst: Reg;
      readonly src: Reg;
      readonly dstAs: number;
      readonly srcAs: number;
    }
  /** `htole`/`htobe` of the low `bits` (`le`, `be`), or an unconditional byte swap (`bswap`). */
  | {
      readonly kind: 'endian';
      readonly order: 'le' | 'be' | 'bswap';
      readonly bits: 16 | 32 | 64;
      readonly dst: Reg;
    }
  /** Unconditional jump; `wide` is `gotol` with a 32-bit offset. Offsets count slots from the next instruction. */
  | { readonly kind: 'ja'; readonly wide: boolean; readonly off: number }
  | {
      readonly kind: 'jmp';
      readonly op: JmpOp;
      readonly width: Width;
      readonly dst: Reg;
      readonly src: Operand;
      readonly off: number;
    }
  /** Conditional jump on the kernel's hidden loop counter (Linux 6.9). */
  | { readonly kind: 'may_goto'; readonly off: number }
  | { readonly kind: 'call'; readonly target: CallTarget }
  | { readonly kind: 'exit' }
  | {
      readonly kind: 'ldx';
      readonly size: Size;
      readonly signed: boolean;
      readonly dst: Reg;
      readonly src: Reg;
      readonly off: number;
    }
  | {
      readonly kind: 'st';
      readonly size: Size;
      readonly dst: Reg;
      readonly off: number;
      readonly imm: number;
    }
  | { readonly kind: 'stx'; readonly size: Size; readonly dst: Reg; readonly off: number; readonly src: Reg }
  /** `fetch` puts the old value into src (into r0 for `cmpxchg`); `xchg` and `cmpxchg` always fetch. */
  | {
      readonly kind: 'atomic';
      readonly op: AtomicOp;
      readonly fetch: boolean;
      readonly size: 4 | 8;
      readonly dst: Reg;
      readonly off: number;
      readonly src: Reg;
    }
  /** `dst = load_acquire((uN *)(src + off))` (Linux 6.15). */
  | {
      readonly kind: 'load_acquire';
      readonly size: Size;
      readonly dst: Reg;
      readonly src: Reg;
      readonly off: number;
    }
  /** `store_release((uN *)(dst + off), src)` (Linux 6.15). */
  | {
      readonly kind: 'store_release';
      readonly size: Size;
      readonly dst: Reg;
      readonly off: number;
      readonly src: Reg;
    }
  | { readonly kind: 'ldimm64'; readonly dst: Reg; readonly imm: Imm64 }
  /** Legacy packet load at a constant offset: `r0 = *(uN *)skb[imm]`, converted from network order. */
  | { readonly kind: 'ld_abs'; readonly size: 1 | 2 | 4; readonly imm: number }
  /** Legacy packet load at `src + imm`. */
  | { readonly kind: 'ld_ind'; readonly size: 1 | 2 | 4; readonly src: Reg; readonly imm: number };

export type InsnKind = Insn['kind'];

/** Slots that an instruction takes: 2 for a 64-bit immediate load, else 1. */
export function slots(insn: Insn): 1 | 2 {
  return insn.kind === 'ldimm64' ? 2 : 1;
}
