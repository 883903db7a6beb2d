/**
 * What an object file says, as plain data: the same bytes give the same spec, and no kernel is touched. Only the
 * initial values of global variables may be changed, before the spec is loaded.
 */
import type { Brand } from '../base/brand.ts';
import type { Btf, BtfTypeId, CoreReloKind } from '../btf/index.ts';
import type { InsnIdx } from '../isa/insn.ts';
import type { AttachType, MapType, ProgType } from '../sys/index.ts';
import type { Variable } from './variable.ts';

/** Index into {@link ObjectSpec.functions}. */
export type FunctionIndex = Brand<number, 'FunctionIndex'>;

/** A program, one of its subprograms, or both. */
export interface FunctionSpec {
  readonly name: string;
  /** ELF section. */
  readonly section: string;
  /** First slot in the section. */
  readonly start: InsnIdx;
  /** Eight bytes a slot, little-endian whatever the object's byte order is; not relocated. */
  readonly insns: Uint8Array;
  /** Verified on its own, with any arguments; static functions are verified where they are called. */
  readonly global: boolean;
  /** In order of `insn`. */
  readonly refs: readonly Ref[];
  /** The FUNC in the object's BTF. */
  readonly btfType: BtfTypeId | undefined;
  readonly lines: readonly LineRecord[];
  readonly coreRelos: readonly CoreRecord[];
}

/** What an instruction refers to. `insn` counts slots from the function's first. */
export type Ref = { readonly insn: InsnIdx } & (
  | { readonly kind: 'map'; readonly map: string }
  /** An address in a map of global data. */
  | { readonly kind: 'data'; readonly map: string; readonly off: number }
  | { readonly kind: 'call'; readonly func: FunctionIndex }
  /** The address of a function, for `bpf_loop` and its like. */
  | { readonly kind: 'func'; readonly func: FunctionIndex }
  /** The address of a `.kconfig` or `.ksyms` variable. */
  | { readonly kind: 'extern'; readonly extern: string }
  /** A call of a kernel function. */
  | { readonly kind: 'kfunc'; readonly extern: string }
);

/** A line of source; `insn` counts slots from the function's first. */
export interface LineRecord {
  readonly insn: InsnIdx;
  readonly file: string;
  readonly text: string;
  readonly line: number;
  readonly column: number;
  /** String offsets in the object's BTF. */
  readonly fileOffset: number;
  readonly textOffset: number;
}

/** A CO-RE relocation; `insn` counts slots from the function's first. */
export interface CoreRecord {
  readonly insn: InsnIdx;
  readonly type: BtfTypeId;
  readonly access: string;
  readonly kind: CoreReloKind;
}

/** An entry point. */
export interface ProgramSpec {
  readonly name: string;
  /** ELF section, `?` included. */
  readonly section: string;
  /** Absent when the section's name says none: the caller must. */
  readonly type: ProgType | undefined;
  readonly attach: AttachType | undefined;
  /** What the section's name says it is attached to: the function of `fentry/do_unlinkat`. */
  readonly target: string | undefined;
  readonly sleepable: boolean;
  readonly frags: boolean;
  /** The target is found in the kernel's BTF. */
  readonly attachBtf: boolean;
  /** False behind `?`: loaded only when asked for. */
  readonly autoload: boolean;
  readonly func: FunctionIndex;
  /** Function that handles exceptions (`exception_callback:` declaration tag). */
  readonly exceptionCallback: FunctionIndex | undefined;
  /** Where an iproute2 object puts it: in the prog array with that id, at that index (section `42/0`). */
  readonly tail: { readonly id: number; readonly index: number } | undefined;
}

/** Who made a map. */
export type MapOrigin = 'btf' | 'legacy' | 'data' | 'kconfig' | 'struct_ops' | 'arena';

/** A map that the object declares, or that holds its global data. */
export interface MapSpec {
  /** In the object; the section's for global data (`.rodata`). */
  readonly name: string;
  /** For the kernel: at most 15 characters. */
  readonly kernelName: string;
  readonly origin: MapOrigin;
  readonly type: MapType;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** Bits of `MAP_CREATE_FLAGS`. */
  readonly flags: number;
  readonly numaNode: number | undefined;
  readonly extra: bigint;
  /** 0 when not known. */
  readonly keyType: BtfTypeId;
  readonly valueType: BtfTypeId;
  /** Where it is pinned, below the pin root; `undefined` when it is not. */
  readonly pin: string | undefined;
  /** Template of the maps that a map of maps holds. */
  readonly inner: MapSpec | undefined;
  /** Maps or programs that it starts with. */
  readonly slots: readonly SlotSpec[];
  /** Bytes that it starts with. Variables change them in place. */
  readonly data: Uint8Array | undefined;
  /** Not to be changed once it is filled. */
  readonly frozen: boolean;
  /** iproute2's number for it, which `inner_id` and tail sections name; 0 for none. */
  readonly id: number;
  readonly structOps: StructOpsSpec | undefined;
}

/** An element of a prog array or map of maps that the object fills. */
export interface SlotSpec {
  readonly index: number;
  readonly kind: 'map' | 'prog';
  readonly name: string;
}

/** A `.struct_ops` variable: a table of functions that the kernel will call. */
export interface StructOpsSpec {
  /** The struct in the object's BTF. */
  readonly type: BtfTypeId;
  readonly typeName: string;
  /** Attached by a link (`.struct_ops.link`), not by the map update. */
  readonly link: boolean;
  readonly autocreate: boolean;
  readonly funcs: readonly { readonly offset: number; readonly program: string }[];
}

/** Shape of a `.kconfig` variable. */
export type KconfigShape = 'bool' | 'char' | 'int' | 'tristate' | 'string';

/** Something that the kernel must supply. */
export type ExternSpec = {
  readonly name: string;
  /** May be absent: then it is zero. */
  readonly weak: boolean;
} & (
  | {
      readonly kind: 'kconfig';
      readonly shape: KconfigShape;
      readonly signed: boolean;
      readonly size: number;
      /** In the `.kconfig` map. */
      readonly offset: number;
    }
  /** A kernel variable; `type` is `undefined` for one declared `void`, whose address alone is wanted. */
  | { readonly kind: 'ksym'; readonly type: BtfTypeId | undefined }
  /** A kernel function; `type` is its FUNC_PROTO in the object's BTF. */
  | { readonly kind: 'kfunc'; readonly type: BtfTypeId }
);

/** An object file. */
export interface ObjectSpec {
  /** File name without folder and suffix; the kernel's names for its data maps begin with it. */
  readonly name: string;
  /** What messages call the file. */
  readonly file: string;
  readonly littleEndian: boolean;
  readonly license: string;
  /** Of the `version` section. */
  readonly version: number | undefined;
  readonly functions: readonly FunctionSpec[];
  readonly programs: ReadonlyMap<string, ProgramSpec>;
  readonly maps: ReadonlyMap<string, MapSpec>;
  /** Global variables, by name. */
  readonly variables: ReadonlyMap<string, Variable>;
  readonly externs: ReadonlyMap<string, ExternSpec>;
  /** The object's BTF, with the places of its variables filled in. */
  readonly btf: Btf | undefined;
}
