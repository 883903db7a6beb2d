/** Kernel functions for things that this kernel does not have (yet): they answer as Linux does where the thing is absent. */
import type { Errno } from '../../../sys/errno.ts';
import type { Waits } from '../../helpers/function-state.ts';
import { addr, err } from '../../helpers/impl/values.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';

const KEYS = { meaningless: 'there are no key rings' } as const;
const IPSEC = { meaningless: 'there are no IPsec states' } as const;
const HARDWARE = { meaningless: 'there is no hardware that tells of a packet' } as const;
const SLAB = { meaningless: 'its memory is not in slab caches' } as const;
const RSTAT = { meaningless: 'nobody counts for its cgroups' } as const;

interface Absent {
  readonly answer: Errno | number;
  readonly waits: Waits;
}

export const ABSENT = {
  bpf_cgroup_read_xattr: { answer: 'ENODATA', waits: 'cgroups' },
  bpf_get_kmem_cache: { answer: 0, waits: SLAB },
  bpf_xdp_metadata_rx_hash: { answer: 'EOPNOTSUPP', waits: HARDWARE },
  bpf_xdp_metadata_rx_timestamp: { answer: 'EOPNOTSUPP', waits: HARDWARE },
  bpf_xdp_metadata_rx_vlan_tag: { answer: 'EOPNOTSUPP', waits: HARDWARE },
  bpf_key_put: { answer: 0, waits: KEYS },
  bpf_lookup_system_key: { answer: 0, waits: KEYS },
  bpf_lookup_user_key: { answer: 0, waits: KEYS },
  bpf_verify_pkcs7_signature: { answer: 'EINVAL', waits: KEYS },
  crash_kexec: { answer: 0, waits: { meaningless: 'there is no machine to crash' } },
  bpf_ct_change_status: { answer: 'EINVAL', waits: 'sockets' },
  bpf_ct_change_timeout: { answer: 'EINVAL', waits: 'sockets' },
  bpf_ct_insert_entry: { answer: 0, waits: 'sockets' },
  bpf_ct_release: { answer: 0, waits: 'sockets' },
  bpf_ct_set_nat_info: { answer: 'EINVAL', waits: 'sockets' },
  bpf_ct_set_status: { answer: 'EINVAL', waits: 'sockets' },
  bpf_ct_set_timeout: { answer: 0, waits: 'sockets' },
  bpf_xdp_get_xfrm_state: { answer: 0, waits: IPSEC },
  bpf_xdp_xfrm_state_release: { answer: 0, waits: IPSEC },
  bpf_sk_assign_tcp_reqsk: { answer: 'EINVAL', waits: 'sockets' },
  bpf_sock_addr_set_sun_path: { answer: 'EINVAL', waits: 'sockets' },
  bpf_sock_ops_enable_tx_tstamp: { answer: 'EOPNOTSUPP', waits: 'sockets' },
  bpf_sock_destroy: { answer: 'EOPNOTSUPP', waits: 'sockets' },
  css_rstat_flush: { answer: 0, waits: RSTAT },
  css_rstat_updated: { answer: 0, waits: RSTAT },
  bpf_get_dentry_xattr: { answer: 'EPERM', waits: 'lsm' },
  bpf_get_file_xattr: { answer: 'EPERM', waits: 'lsm' },
  bpf_get_task_exe_file: { answer: 0, waits: 'lsm' },
  bpf_path_d_path: { answer: 'EINVAL', waits: 'lsm' },
  bpf_put_file: { answer: 0, waits: 'lsm' },
  bpf_remove_dentry_xattr: { answer: 'EPERM', waits: 'lsm' },
  bpf_set_dentry_xattr: { answer: 'EPERM', waits: 'lsm' },
  bpf_session_cookie: { answer: 0, waits: 'tracing' },
  bpf_session_is_return: { answer: 0, waits: 'tracing' },
  bpf_kfunc_call_memb_release: { answer: 0, waits: { meaningless: "it is for Linux's own tests" } },
  bpf_kfunc_call_test_release: { answer: 0, waits: { meaningless: "it is for Linux's own tests" } },
  bbr_cwnd_event: { answer: 0, waits: 'struct_ops' },
  bbr_init: { answer: 0, waits: 'struct_ops' },
  bbr_main: { answer: 0, waits: 'struct_ops' },
  bbr_min_tso_segs: { answer: 0, waits: 'struct_ops' },
  bbr_set_state: { answer: 0, waits: 'struct_ops' },
  bbr_sndbuf_expand: { answer: 0, waits: 'struct_ops' },
  bbr_ssthresh: { answer: 0, waits: 'struct_ops' },
  bbr_undo_cwnd: { answer: 0, waits: 'struct_ops' },
  cubictcp_acked: { answer: 0, waits: 'struct_ops' },
  cubictcp_cong_avoid: { answer: 0, waits: 'struct_ops' },
  cubictcp_cwnd_event: { answer: 0, waits: 'struct_ops' },
  cubictcp_init: { answer: 0, waits: 'struct_ops' },
  cubictcp_recalc_ssthresh: { answer: 0, waits: 'struct_ops' },
  cubictcp_state: { answer: 0, waits: 'struct_ops' },
  tcp_cong_avoid_ai: { answer: 0, waits: 'struct_ops' },
  tcp_reno_cong_avoid: { answer: 0, waits: 'struct_ops' },
  tcp_reno_ssthresh: { answer: 0, waits: 'struct_ops' },
  tcp_reno_undo_cwnd: { answer: 0, waits: 'struct_ops' },
  tcp_slow_start: { answer: 0, waits: 'struct_ops' },
  __bpf_trap: { answer: 0, waits: { meaningless: 'the verifier refuses programs that reach it' } },
} as const satisfies Record<string, Absent>;

export function answering({ answer }: Absent): HelperImpl {
  const r0 = typeof answer === 'number' ? BigInt(answer) : err(answer);
  return () => r0;
}

/** Of `struct bpf_ct_opts`: where its error is. */
const CT_ERROR = 4;
const CT_OPTS_SIZES = new Set([12, 16]);

/** A connection is looked up or made: the options say why there is none. */
export const noConnection: HelperImpl = (
  { machine: { memory } },
  _context,
  _tuple,
  _size,
  options,
  length,
) => {
  if (options === 0n) return 0n;
  const known = CT_OPTS_SIZES.has(Number(length & 0xffff_ffffn));
  memory.view.setInt32(addr(options) + CT_ERROR, known ? err('ENOENT') : err('EINVAL'), true);
  return 0n;
};
