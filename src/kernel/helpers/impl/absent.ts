/**
 * Helpers for things that this kernel does not have (yet): they answer as Linux does where the thing is absent: no socket
 * is found, no option is set, no hardware is there.
 */
import type { Errno } from '../../../sys/errno.ts';
import type { Helper } from '../../../sys/helper-ids.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';
import type { Waits } from '../function-state.ts';
import { err } from './values.ts';

interface Absent {
  /** What Linux answers: an errno's name, or r0. */
  readonly answer: Errno | number;
  /** What it waits for; a sentence where it means nothing in a process. */
  readonly waits: Waits;
}

const INFRARED = { meaningless: 'there are no infrared receivers' } as const;
const IPSEC = { meaningless: 'there are no IPsec states' } as const;
const BRANCHES = { meaningless: 'the processor records no branches for it' } as const;
/** `overflowuid`: the user of what has none. */
const NOBODY = 65534;

export const ABSENT = {
  get_cgroup_classid: { answer: 0, waits: 'cgroups' },
  get_route_realm: { answer: 0, waits: 'routes' },
  skb_under_cgroup: { answer: 'ENOENT', waits: 'sockets' },
  current_task_under_cgroup: { answer: 'EAGAIN', waits: 'cgroups' },
  get_socket_cookie: { answer: 0, waits: 'sockets' },
  get_socket_uid: { answer: NOBODY, waits: 'sockets' },
  setsockopt: { answer: 'EINVAL', waits: 'sockets' },
  getsockopt: { answer: 'EINVAL', waits: 'sockets' },
  sk_redirect_map: { answer: 0, waits: 'sockets' },
  sk_redirect_hash: { answer: 0, waits: 'sockets' },
  sock_map_update: { answer: 'EOPNOTSUPP', waits: 'sockets' },
  sock_hash_update: { answer: 'EOPNOTSUPP', waits: 'sockets' },
  perf_prog_read_value: { answer: 'EINVAL', waits: 'tracing' },
  override_return: { answer: 0, waits: 'tracing' },
  sock_ops_cb_flags_set: { answer: 'EINVAL', waits: 'sockets' },
  msg_redirect_map: { answer: 0, waits: 'sockets' },
  msg_redirect_hash: { answer: 0, waits: 'sockets' },
  msg_apply_bytes: { answer: 0, waits: 'sockets' },
  msg_cork_bytes: { answer: 0, waits: 'sockets' },
  msg_pull_data: { answer: 'EINVAL', waits: 'sockets' },
  msg_push_data: { answer: 'EINVAL', waits: 'sockets' },
  msg_pop_data: { answer: 'EINVAL', waits: 'sockets' },
  bind: { answer: 'EINVAL', waits: 'sockets' },
  skb_get_xfrm_state: { answer: 'EINVAL', waits: IPSEC },
  lwt_push_encap: { answer: 'EINVAL', waits: 'routes' },
  lwt_seg6_store_bytes: { answer: 'EINVAL', waits: 'routes' },
  lwt_seg6_adjust_srh: { answer: 'EINVAL', waits: 'routes' },
  lwt_seg6_action: { answer: 'EINVAL', waits: 'routes' },
  rc_repeat: { answer: 0, waits: INFRARED },
  rc_keydown: { answer: 0, waits: INFRARED },
  rc_pointer_rel: { answer: 0, waits: INFRARED },
  skb_cgroup_id: { answer: 0, waits: 'cgroups' },
  skb_ancestor_cgroup_id: { answer: 0, waits: 'cgroups' },
  sk_cgroup_id: { answer: 0, waits: 'cgroups' },
  sk_ancestor_cgroup_id: { answer: 0, waits: 'cgroups' },
  skb_cgroup_classid: { answer: 0, waits: 'cgroups' },
  sk_select_reuseport: { answer: 'ENOENT', waits: 'sockets' },
  sk_lookup_tcp: { answer: 0, waits: 'sockets' },
  sk_lookup_udp: { answer: 0, waits: 'sockets' },
  skc_lookup_tcp: { answer: 0, waits: 'sockets' },
  sk_release: { answer: 0, waits: 'sockets' },
  tcp_sock: { answer: 0, waits: 'sockets' },
  get_listener_sock: { answer: 0, waits: 'sockets' },
  tcp_check_syncookie: { answer: 'EINVAL', waits: 'sockets' },
  tcp_gen_syncookie: { answer: 'EINVAL', waits: 'sockets' },
  sk_assign: { answer: 'EINVAL', waits: 'sockets' },
  skc_to_tcp6_sock: { answer: 0, waits: 'sockets' },
  skc_to_tcp_sock: { answer: 0, waits: 'sockets' },
  skc_to_tcp_timewait_sock: { answer: 0, waits: 'sockets' },
  skc_to_tcp_request_sock: { answer: 0, waits: 'sockets' },
  skc_to_udp6_sock: { answer: 0, waits: 'sockets' },
  skc_to_unix_sock: { answer: 0, waits: 'sockets' },
  skc_to_mptcp_sock: { answer: 0, waits: 'sockets' },
  load_hdr_opt: { answer: 'ENOMSG', waits: 'sockets' },
  store_hdr_opt: { answer: 'EPERM', waits: 'sockets' },
  reserve_hdr_opt: { answer: 'EPERM', waits: 'sockets' },
  tcp_send_ack: { answer: 'EINVAL', waits: 'struct_ops' },
  sysctl_get_name: { answer: 'EINVAL', waits: 'cgroups' },
  sysctl_get_current_value: { answer: 'EINVAL', waits: 'cgroups' },
  sysctl_get_new_value: { answer: 'EINVAL', waits: 'cgroups' },
  sysctl_set_new_value: { answer: 'EINVAL', waits: 'cgroups' },
  get_retval: { answer: 0, waits: 'cgroups' },
  set_retval: { answer: 0, waits: 'cgroups' },
  skb_output: { answer: 'EINVAL', waits: 'tracing' },
  xdp_output: { answer: 'EINVAL', waits: 'tracing' },
  read_branch_records: { answer: 'ENOENT', waits: BRANCHES },
  get_branch_snapshot: { answer: 'ENOENT', waits: BRANCHES },
  seq_printf: { answer: 'EOVERFLOW', waits: 'tracing' },
  seq_write: { answer: 'EOVERFLOW', waits: 'tracing' },
  seq_printf_btf: { answer: 'EOVERFLOW', waits: 'tracing' },
  d_path: { answer: 'EINVAL', waits: 'tracing' },
  sock_from_file: { answer: 0, waits: 'tracing' },
  task_pt_regs: { answer: 0, waits: 'tracing' },
  probe_write_user: { answer: 'EFAULT', waits: 'tracing' },
  find_vma: { answer: 'ENOENT', waits: 'tracing' },
  bprm_opts_set: { answer: 'EINVAL', waits: 'lsm' },
  ima_inode_hash: { answer: 'EOPNOTSUPP', waits: 'lsm' },
  ima_file_hash: { answer: 'EOPNOTSUPP', waits: 'lsm' },
} as const satisfies Partial<Record<Helper, Absent>>;

function answering({ answer }: Absent): HelperImpl {
  const r0 = typeof answer === 'number' ? BigInt(answer) : err(answer);
  return () => r0;
}

/** What they do. */
export const ABSENT_IMPLEMENTATIONS = Object.fromEntries(
  Object.entries<Absent>(ABSENT).map(([name, absent]) => [name, answering(absent)]),
) as Readonly<Record<keyof typeof ABSENT, HelperImpl>>;
