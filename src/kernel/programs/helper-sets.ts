/**
 * Sets of helpers that several program types may call. A type's own file lists which it takes and what it adds.
 *
 * @see kernel/bpf/helpers.c, bpf_base_func_proto, for the three basic sets and their capabilities
 */
import type { Helper } from '../../sys/index.ts';

/** Every program type but `lirc_mode2`, with no capability. */
export const BASE: readonly Helper[] = [
  'map_lookup_elem',
  'map_update_elem',
  'map_delete_elem',
  'ktime_get_ns',
  'get_prandom_u32',
  'get_smp_processor_id',
  'tail_call',
  'get_current_pid_tgid',
  'get_current_uid_gid',
  'get_numa_node_id',
  'map_push_elem',
  'map_pop_elem',
  'map_peek_elem',
  'strtol',
  'strtoul',
  'get_ns_current_pid_tgid',
  'ktime_get_boot_ns',
  'ringbuf_output',
  'ringbuf_reserve',
  'ringbuf_submit',
  'ringbuf_discard',
  'ringbuf_query',
  'strncmp',
  'map_lookup_percpu_elem',
  'ktime_get_tai_ns',
];

/** Every program type but `lirc_mode2`, with CAP_BPF. */
export const BASE_BPF: readonly Helper[] = [
  'get_cgroup_classid',
  'current_task_under_cgroup',
  'get_current_cgroup_id',
  'spin_lock',
  'spin_unlock',
  'jiffies64',
  'get_current_ancestor_cgroup_id',
  'per_cpu_ptr',
  'this_cpu_ptr',
  'task_storage_get',
  'task_storage_delete',
  'for_each_map_elem',
  'timer_init',
  'timer_set_callback',
  'timer_start',
  'timer_cancel',
  'loop',
  'kptr_xchg',
  'dynptr_from_mem',
  'ringbuf_reserve_dynptr',
  'ringbuf_submit_dynptr',
  'ringbuf_discard_dynptr',
  'dynptr_read',
  'dynptr_write',
  'dynptr_data',
  'user_ringbuf_drain',
  'cgrp_storage_get',
  'cgrp_storage_delete',
];

/** Every program type but `lirc_mode2`, with CAP_BPF and CAP_PERFMON. */
export const BASE_PERFMON: readonly Helper[] = [
  'trace_printk',
  'get_current_comm',
  'perf_event_read',
  'get_current_task',
  'perf_event_read_value',
  'send_signal',
  'probe_read_user',
  'probe_read_kernel',
  'probe_read_user_str',
  'probe_read_kernel_str',
  'send_signal_thread',
  'get_task_stack',
  'copy_from_user',
  'snprintf_btf',
  'get_current_task_btf',
  'snprintf',
  'task_pt_regs',
  'get_branch_snapshot',
  'trace_vprintk',
  'find_vma',
  'copy_from_user_task',
];

/** Casts of a socket to the struct of its protocol; except in syscall programs they want CAP_PERFMON. */
export const SOCKET_CASTS: readonly Helper[] = [
  'skc_to_tcp6_sock',
  'skc_to_tcp_sock',
  'skc_to_tcp_timewait_sock',
  'skc_to_tcp_request_sock',
  'skc_to_udp6_sock',
  'skc_to_unix_sock',
  'skc_to_mptcp_sock',
];

/** What every tracing program may call in addition. */
export const TRACING_HELPERS: readonly Helper[] = [
  'probe_read',
  'perf_event_output',
  'get_stackid',
  'probe_read_str',
  'get_stack',
  'get_func_ip',
];

/** Changing a packet and sending it elsewhere. */
export const SKB_TUNNEL: readonly Helper[] = [
  'skb_store_bytes',
  'l3_csum_replace',
  'l4_csum_replace',
  'clone_redirect',
  'skb_get_tunnel_key',
  'skb_set_tunnel_key',
  'redirect',
  'skb_get_tunnel_opt',
  'skb_set_tunnel_opt',
  'skb_change_tail',
  'csum_update',
  'set_hash_invalid',
  'skb_change_head',
  'csum_level',
];

/** What lightweight tunnels may call. */
export const LWT: readonly Helper[] = [
  'get_route_realm',
  'skb_load_bytes',
  'csum_diff',
  'skb_under_cgroup',
  'get_hash_recalc',
  'skb_pull_data',
];

/** Reading a packet and what its socket is. */
export const SKB_READ: readonly Helper[] = [
  'skb_load_bytes',
  'get_socket_cookie',
  'get_socket_uid',
  'skb_load_bytes_relative',
  'get_netns_cookie',
];

export const SOCKET_LOOKUP: readonly Helper[] = [
  'sk_lookup_tcp',
  'sk_lookup_udp',
  'sk_release',
  'skc_lookup_tcp',
];

export const SOCKET_STORAGE: readonly Helper[] = ['sk_storage_get', 'sk_storage_delete'];

/** Routing, MTU and SYN cookies for programs at the device. */
export const SYNCOOKIES: readonly Helper[] = [
  'fib_lookup',
  'tcp_check_syncookie',
  'tcp_gen_syncookie',
  'check_mtu',
  'tcp_raw_gen_syncookie_ipv4',
  'tcp_raw_gen_syncookie_ipv6',
  'tcp_raw_check_syncookie_ipv4',
  'tcp_raw_check_syncookie_ipv6',
];

/** Reading and setting what the system call will return. */
export const RETVAL: readonly Helper[] = ['get_retval', 'set_retval'];
