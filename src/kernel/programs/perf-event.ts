import { PERF_EVENT_DATA } from './contexts/tracing.ts';
import type { ProgramFacts } from './fact.ts';
import { TRACING_HELPERS } from './helper-sets.ts';

/** Runs when a perf event overflows. Returning 0 drops the sample. */
export const PERF_EVENT: ProgramFacts = {
  context: PERF_EVENT_DATA,
  attachTypes: ['perf_event'],
  attachTypeChecked: false,
  returns: [],
  capabilities: ['perfmon'],
  helpers: [...TRACING_HELPERS, 'perf_prog_read_value', 'read_branch_records', 'get_attach_cookie'],
};
