/** Checksums in and over packets. @see net/core/filter.c */
import type { HelperImpl } from '../../interpreter/environment.ts';
import {
  csumAdd,
  csumFrom32,
  csumPartial,
  csumReplace2,
  csumReplace4,
  csumReplaceByDiff,
  csumSub,
} from '../../net/checksum.ts';
import { CHECKSUM_COMPLETE, type SkBuff } from '../../net/sk-buff.ts';
import { skb } from './skb.ts';
import { addr, err, size, u32 } from './values.ts';

/** Flags of `bpf_l3_csum_replace` and `bpf_l4_csum_replace`. @see include/uapi/linux/bpf.h */
const HDR_FIELD_MASK = 0xfn;
const PSEUDO_HDR = 1n << 4n;
const MARK_MANGLED_0 = 1n << 5n;
const MARK_ENFORCE = 1n << 6n;
const IPV6 = 1n << 7n;
const CSUM_MANGLED_0 = 0xffff;

export const csum_diff: HelperImpl = (run, from, fromSize, to, toSize, seed) => {
  const { memory } = run.machine;
  const [before, after] = [size(fromSize), size(toSize)];
  const start = u32(seed);
  const old = () => csumPartial(memory.window(addr(from), before), 0);
  if (before > 0 && after > 0) {
    return csumFrom32(csumSub(csumPartial(memory.window(addr(to), after), start), old()));
  }
  if (after > 0) return csumFrom32(csumPartial(memory.window(addr(to), after), start));
  if (before > 0) {
    return csumFrom32(~csumPartial(memory.window(addr(from), before), ~start >>> 0) >>> 0);
  }
  return csumFrom32(start);
};

export const l3_csum_replace: HelperImpl = (run, context, offset, from, to, flags) => {
  if (flags & ~HDR_FIELD_MASK) return err('EINVAL');
  const at = skb(run, context).checksumAt(u32(offset));
  if (at < 0) return at;
  return replace(run.machine.memory.view, at, from, to, flags);
};

export const l4_csum_replace: HelperImpl = (run, context, offset, from, to, flags) => {
  if (flags & ~(HDR_FIELD_MASK | PSEUDO_HDR | MARK_MANGLED_0 | MARK_ENFORCE | IPV6)) return err('EINVAL');
  const packet = skb(run, context);
  const at = packet.checksumAt(u32(offset));
  if (at < 0) return at;
  const { view } = run.machine.memory;
  // UDP's zero says that there is no checksum: it stays so unless the caller insists.
  const zeroIsNone = (flags & MARK_MANGLED_0) !== 0n;
  if (zeroIsNone && (flags & MARK_ENFORCE) === 0n && view.getUint16(at, true) === 0) return 0n;
  const status = replace(view, at, from, to, flags);
  if (status !== 0) return status;
  if (flags & PSEUDO_HDR && packet.ipSummed === CHECKSUM_COMPLETE)
    followPseudoHeader(packet, from, to, flags);
  if (zeroIsNone && view.getUint16(at, true) === 0) view.setUint16(at, CSUM_MANGLED_0, true);
  return 0n;
};

/** Replaces a checksum in the packet by the kind of change that the flags name. */
function replace(view: DataView, at: number, from: bigint, to: bigint, flags: bigint): number {
  const check = view.getUint16(at, true);
  switch (flags & HDR_FIELD_MASK) {
    case 0n:
      if (from !== 0n) return err('EINVAL');
      view.setUint16(at, csumReplaceByDiff(check, u32(to)), true);
      return 0;
    case 2n:
      view.setUint16(at, csumReplace2(check, u32(from) & 0xffff, u32(to) & 0xffff), true);
      return 0;
    case 4n:
      view.setUint16(at, csumReplace4(check, u32(from), u32(to)), true);
      return 0;
    default:
      return err('EINVAL');
  }
}

/** The pseudo header is not in the packet, so a change of it shows in the hardware's sum. */
function followPseudoHeader(packet: SkBuff, from: bigint, to: bigint, flags: bigint): void {
  if ((flags & HDR_FIELD_MASK) === 0n) {
    if ((flags & IPV6) === 0n) packet.csum = ~csumSub(u32(to), packet.csum) >>> 0;
  } else {
    packet.csum = ~csumAdd(csumSub(~packet.csum >>> 0, u32(from)), u32(to)) >>> 0;
  }
}

export const csum_update: HelperImpl = (run, context, csum) => skb(run, context).csumUpdate(u32(csum));
export const csum_level: HelperImpl = (run, context, level) => skb(run, context).csumLevel(level);
