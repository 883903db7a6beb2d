import { BTF_ARGS } from './contexts/tracing.ts';
import type { ProgramFacts } from './fact.ts';
import { SOCKET_CASTS, SOCKET_STORAGE, TRACING_HELPERS } from './helper-sets.ts';

/** Runs at a security hook; a negative errno forbids. */
export const LSM: ProgramFacts = {
  context: BTF_ARGS,
  attachTypes: ['lsm_mac', 'lsm_cgroup'],
  attachTypeChecked: true,
  needsBtfTarget: true,
  returns: [
    { min: -4095, max: 0, attach: ['lsm_mac'] },
    { min: 0, max: 1, attach: ['lsm_cgroup'] },
  ],
  capabilities: ['perfmon'],
  sleepable: ['lsm_mac'],
  helpers: [
    ...TRACING_HELPERS,
    ...SOCKET_CASTS,
    ...SOCKET_STORAGE,
    'get_socket_cookie',
    'skb_output',
    'xdp_output',
    'inode_storage_get',
    'inode_storage_delete',
    'd_path',
    'bprm_opts_set',
    'ima_inode_hash',
    'sock_from_file',
    'get_attach_cookie',
    'xdp_get_buff_len',
    'ima_file_hash',
  ],
};
