import { XDP_MD } from './contexts/xdp-md.ts';
import type { ProgramFacts } from './fact.ts';
import { SOCKET_CASTS, SOCKET_LOOKUP, SYNCOOKIES } from './helper-sets.ts';

/** Sees every packet that a device receives before the kernel makes an skb of it; returns an XDP_* action. */
export const XDP: ProgramFacts = {
  context: XDP_MD,
  attachTypes: ['xdp', 'xdp_devmap', 'xdp_cpumap'],
  attachTypeChecked: false,
  returns: [],
  capabilities: ['net_admin'],
  testRun: 'packet',
  packetAccess: 'write',
  helpers: [
    ...SOCKET_CASTS,
    ...SOCKET_LOOKUP,
    ...SYNCOOKIES,
    'redirect',
    'perf_event_output',
    'csum_diff',
    'xdp_adjust_head',
    'redirect_map',
    'xdp_adjust_meta',
    'xdp_adjust_tail',
    'ktime_get_coarse_ns',
    'xdp_get_buff_len',
    'xdp_load_bytes',
    'xdp_store_bytes',
  ],
};
