/** What the verifier is given and what it gives back. */
import type { Btf } from '../../btf/index.ts';
import type { Insn, InsnIdx } from '../../isa/index.ts';
import type { AttachType, ProgType } from '../../sys/tables.ts';
import type { MapFacts } from './environment.ts';

/** Records of `struct bpf_func_info` or `struct bpf_line_info`, as PROG_LOAD takes them. */
export interface InfoRecords {
  readonly bytes: Uint8Array;
  /** Bytes of one record; may be more than what is known of it when the rest is zero. */
  readonly recSize: number;
}

/** A program as PROG_LOAD gets it. */
export interface ProgramInput {
  readonly name: string;
  readonly type: ProgType;
  readonly expectedAttachType?: AttachType;
  /** Eight bytes a slot, little-endian. */
  readonly insns: Uint8Array;
  readonly license: string;
  /** Bits of `PROG_LOAD_FLAGS`. */
  readonly flags: number;
  readonly btf?: Btf;
  readonly funcInfo?: InfoRecords;
  readonly lineInfo?: InfoRecords;
  /** What a tracing, LSM, struct_ops or extension program attaches to. */
  readonly attachTarget?: {
    readonly btfId: number;
    /** The BTF that `btfId` is in; the kernel's own when absent. */
    readonly btf?: Btf;
    /** The program that is extended or traced. */
    readonly prog?: VerifiedProgram;
  };
  /** File descriptors that `map_idx` loads and kfunc calls index. */
  readonly fdArray?: readonly number[];
}

/** Where an instruction came from. */
export interface SourceLine {
  readonly file: string;
  /** From 1; 0 is unknown. */
  readonly line: number;
  /** From 1; 0 is unknown. */
  readonly column: number;
  /** The line's text. */
  readonly text: string;
}

/** A function of the program: slots `start` to `end` (exclusive). The first is the entry. */
export interface Subprogram {
  readonly start: InsnIdx;
  readonly end: InsnIdx;
  /** From BTF; absent without function info. */
  readonly name?: string;
  /** Bytes of stack that it uses, as far as it is known. */
  readonly stackDepth: number;
  readonly hasTailCall: boolean;
  /** A tail call can be made while it is on the call stack. */
  readonly tailCallReachable: boolean;
}

/** Kinds of values that a register can be proven to hold. */
export type PointerKind =
  | 'scalar'
  | 'ctx'
  | 'const_map'
  | 'map_value'
  | 'map_key'
  | 'stack'
  | 'packet'
  | 'packet_meta'
  | 'packet_end'
  | 'mem'
  | 'btf_id'
  | 'sock'
  | 'func'
  | 'arena';

/** What exploration proves about one instruction, over all paths to it. Absent members were not proven. */
export interface InsnProof {
  /** No path reaches it. */
  readonly dead?: boolean;
  /** What the base register of a memory access, or the pointer operand of an addition, is. */
  readonly pointer?: {
    readonly kind: PointerKind;
    /** Index into {@link VerifiedProgram.maps} for map pointers and values. */
    readonly map?: number;
    /** Inclusive range of the offset from the object's start. */
    readonly offset: { readonly min: bigint; readonly max: bigint };
    readonly nullable: boolean;
  };
  /** Of a load or store that is not done as it stands: what it goes through. */
  readonly access?: 'ctx' | 'sock' | 'map' | 'btf_id' | 'untrusted' | 'arena';
  /** Names of the context's fields that a load or store touches. */
  readonly ctxFields?: readonly string[];
  /** For a helper call: the map argument, and the key where it is constant. */
  readonly call?: { readonly map?: number; readonly key?: Uint8Array };
  /** For a conditional jump of which only one way is possible. */
  readonly branch?: 'always' | 'never';
}

declare const verified: unique symbol;

/** A program that the verifier accepted. Only `verify()` makes one; only one can be run or compiled. */
export interface VerifiedProgram {
  readonly [verified]: true;
  readonly input: ProgramInput;
  /** By slot; `undefined` is the second slot of a 64-bit immediate load. */
  readonly insns: readonly (Insn | undefined)[];
  readonly subprograms: readonly Subprogram[];
  /** Maps that the program uses, each once, in the order of their first use. */
  readonly maps: readonly MapFacts[];
  /** By slot of a 64-bit immediate load of a map or map value: the index into {@link VerifiedProgram.maps}. */
  readonly mapRefs: ReadonlyMap<InsnIdx, number>;
  /** By slot, sparse. */
  readonly proofs: ReadonlyMap<InsnIdx, InsnProof>;
  /** Start of the subprogram that exceptions end in; absent: their value is what the program returns. */
  readonly exceptionCallback?: InsnIdx;
  readonly gplCompatible: boolean;
  /** Instructions that verification processed. */
  readonly processed: number;
  /** The kernel-style log at the level that was asked for. */
  readonly log: string;
}
