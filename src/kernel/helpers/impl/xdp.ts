/** Helpers on XDP frames. @see net/core/filter.c */
import { Bug } from '../../../base/error.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { XdpBuff } from '../../net/xdp-buff.ts';
import { addr, s32, size, u32 } from './values.ts';

/** The frame that the program runs on. */
export function xdp(run: HelperRun, context: bigint): XdpBuff {
  if (run.context instanceof XdpBuff && BigInt(run.context.addr) === context) return run.context;
  throw new Bug(`0x${context.toString(16)} is no XDP frame`);
}

export const xdp_adjust_head: HelperImpl = (run, context, offset) =>
  xdp(run, context).adjustHead(s32(offset));
export const xdp_adjust_tail: HelperImpl = (run, context, offset) =>
  xdp(run, context).adjustTail(s32(offset));
export const xdp_adjust_meta: HelperImpl = (run, context, offset) =>
  xdp(run, context).adjustMeta(s32(offset));
export const xdp_get_buff_len: HelperImpl = (run, context) => xdp(run, context).length();

export const xdp_load_bytes: HelperImpl = (run, context, offset, to, length) =>
  xdp(run, context).transfer(u32(offset), addr(to), size(length), false);

export const xdp_store_bytes: HelperImpl = (run, context, offset, from, length) =>
  xdp(run, context).transfer(u32(offset), addr(from), size(length), true);
