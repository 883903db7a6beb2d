import { SYSCALL_CONTEXT } from './contexts/tracing.ts';
import type { ProgramFacts } from './fact.ts';
import { SOCKET_CASTS, SOCKET_STORAGE, TRACING_HELPERS } from './helper-sets.ts';

/** Run by BPF_PROG_TEST_RUN only; may call bpf(2). */
export const SYSCALL: ProgramFacts = {
  context: SYSCALL_CONTEXT,
  attachTypes: [],
  attachTypeChecked: true,
  returns: [],
  capabilities: [],
  testRun: 'ctx',
  sleepable: 'must',
  helpers: [
    ...SOCKET_CASTS,
    ...TRACING_HELPERS,
    ...SOCKET_STORAGE,
    'get_socket_cookie',
    'skb_output',
    'xdp_output',
    'd_path',
    'sock_from_file',
    'sys_bpf',
    'btf_find_by_name_kind',
    'sys_close',
    'kallsyms_lookup_name',
    'xdp_get_buff_len',
  ],
};
