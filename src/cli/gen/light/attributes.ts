/** Attributes of bpf(2) as libbpf 1.1 gives them to a loader program, and what the program shares with its caller. */
import { bytes, s32, struct, u32, u64 } from '../../../base/layout.ts';

export const BTF_LOAD = struct({
  btf: u64,
  btf_log_buf: u64,
  btf_size: u32,
  btf_log_size: u32,
  btf_log_level: u32,
});

export const MAP_CREATE = struct({
  map_type: u32,
  key_size: u32,
  value_size: u32,
  max_entries: u32,
  map_flags: u32,
  inner_map_fd: u32,
  numa_node: u32,
  map_name: bytes(16),
  map_ifindex: u32,
  btf_fd: u32,
  btf_key_type_id: u32,
  btf_value_type_id: u32,
  btf_vmlinux_value_type_id: u32,
  map_extra: u64,
});

export const PROG_LOAD = struct({
  prog_type: u32,
  insn_cnt: u32,
  insns: u64,
  license: u64,
  log_level: u32,
  log_size: u32,
  log_buf: u64,
  kern_version: u32,
  prog_flags: u32,
  prog_name: bytes(16),
  prog_ifindex: u32,
  expected_attach_type: u32,
  prog_btf_fd: u32,
  func_info_rec_size: u32,
  func_info: u64,
  func_info_cnt: u32,
  line_info_rec_size: u32,
  line_info: u64,
  line_info_cnt: u32,
  attach_btf_id: u32,
  attach_btf_obj_fd: u32,
  core_relo_cnt: u32,
  fd_array: u64,
  core_relos: u64,
  core_relo_rec_size: u32,
});

export const MAP_UPDATE = struct({ map_fd: u32, key: u64, value: u64, flags: u64 });

/** `struct bpf_loader_ctx`. */
export const CONTEXT = struct({ sz: u32, flags: u32, log_level: u32, log_size: u32, log_buf: u64 });
/** `struct bpf_map_desc`: one for each map behind the context. */
export const MAP_DESC = struct({ map_fd: s32, max_entries: u32, initial_value: u64 });
/** `struct bpf_prog_desc`: one for each program behind the maps. */
export const PROG_DESC = struct({ prog_fd: s32 });
/** `BPF_SKEL_KERNEL`, of the context's flags: a kernel module loads, and initial values are in the kernel. */
export const IN_KERNEL = 1;

/** Bytes up to the end of an attribute's last member: the padding behind it is not given. */
export const SIZE = { btfLoad: 28, mapCreate: 72, progLoad: 140, mapUpdate: 32, mapFreeze: 4 } as const;

/** `enum bpf_cmd`. */
export const COMMAND = { mapCreate: 0, mapUpdate: 2, progLoad: 5, btfLoad: 18, mapFreeze: 22 } as const;
