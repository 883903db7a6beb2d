import { TRACEPOINT_RECORD } from './contexts/tracing.ts';
import type { ProgramFacts } from './fact.ts';
import { TRACING_HELPERS } from './helper-sets.ts';

/** Runs at a tracepoint; the context is the event's record. Returning 0 keeps the event from perf's buffer. */
export const TRACEPOINT: ProgramFacts = {
  context: TRACEPOINT_RECORD,
  attachTypes: ['perf_event'],
  attachTypeChecked: false,
  returns: [],
  capabilities: ['perfmon'],
  helpers: [...TRACING_HELPERS, 'get_attach_cookie'],
};
