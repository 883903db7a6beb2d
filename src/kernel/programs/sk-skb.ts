import { SK_BUFF } from './contexts/sk-buff.ts';
import type { ProgramFacts } from './fact.ts';
import { SOCKET_CASTS, SOCKET_LOOKUP } from './helper-sets.ts';

/** Parses messages of a socket map's streams, or decides where they go: SK_PASS or SK_DROP. */
export const SK_SKB: ProgramFacts = {
  context: SK_BUFF.with({
    hide: ['mark', 'tc_classid', 'data_meta', 'flow_keys', 'tstamp', 'wire_len', 'tstamp_type', 'hwtstamp'],
    readOnly: ['queue_mapping', 'cb'],
  }),
  attachTypes: ['sk_skb_stream_parser', 'sk_skb_stream_verdict', 'sk_skb_verdict'],
  attachTypeChecked: false,
  returns: [],
  capabilities: ['net_admin'],
  packetAccess: 'write',
  helpers: [
    ...SOCKET_CASTS,
    ...SOCKET_LOOKUP,
    'skb_store_bytes',
    'perf_event_output',
    'skb_load_bytes',
    'skb_change_tail',
    'skb_pull_data',
    'skb_change_head',
    'get_socket_cookie',
    'get_socket_uid',
    'skb_adjust_room',
    'sk_redirect_map',
    'sk_redirect_hash',
    'ktime_get_coarse_ns',
  ],
};
