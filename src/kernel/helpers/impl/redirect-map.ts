/** Redirection by a map's entry: it is noted, and who runs the program sees to it. @see include/linux/filter.h, __bpf_xdp_redirect_map */
import { Bug } from '../../../base/error.ts';
import { XDP_ACTIONS } from '../../../sys/actions.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';
import type { BpfMap, RedirectMap } from '../../maps/index.ts';
import { u32 } from './values.ts';

/** The action for a key that leads nowhere: `XDP_ABORTED` to `XDP_TX`. */
const ACTION_MASK = 3n;
/** `BPF_F_BROADCAST`: to all entries, whatever the key. */
const BROADCAST = 8n;

function isRedirectMap(map: BpfMap): map is BpfMap & RedirectMap {
  return 'hasTarget' in map;
}

export const redirect_map: HelperImpl = (run, mapPointer, key, flags) => {
  const map = run.map(mapPointer);
  if (!isRedirectMap(map)) throw new Bug(`redirecting by a map of type ${map.shape.type}`);
  if (flags & ~(ACTION_MASK | map.redirectFlags)) return XDP_ACTIONS.XDP_ABORTED.id;
  const { redirect } = run.kernel;
  if (!(flags & BROADCAST) && !map.hasTarget(u32(key))) {
    redirect.target = undefined;
    redirect.map = undefined;
    return flags & ACTION_MASK;
  }
  redirect.target = u32(key);
  redirect.flags = flags;
  redirect.map = map.id;
  return XDP_ACTIONS.XDP_REDIRECT.id;
};
