import { SK_BUFF, SOCKET_FIELDS } from './contexts/sk-buff.ts';
import type { ProgramFacts } from './fact.ts';
import { SKB_READ, SOCKET_CASTS } from './helper-sets.ts';

/** Filters what a socket receives; the return value is how many bytes of the packet to keep, 0 for none. */
export const SOCKET_FILTER: ProgramFacts = {
  context: SK_BUFF.with({
    hide: [
      ...SOCKET_FIELDS,
      'tc_classid',
      'data',
      'data_end',
      'data_meta',
      'flow_keys',
      'tstamp',
      'wire_len',
      'tstamp_type',
      'hwtstamp',
    ],
    readOnly: ['mark', 'queue_mapping', 'priority', 'tc_index'],
  }),
  attachTypes: [],
  attachTypeChecked: false,
  returns: [],
  capabilities: [],
  testRun: 'packet',
  legacyPacketLoads: true,
  helpers: [...SOCKET_CASTS, ...SKB_READ, 'perf_event_output', 'ktime_get_coarse_ns'],
};
