import { SK_LOOKUP_CONTEXT } from './contexts/sk-lookup.ts';
import type { ProgramFacts } from './fact.ts';
import { SOCKET_CASTS } from './helper-sets.ts';

/** Chooses the socket for an incoming connection or datagram in a network namespace; returns SK_PASS or SK_DROP. */
export const SK_LOOKUP: ProgramFacts = {
  context: SK_LOOKUP_CONTEXT,
  attachTypes: ['sk_lookup'],
  attachTypeChecked: true,
  returns: [{ min: 0, max: 1 }],
  capabilities: [],
  testRun: 'ctx',
  helpers: [...SOCKET_CASTS, 'perf_event_output', 'sk_release', 'sk_assign', 'ktime_get_coarse_ns'],
};
