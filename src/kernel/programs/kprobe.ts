import { PT_REGS } from './contexts/tracing.ts';
import type { ProgramFacts } from './fact.ts';
import { TRACING_HELPERS } from './helper-sets.ts';

/** Runs at a kernel or user function's entry or return; the context is the registers there. Only user probes may sleep; the loader can't tell them from kernel ones, attaching does. */
export const KPROBE: ProgramFacts = {
  context: PT_REGS,
  attachTypes: [
    'perf_event',
    'trace_kprobe_multi',
    'trace_kprobe_session',
    'trace_uprobe_multi',
    'trace_uprobe_session',
  ],
  attachTypeChecked: false,
  returns: [{ min: 0, max: 1, attach: ['trace_kprobe_session', 'trace_uprobe_session'] }],
  capabilities: ['perfmon'],
  sleepable: true,
  helpers: [...TRACING_HELPERS, 'get_attach_cookie'],
};
