/** The helpers that this kernel has: what they do when called. Those that are not here are refused at load, by name. */
import type { Helper } from '../../sys/helper-ids.ts';
import type { HelperImpl } from '../interpreter/environment.ts';
import * as checksum from './impl/checksum.ts';
import * as control from './impl/control.ts';
import * as event from './impl/event.ts';
import * as maps from './impl/maps.ts';
import * as print from './impl/print.ts';
import * as probe from './impl/probe.ts';
import * as redirect from './impl/redirect.ts';
import * as redirectMap from './impl/redirect-map.ts';
import * as ringbuf from './impl/ringbuf.ts';
import * as skb from './impl/skb.ts';
import * as stack from './impl/stack.ts';
import * as storage from './impl/storage.ts';
import * as strings from './impl/strings.ts';
import * as task from './impl/task.ts';
import * as time from './impl/time.ts';
import * as xdp from './impl/xdp.ts';

const { skb: _skb, ...skbHelpers } = skb;
const { xdp: _xdp, ...xdpHelpers } = xdp;

export const IMPLEMENTATIONS = {
  ...maps,
  ...ringbuf,
  ...time,
  ...task,
  ...strings,
  ...control,
  ...checksum,
  ...skbHelpers,
  ...xdpHelpers,
  ...redirect,
  ...redirectMap,
  ...storage,
  ...stack,
  ...event,
  ...print,
  probe_read: probe.probe_read,
  probe_read_kernel: probe.probe_read,
  probe_read_str: probe.probe_read_str,
  probe_read_kernel_str: probe.probe_read_str,
  probe_read_user: probe.probe_read_user,
  probe_read_user_str: probe.probe_read_user,
} as const satisfies Partial<Record<Helper, HelperImpl>>;
