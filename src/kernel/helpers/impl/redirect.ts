/** Helpers that send packets elsewhere: they note where, and who runs the program sees to it. */

import { TC_ACTIONS, XDP_ACTIONS } from '../../../sys/actions.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';
import { skb } from './skb.ts';
import { err, u32 } from './values.ts';

const INGRESS = 1n;

export const redirect: HelperImpl = (run, ifindex, flags) => {
  const { redirect } = run.kernel;
  const onXdp = run.program.type === 'xdp';
  if (onXdp ? flags !== 0n : flags & ~INGRESS) {
    return onXdp ? XDP_ACTIONS.XDP_ABORTED.id : TC_ACTIONS.TC_ACT_SHOT.id;
  }
  redirect.target = u32(ifindex);
  redirect.flags = flags;
  redirect.map = undefined;
  return onXdp ? XDP_ACTIONS.XDP_REDIRECT.id : TC_ACTIONS.TC_ACT_REDIRECT.id;
};

export const clone_redirect: HelperImpl = (run, context, ifindex, flags) => {
  if (flags & ~INGRESS) return err('EINVAL');
  if (!run.kernel.devices.get(u32(ifindex))) return err('EINVAL');
  run.kernel.redirect.clones.push({ ifindex: u32(ifindex), flags, packet: skb(run, context).packet() });
  return 0n;
};
