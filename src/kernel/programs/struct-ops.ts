import { BTF_ARGS } from './contexts/tracing.ts';
import type { ProgramFacts } from './fact.ts';
import { SOCKET_STORAGE } from './helper-sets.ts';

/** Implements a function pointer of a kernel struct; `attach_btf_id` is the struct, the expected attach type is the member's index. What it may return and call is the struct's matter. */
export const STRUCT_OPS: ProgramFacts = {
  context: BTF_ARGS,
  attachTypes: [],
  attachTypeChecked: false,
  needsBtfTarget: true,
  returns: [],
  capabilities: ['perfmon'],
  testRun: 'ctx',
  sleepable: true,
  helpers: [],
  helpersByStruct: {
    tcp_congestion_ops: [
      ...SOCKET_STORAGE,
      'setsockopt',
      'getsockopt',
      'tcp_send_ack',
      'ktime_get_coarse_ns',
    ],
  },
};
