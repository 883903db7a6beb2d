import { WRITABLE_TRACEPOINT_ARGS } from './contexts/tracing.ts';
import type { ProgramFacts } from './fact.ts';
import { TRACING_HELPERS } from './helper-sets.ts';

/** As `raw_tracepoint`, at a tracepoint whose first argument the program may write. */
export const RAW_TRACEPOINT_WRITABLE: ProgramFacts = {
  context: WRITABLE_TRACEPOINT_ARGS,
  attachTypes: [],
  attachTypeChecked: false,
  returns: [],
  capabilities: ['perfmon'],
  helpers: [...TRACING_HELPERS, 'get_attach_cookie'],
};
