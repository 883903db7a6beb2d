/** Limits that a caller of bpf(2) meets. @see include/uapi/linux/bpf.h, include/linux/bpf.h, bpf_verifier.h, filter.h */
export const LIMITS = {
  /** Bytes of an object's name with its closing zero. */
  BPF_OBJ_NAME_LEN: 16,
  /** Bytes of a program's tag. */
  BPF_TAG_SIZE: 8,
  /** Bytes of a build id in a stack trace. */
  BPF_BUILD_ID_SIZE: 20,
  /** Instructions of one program, for a caller with CAP_BPF (since 5.2; 4096 before). */
  BPF_MAXINSNS_PRIVILEGED: 1_000_000,
  /** Instructions of one program without CAP_BPF, and of a classic filter. */
  BPF_MAXINSNS: 4096,
  /** Instructions that the verifier processes, over all paths. */
  BPF_COMPLEXITY_LIMIT_INSNS: 1_000_000,
  /** Branches that wait to be explored. */
  BPF_COMPLEXITY_LIMIT_JMP_SEQ: 8192,
  /** States kept of one instruction, for a caller without privilege. */
  BPF_COMPLEXITY_LIMIT_STATES: 64,
  /** Bytes of stack, over all frames of a call chain. */
  MAX_BPF_STACK: 512,
  /** Frames of a call chain. */
  MAX_CALL_FRAMES: 8,
  /** Subprograms of a program, the main one included. */
  BPF_MAX_SUBPROGS: 256,
  /** Tail calls that one run may make. */
  MAX_TAIL_CALL_CNT: 33,
  /** Maps that one program may use. */
  MAX_USED_MAPS: 64,
  /** BTFs with kfuncs that one program may use. */
  MAX_KFUNC_BTFS: 256,
  /** Arguments of a BPF function. */
  MAX_BPF_FUNC_REG_ARGS: 5,
  /** Arguments of a kernel function that tracing programs see. */
  MAX_BPF_FUNC_ARGS: 12,
  /** Smallest log buffer that BTF_LOAD accepts, in bytes. */
  BTF_LOG_MIN: 128,
  /** Bytes of BTF that BTF_LOAD accepts. */
  BTF_MAX_SIZE: 16 * 1024 * 1024,
  /** Largest log buffer that PROG_LOAD accepts, in bytes. */
  BPF_LOG_MAX: 0x3fff_ffff,
} as const;
