/**
 * Numbers of the ELF format that skep reads or writes.
 * @see System V ABI (gABI) chapters 4 and 5; Documentation/bpf/llvm_reloc.rst for the relocations of BPF
 */

/** `e_machine` of a BPF object. */
export const EM_BPF = 247;
/** `e_machine` that clang before 3.9 wrote into BPF objects. */
export const EM_NONE = 0;

/** `e_type`: what kind of file it is. */
export const ELF_TYPE = { none: 0, rel: 1, exec: 2, dyn: 3, core: 4 } as const satisfies Record<
  string,
  number
>;

/** `sh_type`: what a section holds. */
export const SECTION_TYPE = {
  null: 0,
  progbits: 1,
  symtab: 2,
  strtab: 3,
  rela: 4,
  hash: 5,
  dynamic: 6,
  note: 7,
  nobits: 8,
  rel: 9,
  dynsym: 11,
  symtabShndx: 18,
} as const satisfies Record<string, number>;

/** Bits of `sh_flags`. */
export const SECTION_FLAG = {
  write: 1,
  alloc: 2,
  execinstr: 4,
  merge: 0x10,
  strings: 0x20,
  infoLink: 0x40,
  compressed: 0x800,
} as const satisfies Record<string, number>;

/** Section indexes of symbols that no section defines, or that index a table elsewhere. */
export const SECTION_INDEX = {
  undef: 0,
  loreserve: 0xff00,
  abs: 0xfff1,
  common: 0xfff2,
  xindex: 0xffff,
} as const satisfies Record<string, number>;

/** High four bits of `st_info`. */
export const SYMBOL_BIND = { local: 0, global: 1, weak: 2 } as const satisfies Record<string, number>;

/** Low four bits of `st_info`. */
export const SYMBOL_TYPE = {
  notype: 0,
  object: 1,
  func: 2,
  section: 3,
  file: 4,
  common: 5,
  tls: 6,
} as const satisfies Record<string, number>;

/** Low two bits of `st_other`. */
export const SYMBOL_VISIBILITY = {
  default: 0,
  internal: 1,
  hidden: 2,
  protected: 3,
} as const satisfies Record<string, number>;

/**
 * `r_type` of BPF, with what the relocation writes.
 * @see Documentation/bpf/llvm_reloc.rst
 */
export const BPF_RELOC = {
  none: { code: 0, name: 'R_BPF_NONE', size: 0 },
  /** Both halves of a 64-bit immediate load: map, variable, or function address. */
  insn64: { code: 1, name: 'R_BPF_64_64', size: 16 },
  /** A 64-bit word of data. */
  abs64: { code: 2, name: 'R_BPF_64_ABS64', size: 8 },
  /** A 32-bit word of data. */
  abs32: { code: 3, name: 'R_BPF_64_ABS32', size: 4 },
  /** A 32-bit word of .BTF or .BTF.ext, which a dynamic loader leaves alone. */
  nodyld32: { code: 4, name: 'R_BPF_64_NODYLD32', size: 4 },
  /** The immediate of a call: pc-relative, in slots less one. */
  insn32: { code: 10, name: 'R_BPF_64_32', size: 8 },
  /** GNU as: a pc-relative 16-bit jump. */
  gnuInsn16: { code: 256, name: 'R_BPF_GNU_64_16', size: 8 },
} as const satisfies Record<string, { code: number; name: string; size: number }>;

/** Name of a BPF relocation type, for messages. */
export function relocName(type: number): string {
  return Object.values(BPF_RELOC).find((r) => r.code === type)?.name ?? `relocation type ${type}`;
}

/** Sizes of the fixed structures of ELF64, in bytes. */
export const ELF64_SIZE = {
  header: 64,
  section: 64,
  symbol: 24,
  rel: 16,
  rela: 24,
} as const satisfies Record<string, number>;
