/** Why a program is refused: a value, never a throw. */
import type { InsnIdx } from '../../isa/index.ts';
import type { Errno } from '../../sys/errno.ts';
import type { SourceLine } from './program.ts';

/** What a refusal is about. */
export type RejectCategory =
  | 'memory'
  | 'register'
  | 'call'
  | 'lifetime'
  | 'context'
  | 'structure'
  | 'policy'
  | 'limit'
  /** Linux might accept it; this kernel can't run it yet. */
  | 'unsupported';

interface RejectFact {
  readonly category: RejectCategory;
  /** What PROG_LOAD fails with. */
  readonly errno: Errno;
}

/** Every reason for a refusal. The errno is Linux's for that reason. */
export const REJECT_CODES = {
  'program-size': { category: 'limit', errno: 'E2BIG' },
  'not-permitted': { category: 'policy', errno: 'EPERM' },
  'jump-out-of-range': { category: 'structure', errno: 'EINVAL' },
  'jump-into-ldimm64': { category: 'structure', errno: 'EINVAL' },
  'unreachable-insn': { category: 'structure', errno: 'EINVAL' },
  'falls-off-the-end': { category: 'structure', errno: 'EINVAL' },
  'back-edge': { category: 'policy', errno: 'EINVAL' },
  'unknown-opcode': { category: 'structure', errno: 'EINVAL' },
  'reserved-field': { category: 'structure', errno: 'EINVAL' },
  'bad-register': { category: 'register', errno: 'EINVAL' },
  'bad-atomic': { category: 'structure', errno: 'EINVAL' },
  'bad-ldimm64': { category: 'structure', errno: 'EINVAL' },
  'bad-fd': { category: 'structure', errno: 'EBADF' },
  'fd-not-a-map': { category: 'structure', errno: 'EINVAL' },
  'no-fd-array': { category: 'structure', errno: 'EPROTO' },
  'too-many-maps': { category: 'limit', errno: 'E2BIG' },
  'no-direct-value': { category: 'call', errno: 'EINVAL' },
  'direct-value-range': { category: 'memory', errno: 'EINVAL' },
  'bad-call-target': { category: 'structure', errno: 'EINVAL' },
  'too-many-subprograms': { category: 'limit', errno: 'E2BIG' },
  'division-by-zero': { category: 'structure', errno: 'EINVAL' },
  'bad-shift': { category: 'structure', errno: 'EINVAL' },
  'frame-pointer-write': { category: 'register', errno: 'EACCES' },
  'misaligned-access': { category: 'memory', errno: 'EACCES' },
  'stack-bounds': { category: 'memory', errno: 'EACCES' },
  'unknown-func': { category: 'call', errno: 'EINVAL' },
  'helper-not-allowed': { category: 'call', errno: 'EINVAL' },
  'helper-needs-capability': { category: 'policy', errno: 'EINVAL' },
  'gpl-only': { category: 'policy', errno: 'EINVAL' },
  'kfunc-not-found': { category: 'call', errno: 'EINVAL' },
  'ld-abs-not-allowed': { category: 'context', errno: 'EINVAL' },
  'call-depth': { category: 'limit', errno: 'E2BIG' },
  'stack-size': { category: 'limit', errno: 'EACCES' },
  'tail-call-stack': { category: 'limit', errno: 'EACCES' },
  'bad-func-info': { category: 'structure', errno: 'EINVAL' },
  'bad-line-info': { category: 'structure', errno: 'EINVAL' },
  'infinite-loop': { category: 'structure', errno: 'EINVAL' },
  'too-complex': { category: 'limit', errno: 'E2BIG' },
  'pointer-comparison': { category: 'policy', errno: 'EACCES' },
  'uninitialised-register': { category: 'register', errno: 'EACCES' },
  'pointer-arithmetic': { category: 'register', errno: 'EACCES' },
  'pointer-offset': { category: 'memory', errno: 'EINVAL' },
  'pointer-leak': { category: 'policy', errno: 'EACCES' },
  'speculative-access': { category: 'policy', errno: 'EACCES' },
  'not-a-pointer': { category: 'register', errno: 'EACCES' },
  'pointer-type-mismatch': { category: 'register', errno: 'EINVAL' },
  'memory-bounds': { category: 'memory', errno: 'EACCES' },
  'packet-bounds': { category: 'memory', errno: 'EACCES' },
  'packet-write': { category: 'context', errno: 'EACCES' },
  'read-only-memory': { category: 'memory', errno: 'EACCES' },
  'map-access': { category: 'memory', errno: 'EACCES' },
  'special-field': { category: 'memory', errno: 'EACCES' },
  'uninitialised-stack': { category: 'memory', errno: 'EACCES' },
  'stack-spill': { category: 'memory', errno: 'EACCES' },
  'context-access': { category: 'context', errno: 'EACCES' },
  'modified-pointer': { category: 'register', errno: 'EACCES' },
  'atomic-target': { category: 'memory', errno: 'EACCES' },
  'memory-size': { category: 'memory', errno: 'EACCES' },
  'no-arena': { category: 'structure', errno: 'EINVAL' },
  'packet-load-context': { category: 'context', errno: 'EINVAL' },
  'callback-function': { category: 'call', errno: 'EINVAL' },
  'referenced-dynptr': { category: 'lifetime', errno: 'EINVAL' },
  'register-invariants': { category: 'register', errno: 'EFAULT' },
  'call-under-lock': { category: 'context', errno: 'EINVAL' },
  sleeps: { category: 'context', errno: 'EINVAL' },
  'bad-func-argument': { category: 'call', errno: 'EINVAL' },
  'bad-argument-type': { category: 'call', errno: 'EACCES' },
  'bad-argument': { category: 'call', errno: 'EINVAL' },
  'packet-argument': { category: 'call', errno: 'EACCES' },
  'map-argument': { category: 'call', errno: 'EINVAL' },
  'bad-kptr': { category: 'register', errno: 'EACCES' },
  'bad-dynptr': { category: 'lifetime', errno: 'EINVAL' },
  'bad-lock': { category: 'lifetime', errno: 'EINVAL' },
  'unreferenced-argument': { category: 'lifetime', errno: 'EINVAL' },
  'unreleased-reference': { category: 'lifetime', errno: 'EINVAL' },
  'open-region': { category: 'lifetime', errno: 'EINVAL' },
  'returns-stack-pointer': { category: 'memory', errno: 'EINVAL' },
  'bad-return-value': { category: 'call', errno: 'EINVAL' },
  'bad-attach-target': { category: 'structure', errno: 'EINVAL' },
  'bad-kfunc-call': { category: 'call', errno: 'EINVAL' },
  'bad-kfunc-argument': { category: 'call', errno: 'EINVAL' },
  'bad-iterator': { category: 'lifetime', errno: 'EINVAL' },
  'bad-irq-flag': { category: 'lifetime', errno: 'EINVAL' },
  'bad-graph-node': { category: 'lifetime', errno: 'EINVAL' },
  'bad-region': { category: 'context', errno: 'EINVAL' },
  'lost-track': { category: 'limit', errno: 'EFAULT' },
  'needs-newer-kernel': { category: 'unsupported', errno: 'EINVAL' },
  'unsupported-helper': { category: 'unsupported', errno: 'EOPNOTSUPP' },
  'unsupported-insn': { category: 'unsupported', errno: 'EOPNOTSUPP' },
} as const satisfies Record<string, RejectFact>;

export type RejectCode = keyof typeof REJECT_CODES;

export interface Rejection {
  readonly rejected: true;
  readonly code: RejectCode;
  readonly category: RejectCategory;
  readonly insn: InsnIdx;
  readonly line?: SourceLine;
  /** What is wrong, in Linux's words where Linux has words for it. */
  readonly problem: string;
  /** Why that is so, for a person. */
  readonly reason: string;
  /** How to mend it. */
  readonly hint?: string;
  readonly errno: Errno;
  /** The kernel-style log. */
  readonly log: string;
}

/** A refusal before its source line and log are known. */
export interface Refusal {
  readonly code: RejectCode;
  readonly insn: number;
  readonly problem: string;
  readonly reason: string;
  readonly hint?: string;
  /** Where Linux answers this case with another errno than the code's. */
  readonly errno?: Errno;
  /** The bytes that could not be accessed. */
  readonly access?: RefusedAccess;
}

/** An access out of bounds. */
export interface RefusedAccess {
  /** Bytes from what the pointer points into, what is variable in the pointer not included. */
  readonly off: number;
  readonly size: number;
  /** Bytes that are there. */
  readonly of: number;
}

/** Set by the passes: `undefined` lets the program pass. */
export type Verdict = Refusal | undefined;
