import { LIRC_CONTEXT } from './contexts/lirc.ts';
import type { ProgramFacts } from './fact.ts';

/** Decodes samples of an infrared receiver. */
export const LIRC_MODE2: ProgramFacts = {
  context: LIRC_CONTEXT,
  attachTypes: ['lirc_mode2'],
  attachTypeChecked: false,
  returns: [],
  capabilities: ['net_admin'],
  baseHelpers: false,
  helpers: [
    'map_lookup_elem',
    'map_update_elem',
    'map_delete_elem',
    'ktime_get_ns',
    'trace_printk',
    'get_prandom_u32',
    'tail_call',
    'rc_repeat',
    'rc_keydown',
    'map_push_elem',
    'map_pop_elem',
    'map_peek_elem',
    'rc_pointer_rel',
    'ktime_get_boot_ns',
  ],
};
