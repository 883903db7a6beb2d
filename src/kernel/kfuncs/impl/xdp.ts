/** XDP frames. @see net/core/filter.c */
import { packetAt } from '../../helpers/impl/packet.ts';
import { err, u32 } from '../../helpers/impl/values.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';
import { XdpBuff } from '../../net/xdp-buff.ts';

export const bpf_xdp_pull_data: HelperImpl = (run, context, length) => {
  const packet = packetAt(run, context);
  return packet instanceof XdpBuff ? packet.pull(u32(length)) : err('EINVAL');
};
