/**
 * `union bpf_attr` as Linux 6.18 has it, and what later versions append: a struct for each command. The kernel reads as
 * many bytes as it is told, so a struct ends with the last member that its command has.
 *
 * Pointers are u64, file descriptors u32 or s32 as in the header.
 *
 * @see include/uapi/linux/bpf.h
 */
import { bytes, type Fields, type Layout, type StructLayout, s32, struct, u32, u64 } from '../base/layout.ts';
import { LIMITS } from '../sys/limits.ts';
import type { Command } from '../sys/tables.ts';

/** An object's name: zero-terminated where it is shorter than the member. */
const name: Layout<string> = {
  size: LIMITS.BPF_OBJ_NAME_LEN,
  align: 1,
  read: (view, offset) => {
    const raw = Buffer.from(view.buffer, view.byteOffset + offset, LIMITS.BPF_OBJ_NAME_LEN);
    const end = raw.indexOf(0);
    return raw.toString('latin1', 0, end < 0 ? raw.length : end);
  },
  write: (view, offset, value) => {
    for (let i = 0; i < LIMITS.BPF_OBJ_NAME_LEN; i++) {
      view.setUint8(offset + i, i < value.length ? value.charCodeAt(i) : 0);
    }
  },
};

export { name as objName };

const mapElem = struct({ map_fd: u32, key: u64, value: u64, flags: u64 });
const batch = struct({
  in_batch: u64,
  out_batch: u64,
  keys: u64,
  values: u64,
  count: u32,
  map_fd: u32,
  elem_flags: u64,
  flags: u64,
});
const pin = struct({ pathname: u64, bpf_fd: u32, file_flags: u32, path_fd: s32 });
const attach = struct({
  target: u32,
  attach_bpf_fd: u32,
  attach_type: u32,
  attach_flags: u32,
  replace_bpf_fd: u32,
  relative: u32,
  expected_revision: u64,
});
const id = struct({ id: u32, next_id: u32, open_flags: u32, fd_by_id_token_fd: s32 });

export const ATTR = {
  map_create: struct({
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    map_name: name,
    map_ifindex: u32,
    btf_fd: u32,
    btf_key_type_id: u32,
    btf_value_type_id: u32,
    btf_vmlinux_value_type_id: u32,
    map_extra: u64,
    value_type_btf_obj_fd: s32,
    map_token_fd: s32,
    excl_prog_hash: u64,
    excl_prog_hash_size: u32,
  }),
  map_lookup_elem: mapElem,
  map_update_elem: mapElem,
  map_delete_elem: mapElem,
  map_get_next_key: mapElem,
  map_lookup_and_delete_elem: mapElem,
  map_freeze: mapElem,
  map_lookup_batch: batch,
  map_lookup_and_delete_batch: batch,
  map_update_batch: batch,
  map_delete_batch: batch,
  prog_load: struct({
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: name,
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
    /** Or attach_btf_obj_fd. */
    attach_prog_fd: u32,
    core_relo_cnt: u32,
    fd_array: u64,
    core_relos: u64,
    core_relo_rec_size: u32,
    log_true_size: u32,
    prog_token_fd: s32,
    fd_array_cnt: u32,
    signature: u64,
    signature_size: u32,
    keyring_id: s32,
  }),
  obj_pin: pin,
  obj_get: pin,
  prog_attach: attach,
  prog_detach: attach,
  prog_test_run: struct({
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
  }),
  prog_get_next_id: id,
  map_get_next_id: id,
  btf_get_next_id: id,
  link_get_next_id: id,
  prog_get_fd_by_id: id,
  map_get_fd_by_id: id,
  btf_get_fd_by_id: id,
  link_get_fd_by_id: id,
  obj_get_info_by_fd: struct({ bpf_fd: u32, info_len: u32, info: u64 }),
  prog_query: struct({
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
  }),
  raw_tracepoint_open: struct({ name: u64, prog_fd: u32, cookie: u64 }),
  btf_load: struct({
    btf: u64,
    btf_log_buf: u64,
    btf_size: u32,
    btf_log_size: u32,
    btf_log_level: u32,
    btf_log_true_size: u32,
    btf_flags: u32,
    btf_token_fd: s32,
  }),
  task_fd_query: struct({
    pid: u32,
    fd: u32,
    flags: u32,
    buf_len: u32,
    buf: u64,
    prog_id: u32,
    fd_type: u32,
    probe_offset: u64,
    probe_addr: u64,
  }),
  link_create: struct({
    /** Or map_fd. */
    prog_fd: u32,
    /** Or target_ifindex. */
    target: u32,
    attach_type: u32,
    flags: u32,
    /** One of {@link LINK_TAIL}. */
    tail: bytes(48),
  }),
  link_update: struct({
    link_fd: u32,
    /** Or new_map_fd. */
    new_prog_fd: u32,
    flags: u32,
    /** Or old_map_fd. */
    old_prog_fd: u32,
  }),
  link_detach: struct({ link_fd: u32 }),
  enable_stats: struct({ type: u32 }),
  iter_create: struct({ link_fd: u32, flags: u32 }),
  prog_bind_map: struct({ prog_fd: u32, map_fd: u32, flags: u32 }),
  token_create: struct({ flags: u32, bpffs_fd: u32 }),
  prog_stream_read_by_fd: struct({ stream_buf: u64, stream_buf_len: u32, stream_id: u32, prog_fd: u32 }),
  prog_assoc_struct_ops: struct({ map_fd: u32, prog_fd: u32, flags: u32 }),
} as const satisfies Record<Command, unknown>;

/** Members of a command's attribute. */
export type AttrFields<C extends Command> =
  (typeof ATTR)[C] extends StructLayout<infer M> ? Partial<Fields<M>> : never;

/** The last member of LINK_CREATE's attribute, by what is attached to. */
export const LINK_TAIL = {
  target: struct({ target_btf_id: u32 }),
  iter: struct({ iter_info: u64, iter_info_len: u32 }),
  perf_event: struct({ bpf_cookie: u64 }),
  kprobe_multi: struct({ flags: u32, cnt: u32, syms: u64, addrs: u64, cookies: u64 }),
  uprobe_multi: struct({
    path: u64,
    offsets: u64,
    ref_ctr_offsets: u64,
    cookies: u64,
    cnt: u32,
    flags: u32,
    pid: u32,
  }),
  tracing: struct({ target_btf_id: u32, cookie: u64 }),
  /** Since 7.2. */
  tracing_multi: struct({ ids: u64, cookies: u64, cnt: u32 }),
  netfilter: struct({ pf: u32, hooknum: u32, priority: s32, flags: u32 }),
  /** tcx, netkit and cgroup. */
  anchor: struct({ relative: u32, expected_revision: u64 }),
};
