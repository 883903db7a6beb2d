/**
 * What OBJ_GET_INFO_BY_FD fills, as Linux 6.18 has it. An older kernel fills the beginning.
 *
 * @see include/uapi/linux/bpf.h, struct bpf_prog_info and the structs after it
 */
import { bytes, struct, u32, u64 } from '../base/layout.ts';
import { objName } from './attr.ts';

export const PROG_INFO = struct({
  type: u32,
  id: u32,
  tag: bytes(8),
  jited_prog_len: u32,
  xlated_prog_len: u32,
  jited_prog_insns: u64,
  xlated_prog_insns: u64,
  load_time: u64,
  created_by_uid: u32,
  nr_map_ids: u32,
  map_ids: u64,
  name: objName,
  ifindex: u32,
  /** Bit 0. */
  gpl_compatible: u32,
  netns_dev: u64,
  netns_ino: u64,
  nr_jited_ksyms: u32,
  nr_jited_func_lens: u32,
  jited_ksyms: u64,
  jited_func_lens: u64,
  btf_id: u32,
  func_info_rec_size: u32,
  func_info: u64,
  nr_func_info: u32,
  nr_line_info: u32,
  line_info: u64,
  jited_line_info: u64,
  nr_jited_line_info: u32,
  line_info_rec_size: u32,
  jited_line_info_rec_size: u32,
  nr_prog_tags: u32,
  prog_tags: u64,
  run_time_ns: u64,
  run_cnt: u64,
  recursion_misses: u64,
  verified_insns: u32,
  attach_btf_obj_id: u32,
  attach_btf_id: u32,
});

export const MAP_INFO = struct({
  type: u32,
  id: u32,
  key_size: u32,
  value_size: u32,
  max_entries: u32,
  map_flags: u32,
  name: objName,
  ifindex: u32,
  btf_vmlinux_value_type_id: u32,
  netns_dev: u64,
  netns_ino: u64,
  btf_id: u32,
  btf_key_type_id: u32,
  btf_value_type_id: u32,
  btf_vmlinux_id: u32,
  map_extra: u64,
  hash: u64,
  hash_size: u32,
});

export const BTF_INFO = struct({
  btf: u64,
  btf_size: u32,
  id: u32,
  name: u64,
  name_len: u32,
  kernel_btf: u32,
});

/** The tail is a union over the link's type. */
export const LINK_INFO = struct({ type: u32, id: u32, prog_id: u32, pad: u32, tail: bytes(48) });
