import { RAW_TRACEPOINT_ARGS } from './contexts/tracing.ts';
import type { ProgramFacts } from './fact.ts';
import { TRACING_HELPERS } from './helper-sets.ts';

/** Runs at a tracepoint with its raw arguments. */
export const RAW_TRACEPOINT: ProgramFacts = {
  context: RAW_TRACEPOINT_ARGS,
  attachTypes: [],
  attachTypeChecked: false,
  returns: [],
  capabilities: ['perfmon'],
  testRun: 'ctx',
  helpers: [...TRACING_HELPERS, 'get_attach_cookie'],
};
