/** The kernel's own view of a program's context. */
import type { HelperImpl } from '../../interpreter/environment.ts';
import { SkBuff } from '../../net/sk-buff.ts';
import { XdpBuff } from '../../net/xdp-buff.ts';

/** Inode of the first network namespace. */
const NETWORK_NAMESPACE = 0xefff_fff9;

/** Packets have places of this kernel's own: the program gets the struct that the kernel's BTF describes, as it is now. */
export const bpf_cast_to_kern_ctx: HelperImpl = ({ kernel: { world, devices }, context }, pointer) => {
  if (!(context instanceof SkBuff || context instanceof XdpBuff)) return pointer;
  const loopback = devices.loopback;
  const device = world.standIn(loopback.addr, 'net_device', {
    ifindex: loopback.ifindex,
    mtu: loopback.mtu,
    name: new TextEncoder().encode(loopback.name),
    'nd_net.net': world.standIn(1, 'net', { 'ns.inum': NETWORK_NAMESPACE }),
  });
  const struct = context instanceof SkBuff ? 'sk_buff' : 'xdp_buff';
  if (context instanceof XdpBuff) {
    const queue = world.standIn(context.addr + 1, 'xdp_rxq_info', { dev: device });
    return BigInt(
      world.standIn(context.addr, struct, {
        data: context.data,
        data_end: context.dataEnd,
        data_meta: context.dataMeta,
        rxq: queue,
      }),
    );
  }
  return BigInt(world.standIn(context.addr, struct, { ...context.kernelMembers(), dev: device }));
};
