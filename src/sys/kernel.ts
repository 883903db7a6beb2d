/**
 * The waist of the house: `bpf(2)` as a typed, synchronous method table that both kernels implement. Tools and
 * loaders are written against {@link Kernel} and do not know which kernel answers.
 *
 * Failures throw an `InputError` that carries the errno and a sentence. One result is not a failure: the ENOENT that
 * says "no such key" or "no more" (lookup, next key, next id) is returned as `undefined`.
 *
 * @see man 2 bpf; include/uapi/linux/bpf.h, union bpf_attr
 */
import type { Brand } from '../base/brand.ts';
import type { FileCalls, HookCalls } from './files.ts';
import type { NetCommands } from './net.ts';
import type { PerfEventAttr } from './perf.ts';
import type { AttachType, Command, LinkType, MapType, ProgType } from './tables.ts';

/** A file descriptor of the kernel that gave it. */
export type Fd = Brand<number, 'Fd'>;
export type ProgId = Brand<number, 'ProgId'>;
export type MapId = Brand<number, 'MapId'>;
export type BtfId = Brand<number, 'BtfId'>;
export type LinkId = Brand<number, 'LinkId'>;

export interface MapCreateAttr {
  readonly map_type: MapType;
  /** Bytes. */
  readonly key_size: number;
  /** Bytes; of one CPU's value for the per-CPU types. */
  readonly value_size: number;
  readonly max_entries: number;
  /** Bits of `MAP_CREATE_FLAGS`. */
  readonly map_flags?: number;
  readonly inner_map_fd?: Fd;
  readonly numa_node?: number;
  /** At most 15 characters of `[A-Za-z0-9_.]`. */
  readonly map_name?: string;
  readonly map_ifindex?: number;
  readonly btf_fd?: Fd;
  readonly btf_key_type_id?: number;
  readonly btf_value_type_id?: number;
  readonly btf_vmlinux_value_type_id?: number;
  readonly map_extra?: bigint;
  readonly value_type_btf_obj_fd?: Fd;
  readonly map_token_fd?: Fd;
  /** SHA-256 of the one program that may use the map. */
  readonly excl_prog_hash?: Uint8Array;
}

/** Key or value bytes are laid out as the kernel wants them: a per-CPU value is one 8-byte aligned value for each possible CPU. */
export interface MapElemAttr {
  readonly map_fd: Fd;
  /** Absent for queues, stacks and bloom filters. */
  readonly key?: Uint8Array;
  /** Of a lookup: the value that a bloom filter is asked for. */
  readonly value?: Uint8Array;
  readonly flags?: bigint;
}

export interface MapUpdateAttr extends MapElemAttr {
  readonly value: Uint8Array;
}

export interface MapBatchAttr {
  readonly map_fd: Fd;
  /** Where the previous batch ended; absent for the first. */
  readonly in_batch?: Uint8Array;
  /** Most elements to return. */
  readonly count: number;
  readonly elem_flags?: bigint;
  readonly flags?: bigint;
}

export interface MapBatchResult {
  /** Pass as `in_batch` to go on; absent when the map is exhausted. */
  readonly out_batch?: Uint8Array;
  readonly count: number;
  /** `count` keys, one behind the other. */
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
}

export interface MapBatchWriteAttr {
  readonly map_fd: Fd;
  readonly count: number;
  readonly keys: Uint8Array;
  readonly elem_flags?: bigint;
  readonly flags?: bigint;
}

export interface ProgLoadAttr {
  readonly prog_type: ProgType;
  /** Eight bytes a slot, little-endian. */
  readonly insns: Uint8Array;
  readonly license: string;
  /** 0: none; bits 1: failing path, 2: every state, 4: counts only. */
  readonly log_level?: number;
  /** Bytes for the log; default 16 MiB when a level is given. */
  readonly log_size?: number;
  readonly kern_version?: number;
  /** Bits of `PROG_LOAD_FLAGS`. */
  readonly prog_flags?: number;
  readonly prog_name?: string;
  readonly prog_ifindex?: number;
  readonly expected_attach_type?: AttachType;
  readonly prog_btf_fd?: Fd;
  /** Records of `struct bpf_func_info` (8 bytes each). */
  readonly func_info?: Uint8Array;
  readonly func_info_rec_size?: number;
  /** Records of `struct bpf_line_info` (16 bytes each). */
  readonly line_info?: Uint8Array;
  readonly line_info_rec_size?: number;
  readonly core_relos?: Uint8Array;
  readonly core_relo_rec_size?: number;
  readonly attach_btf_id?: number;
  readonly attach_prog_fd?: Fd;
  readonly attach_btf_obj_fd?: Fd;
  /** Fds that `map_idx` loads and kfunc calls index. */
  readonly fd_array?: readonly Fd[];
  /** How many of them the program holds on to, used or not; 0 binds only those that an instruction indexes. */
  readonly fd_array_cnt?: number;
  readonly prog_token_fd?: Fd;
  /** PKCS#7 signature of the instructions, and the keyring that verifies it. */
  readonly signature?: Uint8Array;
  readonly keyring_id?: number;
}

export interface ProgLoadResult {
  readonly fd: Fd;
  /** The verifier's log; empty when `log_level` is 0. */
  readonly log: string;
}

/** Thrown as `InputError` with `errno` and the log as `detail` when the verifier refuses. */

export interface BtfLoadAttr {
  readonly btf: Uint8Array;
  readonly log_level?: number;
  readonly token_fd?: Fd;
}

export interface ObjPinAttr {
  readonly pathname: string;
  readonly bpf_fd: Fd;
  readonly file_flags?: number;
  readonly path_fd?: number;
}

export interface ObjGetAttr {
  readonly pathname: string;
  readonly file_flags?: number;
  readonly path_fd?: number;
}

export interface ProgAttachAttr {
  /** The cgroup, map or network device (by index) attached to. */
  readonly target_fd?: number;
  readonly target_ifindex?: number;
  readonly attach_bpf_fd: Fd;
  readonly attach_type: AttachType;
  readonly attach_flags?: number;
  readonly replace_bpf_fd?: Fd;
  readonly relative_fd?: Fd;
  readonly relative_id?: number;
  readonly expected_revision?: bigint;
}

export interface ProgDetachAttr {
  readonly target_fd?: number;
  readonly target_ifindex?: number;
  readonly attach_bpf_fd?: Fd;
  readonly attach_type: AttachType;
  readonly attach_flags?: number;
  readonly relative_fd?: Fd;
  readonly relative_id?: number;
  readonly expected_revision?: bigint;
}

export interface ProgTestRunAttr {
  readonly prog_fd: Fd;
  /** The packet, for types that take one. */
  readonly data_in?: Uint8Array;
  /** Room for the packet that comes back; default 64 KiB when `data_in` is given, 0 for none. */
  readonly data_size_out?: number;
  readonly ctx_in?: Uint8Array;
  readonly ctx_size_out?: number;
  readonly repeat?: number;
  readonly flags?: number;
  readonly cpu?: number;
  readonly batch_size?: number;
}

export interface ProgTestRunResult {
  /** The program's r0, as an unsigned 32-bit value. */
  readonly retval: number;
  /** Nanoseconds of one run, averaged over `repeat`. */
  readonly duration: number;
  readonly data_out: Uint8Array;
  readonly ctx_out: Uint8Array;
}

export interface ProgQueryAttr {
  readonly target_fd?: number;
  readonly target_ifindex?: number;
  readonly attach_type: AttachType;
  readonly query_flags?: number;
}

export interface ProgQueryResult {
  readonly attach_flags: number;
  readonly prog_ids: readonly ProgId[];
  readonly prog_attach_flags: readonly number[];
  readonly link_ids: readonly LinkId[];
  readonly revision: bigint;
}

export interface RawTracepointOpenAttr {
  /** Absent for BTF-typed programs, which name their target at load. */
  readonly name?: string;
  readonly prog_fd: Fd;
  readonly cookie?: bigint;
}

export interface TaskFdQueryAttr {
  readonly pid: number;
  readonly fd: number;
}

export interface TaskFdQueryResult {
  readonly prog_id: ProgId;
  readonly fd_type: number;
  readonly name: string;
  readonly probe_offset: bigint;
  readonly probe_addr: bigint;
}

/** The target and the options that the attach type reads. */
export interface LinkCreateAttr {
  readonly prog_fd?: Fd;
  readonly map_fd?: Fd;
  readonly target_fd?: number;
  readonly target_ifindex?: number;
  readonly attach_type: AttachType;
  readonly flags?: number;
  readonly target_btf_id?: number;
  readonly iter_info?: Uint8Array;
  readonly perf_event?: { readonly bpf_cookie: bigint };
  readonly kprobe_multi?: {
    readonly flags?: number;
    readonly syms?: readonly string[];
    readonly addrs?: readonly bigint[];
    readonly cookies?: readonly bigint[];
  };
  readonly uprobe_multi?: {
    readonly path: string;
    readonly offsets: readonly bigint[];
    readonly ref_ctr_offsets?: readonly bigint[];
    readonly cookies?: readonly bigint[];
    readonly flags?: number;
    readonly pid?: number;
  };
  readonly tracing?: { readonly target_btf_id: number; readonly cookie: bigint };
  readonly tracing_multi?: { readonly ids: readonly number[]; readonly cookies?: readonly bigint[] };
  readonly netfilter?: {
    readonly pf: number;
    readonly hooknum: number;
    readonly priority: number;
    readonly flags?: number;
  };
  /** tcx, netkit and cgroup: where among the others. */
  readonly anchor?: {
    readonly relative_fd?: Fd;
    readonly relative_id?: number;
    readonly expected_revision?: bigint;
  };
}

export interface LinkUpdateAttr {
  readonly link_fd: Fd;
  readonly new_prog_fd?: Fd;
  readonly new_map_fd?: Fd;
  readonly flags?: number;
  readonly old_prog_fd?: Fd;
  readonly old_map_fd?: Fd;
}

export interface ProgInfo {
  readonly kind: 'prog';
  readonly type: ProgType;
  readonly id: ProgId;
  /** Eight bytes: SHA-derived digest of the instructions. */
  readonly tag: Uint8Array;
  /** Instructions after verification and rewriting, or empty where the kernel does not show them. */
  readonly xlated_prog_insns: Uint8Array;
  readonly jited_prog_len: number;
  readonly xlated_prog_len: number;
  /** Nanoseconds since boot. */
  readonly load_time: bigint;
  readonly created_by_uid: number;
  readonly map_ids: readonly MapId[];
  readonly name: string;
  readonly ifindex: number;
  readonly gpl_compatible: boolean;
  readonly netns_dev: bigint;
  readonly netns_ino: bigint;
  readonly nr_func_info: number;
  readonly nr_line_info: number;
  readonly func_info: Uint8Array;
  readonly line_info: Uint8Array;
  readonly btf_id: BtfId;
  readonly run_time_ns: bigint;
  readonly run_cnt: bigint;
  readonly recursion_misses: bigint;
  readonly verified_insns: number;
  readonly attach_btf_obj_id: BtfId;
  readonly attach_btf_id: number;
  /** What the compiler made of it: absent where it is not compiled, or may not be seen. */
  readonly jited?: {
    /** Addresses of its functions. */
    readonly ksyms: readonly bigint[];
    /** Bytes of each function. */
    readonly func_lens: readonly number[];
    /** Machine code, or a WebAssembly module. */
    readonly insns: Uint8Array;
  };
}

export interface MapInfo {
  readonly kind: 'map';
  readonly type: MapType;
  readonly id: MapId;
  readonly key_size: number;
  readonly value_size: number;
  readonly max_entries: number;
  readonly map_flags: number;
  readonly name: string;
  readonly ifindex: number;
  readonly btf_vmlinux_value_type_id: number;
  readonly netns_dev: bigint;
  readonly netns_ino: bigint;
  readonly btf_id: BtfId;
  readonly btf_key_type_id: number;
  readonly btf_value_type_id: number;
  /** The kernel BTF that the value of a `struct_ops` map is of; 0 for other maps. */
  readonly btf_vmlinux_id: number;
  readonly map_extra: bigint;
}

export interface BtfInfo {
  readonly kind: 'btf';
  readonly btf: Uint8Array;
  readonly id: BtfId;
  readonly name: string;
  readonly kernel_btf: boolean;
}

export interface LinkInfo {
  readonly kind: 'link';
  readonly type: LinkType;
  readonly id: LinkId;
  readonly prog_id: ProgId;
  /** What the tail points to: the name of the tracepoint, function or iterator, or the path of the file. */
  readonly text?: string;
  /** The type-specific tail of `struct bpf_link_info`, undecoded; it begins at offset 16. `linkDetails` reads it. */
  readonly raw: Uint8Array;
  /** What the tail points to beside the text, of links to many places. */
  readonly lists?: {
    readonly [L in 'addrs' | 'offsets' | 'ref_ctr_offsets' | 'cookies']?: readonly bigint[];
  };
}

export type ObjInfo = ProgInfo | MapInfo | BtfInfo | LinkInfo;

/** Attribute and result of each command. A result of `undefined` beside another type is the "no such" or "no more" case. */
export interface CommandTypes {
  map_create: { attr: MapCreateAttr; result: Fd };
  map_lookup_elem: { attr: MapElemAttr; result: Uint8Array | undefined };
  map_update_elem: { attr: MapUpdateAttr; result: void };
  map_delete_elem: { attr: MapElemAttr; result: void };
  map_get_next_key: { attr: MapElemAttr; result: Uint8Array | undefined };
  prog_load: { attr: ProgLoadAttr; result: ProgLoadResult };
  obj_pin: { attr: ObjPinAttr; result: void };
  obj_get: { attr: ObjGetAttr; result: Fd };
  prog_attach: { attr: ProgAttachAttr; result: void };
  prog_detach: { attr: ProgDetachAttr; result: void };
  prog_test_run: { attr: ProgTestRunAttr; result: ProgTestRunResult };
  prog_get_next_id: { attr: { readonly start_id: number }; result: ProgId | undefined };
  map_get_next_id: { attr: { readonly start_id: number }; result: MapId | undefined };
  prog_get_fd_by_id: { attr: { readonly prog_id: ProgId; readonly open_flags?: number }; result: Fd };
  map_get_fd_by_id: { attr: { readonly map_id: MapId; readonly open_flags?: number }; result: Fd };
  obj_get_info_by_fd: { attr: { readonly bpf_fd: Fd }; result: ObjInfo };
  prog_query: { attr: ProgQueryAttr; result: ProgQueryResult };
  raw_tracepoint_open: { attr: RawTracepointOpenAttr; result: Fd };
  btf_load: { attr: BtfLoadAttr; result: Fd };
  btf_get_fd_by_id: { attr: { readonly btf_id: BtfId; readonly open_flags?: number }; result: Fd };
  task_fd_query: { attr: TaskFdQueryAttr; result: TaskFdQueryResult };
  map_lookup_and_delete_elem: { attr: MapElemAttr; result: Uint8Array | undefined };
  map_freeze: { attr: { readonly map_fd: Fd }; result: void };
  btf_get_next_id: { attr: { readonly start_id: number }; result: BtfId | undefined };
  map_lookup_batch: { attr: MapBatchAttr; result: MapBatchResult };
  map_lookup_and_delete_batch: { attr: MapBatchAttr; result: MapBatchResult };
  /** The number of elements done. */
  map_update_batch: { attr: MapBatchWriteAttr & { readonly values: Uint8Array }; result: number };
  map_delete_batch: { attr: MapBatchWriteAttr; result: number };
  link_create: { attr: LinkCreateAttr; result: Fd };
  link_update: { attr: LinkUpdateAttr; result: void };
  link_get_fd_by_id: { attr: { readonly link_id: LinkId; readonly open_flags?: number }; result: Fd };
  link_get_next_id: { attr: { readonly start_id: number }; result: LinkId | undefined };
  enable_stats: { attr: { readonly type: number }; result: Fd };
  iter_create: { attr: { readonly link_fd: Fd; readonly flags?: number }; result: Fd };
  link_detach: { attr: { readonly link_fd: Fd }; result: void };
  prog_bind_map: {
    attr: { readonly prog_fd: Fd; readonly map_fd: Fd; readonly flags?: number };
    result: void;
  };
  token_create: { attr: { readonly flags?: number; readonly bpffs_fd: number }; result: Fd };
  /** Bytes of the program's stream (1 stdout, 2 stderr) since the last read. */
  prog_stream_read_by_fd: {
    attr: { readonly prog_fd: Fd; readonly stream_id: number; readonly size: number };
    result: Uint8Array;
  };
  prog_assoc_struct_ops: {
    attr: { readonly map_fd: Fd; readonly prog_fd: Fd; readonly flags?: number };
    result: void;
  };
}

/** `bpf(2)`, a method for each command. */
export type Bpf = { readonly [C in Command]: (attr: CommandTypes[C]['attr']) => CommandTypes[C]['result'] };

export interface MmapOptions {
  /** Bytes; the kernel rounds it up to whole pages. */
  readonly length: number;
  /** Bytes from the start of what the fd is, a multiple of the page size; default 0. */
  readonly offset?: number;
  /** Default false. On Linux, writing to memory that is not writable ends the process. */
  readonly writable?: boolean;
  /**
   * Where user space has it; default anywhere. An arena with a `map_extra`, or one that was mapped before, is mapped there
   * and nowhere else.
   */
  readonly address?: bigint;
}

/** Memory that is shared with a kernel and its programs. */
export interface Mapping extends Disposable {
  /**
   * The memory. Take it anew after each call of the kernel: the embedded one moves all of its memory when it grows, and
   * views of where it was are then empty. After {@link close} it reads as zeros or is empty.
   */
  readonly bytes: Uint8Array;
  /** Where user space has it: what pointers into an arena are counted from. */
  readonly address?: bigint;
  close(): void;
}

export interface PollOptions {
  /** Wait until they can be written to (user ring buffers), not read from. */
  readonly write?: boolean;
  /** Milliseconds; default without end. */
  readonly timeout?: number;
  /** Ends the wait with its reason. */
  readonly signal?: AbortSignal;
}

/** The system calls beside bpf(2) that BPF needs. Failures throw an `InputError` with its errno, as there. */
export interface SystemCalls {
  /** perf_event_open(2). */
  perf_event_open(attr: PerfEventAttr): Fd;
  /** Stops what an event records, so that its ring can be read at rest, or goes on (`PERF_EVENT_IOC_PAUSE_OUTPUT`). */
  perf_event_pause(event: Fd, paused: boolean): void;
  /** mmap(2), shared: an array with `BPF_F_MMAPABLE`, a ring buffer, a perf event. */
  mmap(fd: Fd, options: MmapOptions): Mapping;
  /**
   * Resolves with those of the files (ring buffers, perf events) that there was something new in since the last poll of
   * them; with none after the timeout. What was there before the first poll counts. Nothing is burnt while it waits.
   */
  poll(fds: readonly Fd[], options?: PollOptions): Promise<readonly Fd[]>;
}

/** A kernel that answers `bpf(2)`. */
export interface Kernel extends Disposable {
  readonly name: 'embedded' | 'linux';
  readonly bpf: Bpf;
  readonly os: SystemCalls;
  readonly files: FileCalls;
  readonly hooks: HookCalls;
  readonly net: NetCommands;
  /** `uname -r`, such as `6.18.44`; the embedded kernel says which Linux it behaves as. */
  readonly release: string;
  /** CPUs that a per-CPU value has a slot for. */
  readonly possibleCpus: number;
  /** The kernel's own BTF (`/sys/kernel/btf/vmlinux`), or `undefined` when it has none. */
  vmlinuxBtf(): Uint8Array | undefined;
  /** Value of a `.kconfig` extern (`CONFIG_HZ`), or `undefined` when the kernel's configuration lacks or hides it. */
  kconfig(name: string): string | undefined;
  /** Address of a kernel symbol (`/proc/kallsyms`), or `undefined`. */
  ksym(name: string): bigint | undefined;
  /** Lets go of a file descriptor; what nothing else holds ends. */
  closeFd(fd: Fd): void;
  close(): void;
}
