import { CGROUP_DEV_CONTEXT } from './contexts/cgroup.ts';
import type { ProgramFacts } from './fact.ts';
import { RETVAL } from './helper-sets.ts';

/** Decides whether a cgroup's process may open or make a device node; 1 allows it. */
export const CGROUP_DEVICE: ProgramFacts = {
  context: CGROUP_DEV_CONTEXT,
  attachTypes: ['cgroup_device'],
  attachTypeChecked: false,
  returns: [{ min: 0, max: 1 }],
  capabilities: ['net_admin'],
  helpers: ['perf_event_output', 'get_local_storage'],
  helpersByAttachType: [{ attach: ['cgroup_device'], helpers: RETVAL }],
};
