import { SYSCTL_CONTEXT } from './contexts/cgroup.ts';
import type { ProgramFacts } from './fact.ts';
import { RETVAL } from './helper-sets.ts';

/** Sees a cgroup's processes read and write sysctls; 1 allows it. */
export const CGROUP_SYSCTL: ProgramFacts = {
  context: SYSCTL_CONTEXT,
  attachTypes: ['cgroup_sysctl'],
  attachTypeChecked: false,
  returns: [{ min: 0, max: 1 }],
  capabilities: ['net_admin'],
  helpers: [
    'perf_event_output',
    'get_local_storage',
    'sysctl_get_name',
    'sysctl_get_current_value',
    'sysctl_get_new_value',
    'sysctl_set_new_value',
    'ktime_get_coarse_ns',
  ],
  helpersByAttachType: [{ attach: ['cgroup_sysctl'], helpers: RETVAL }],
};
