import { BTF_ARGS } from './contexts/tracing.ts';
import type { ProgramFacts } from './fact.ts';
import { SOCKET_CASTS, SOCKET_STORAGE, TRACING_HELPERS } from './helper-sets.ts';

/** Runs at a BTF-typed target: a raw tracepoint, a function's entry or exit, or a kernel iterator. */
export const TRACING: ProgramFacts = {
  context: BTF_ARGS,
  attachTypes: [
    'trace_raw_tp',
    'trace_fentry',
    'trace_fexit',
    'modify_return',
    'trace_iter',
    'trace_fsession',
  ],
  attachTypeChecked: true,
  needsBtfTarget: true,
  returns: [
    { min: 0, max: 0, attach: ['trace_fentry', 'trace_fexit', 'trace_fsession'] },
    { min: 0, max: 1, attach: ['trace_iter'] },
  ],
  capabilities: ['perfmon'],
  testRun: 'ctx',
  sleepable: ['trace_fentry', 'trace_fexit', 'modify_return', 'trace_iter'],
  helpers: [
    ...SOCKET_CASTS,
    ...TRACING_HELPERS,
    ...SOCKET_STORAGE,
    'get_socket_cookie',
    'skb_output',
    'xdp_output',
    'd_path',
    'sock_from_file',
    'xdp_get_buff_len',
  ],
  helpersByAttachType: [
    { attach: ['trace_iter'], helpers: ['seq_printf', 'seq_write', 'seq_printf_btf'] },
    {
      attach: ['trace_raw_tp', 'trace_fentry', 'trace_fexit', 'modify_return', 'trace_fsession'],
      helpers: ['get_attach_cookie'],
    },
    {
      attach: ['trace_fentry', 'trace_fexit', 'modify_return', 'trace_fsession'],
      helpers: ['get_func_arg', 'get_func_ret', 'get_func_arg_cnt'],
    },
  ],
};
