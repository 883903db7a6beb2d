/** Helpers on socket buffers. @see net/core/filter.c */
import { Bug } from '../../../base/error.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { SkBuff, swap16 } from '../../net/sk-buff.ts';
import { addr, err, size, u16, u32 } from './values.ts';

const RECOMPUTE_CSUM = 1n;
const INVALIDATE_HASH = 2n;

/** The socket buffer that the program runs on. */
export function skb(run: HelperRun, context: bigint): SkBuff {
  if (run.context instanceof SkBuff && BigInt(run.context.addr) === context) return run.context;
  throw new Bug(`0x${context.toString(16)} is no socket buffer`);
}

export const skb_load_bytes: HelperImpl = (run, context, offset, to, length) => {
  const packet = skb(run, context);
  if (packet.dataOnly) {
    run.machine.memory.fill(addr(to), size(length), 0);
    return err('EFAULT');
  }
  return packet.loadBytes(u32(offset), addr(to), size(length));
};

export const skb_load_bytes_relative: HelperImpl = (run, context, offset, to, length, start) =>
  skb(run, context).loadBytesRelative(u32(offset), addr(to), size(length), u32(start));

export const skb_store_bytes: HelperImpl = (run, context, offset, from, length, flags) => {
  if (flags & ~(RECOMPUTE_CSUM | INVALIDATE_HASH)) return err('EINVAL');
  return skb(run, context).storeBytes(
    u32(offset),
    addr(from),
    size(length),
    (flags & RECOMPUTE_CSUM) !== 0n,
    (flags & INVALIDATE_HASH) !== 0n,
  );
};

export const skb_pull_data: HelperImpl = (run, context, length) => skb(run, context).pull(u32(length));

export const skb_change_tail: HelperImpl = (run, context, length, flags) =>
  skb(run, context).changeTail(u32(length), flags);

export const skb_change_head: HelperImpl = (run, context, room, flags) =>
  skb(run, context).changeHead(u32(room), flags);

export const skb_change_type: HelperImpl = (run, context, type) => skb(run, context).changeType(u32(type));

export const skb_vlan_push: HelperImpl = (run, context, protocol, tci) =>
  skb(run, context).vlanPush(swap16(u16(protocol)), u16(tci));

export const skb_vlan_pop: HelperImpl = (run, context) => skb(run, context).vlanPop();

export const set_hash: HelperImpl = (run, context, hash) => {
  skb(run, context).setHash(u32(hash));
  return 0n;
};

export const set_hash_invalid: HelperImpl = (run, context) => {
  skb(run, context).clearHash();
  return 0n;
};

export const get_hash_recalc: HelperImpl = (run, context) => skb(run, context).hash();
