/** The helpers that this kernel has: what they do when called. Those that are not here are refused at load, by name. */
import type { Helper } from '../../sys/helper-ids.ts';
import type { HelperImpl } from '../interpreter/environment.ts';
import { ABSENT_IMPLEMENTATIONS } from './impl/absent.ts';
import * as checksum from './impl/checksum.ts';
import * as control from './impl/control.ts';
import * as dynptr from './impl/dynptr.ts';
import * as event from './impl/event.ts';
import * as maps from './impl/maps.ts';
import * as objects from './impl/objects.ts';
import * as print from './impl/print.ts';
import * as probe from './impl/probe.ts';
import * as redirect from './impl/redirect.ts';
import * as redirectMap from './impl/redirect-map.ts';
import * as ringbuf from './impl/ringbuf.ts';
import * as room from './impl/room.ts';
import * as route from './impl/route.ts';
import * as skb from './impl/skb.ts';
import * as stack from './impl/stack.ts';
import * as storage from './impl/storage.ts';
import * as strings from './impl/strings.ts';
import * as syncookie from './impl/syncookie.ts';
import * as syscalls from './impl/syscalls.ts';
import * as task from './impl/task.ts';
import * as time from './impl/time.ts';
import * as timers from './impl/timers.ts';
import * as traced from './impl/traced.ts';
import * as tunnel from './impl/tunnel.ts';
import * as xdp from './impl/xdp.ts';

const { skb: _skb, ...skbHelpers } = skb;
const dynptrHelpers = {
  dynptr_from_mem: dynptr.dynptr_from_mem,
  dynptr_read: dynptr.dynptr_read,
  dynptr_write: dynptr.dynptr_write,
  dynptr_data: dynptr.dynptr_data,
  ringbuf_reserve_dynptr: dynptr.ringbuf_reserve_dynptr,
  ringbuf_submit_dynptr: dynptr.ringbuf_submit_dynptr,
  ringbuf_discard_dynptr: dynptr.ringbuf_discard_dynptr,
};
const printHelpers = {
  trace_printk: print.trace_printk,
  trace_vprintk: print.trace_vprintk,
  snprintf: print.snprintf,
  snprintf_btf: print.snprintf_btf,
};
const { sendSignal: _send, ...taskHelpers } = task;
const { xdp: _xdp, ...xdpHelpers } = xdp;

export const IMPLEMENTATIONS = {
  ...maps,
  ...ringbuf,
  ...time,
  ...taskHelpers,
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
  ...printHelpers,
  ...objects,
  ...timers,
  ...syscalls,
  ...traced,
  ...room,
  ...route,
  ...syncookie,
  ...tunnel,
  ...dynptrHelpers,
  ...ABSENT_IMPLEMENTATIONS,
  probe_read: probe.probe_read,
  probe_read_kernel: probe.probe_read_kernel,
  probe_read_str: probe.probe_read_str,
  probe_read_kernel_str: probe.probe_read_kernel_str,
  probe_read_user: probe.probe_read_user,
  probe_read_user_str: probe.probe_read_user_str,
  copy_from_user: probe.copy_from_user,
  copy_from_user_task: probe.copy_from_user_task,
} as const satisfies Partial<Record<Helper, HelperImpl>>;
