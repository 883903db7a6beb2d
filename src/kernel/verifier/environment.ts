/** What a verdict depends on beside the program: the kernel, the caller and the objects that the program names. */
import type { Btf } from '../../btf/index.ts';
import type { MapType } from '../../sys/tables.ts';

/** What the verifier knows of a map. */
export interface MapFacts {
  /** The kernel's id of it: two descriptors of one map have the same. */
  readonly id: number;
  readonly name: string;
  readonly type: MapType;
  /** Bytes. */
  readonly keySize: number;
  /** Bytes; of one CPU's value for the per-CPU types. */
  readonly valueSize: number;
  readonly maxEntries: number;
  /** Bits of `MAP_CREATE_FLAGS`. */
  readonly flags: number;
  readonly btf?: Btf;
  readonly btfKeyTypeId?: number;
  readonly btfValueTypeId?: number;
  /** User space can no longer write; with `BPF_F_RDONLY_PROG` the contents are constants. */
  readonly frozen: boolean;
  /** Made by a caller without CAP_PERFMON: what is looked up in it is kept from speculation. */
  readonly unprivileged?: boolean;
  /** Arenas: where user space has it in memory; 0 while that is not known. */
  readonly userAddress?: bigint;
  /** The inner map's facts, for maps of maps. */
  readonly inner?: MapFacts;
  /** Bytes of an array's values, for folding loads of constants. */
  readonly contents?: (offset: number, size: number) => Uint8Array | undefined;
}

/** What the caller may do. `sysAdmin` does not imply the others here: whoever fills this in decides. */
export interface Capabilities {
  readonly bpf: boolean;
  readonly perfmon: boolean;
  readonly netAdmin: boolean;
  readonly sysAdmin: boolean;
}

export const ALL_CAPABILITIES: Capabilities = { bpf: true, perfmon: true, netAdmin: true, sysAdmin: true };
export const NO_CAPABILITIES: Capabilities = { bpf: false, perfmon: false, netAdmin: false, sysAdmin: false };

/** What a file descriptor in an instruction is: a map, another object, or nothing. */
export type FdFacts = MapFacts | 'not-a-map' | 'bad-fd';

export interface VerifyEnvironment {
  readonly map: (fd: number) => FdFacts;
  /** The kernel's own types. */
  readonly kernelBtf?: Btf | undefined;
  /** Address of a kernel symbol, `undefined` where there is none; absent when every variable and function in its BTF has one. */
  readonly symbol?: (name: string) => bigint | undefined;
  readonly capabilities: Capabilities;
  /** The Linux whose rules hold, such as `6.18`. */
  readonly kernelVersion: string;
  /** 0: none; bits 1: failing path, 2: every state, 4: counts only. */
  readonly logLevel: number;
  /** Processors that the kernel can have; 1 when absent. */
  readonly cpus?: number;
  /** Whether this kernel has the helper of that id. One that Linux has and this kernel lacks is refused by name. */
  readonly helperImplemented: (id: number) => boolean;
  /** The same for functions of the kernel's BTF; absent: it has all of them. */
  readonly kfuncImplemented?: (name: string) => boolean;
}
