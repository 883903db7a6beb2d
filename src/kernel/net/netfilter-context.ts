/** The context of a netfilter program: the hook's state and the packet, as the kernel's own structs. @see net/netfilter/nf_bpf_link.c */
import type { RunKernel } from '../interpreter/environment.ts';
import type { FieldView } from './field-view.ts';
import { PlainContext } from './plain-context.ts';
import { SkBuff } from './sk-buff.ts';

const ETH_HLEN = 14;
const ETH_P_IP = 0x0800;
/** `NF_INET_LOCAL_OUT` and `NFPROTO_IPV4`. */
const LOCAL_OUT = 3;
const IPV4 = 2;

export class NetfilterContext extends PlainContext {
  readonly packet: SkBuff;

  constructor(kernel: RunKernel, packet: SkBuff, state: number, skb: number) {
    const words = BigUint64Array.of(BigInt(state), BigInt(skb));
    super(kernel.machine.memory, new Uint8Array(words.buffer));
    this.packet = packet;
  }

  override get packetStart(): number {
    return this.packet.packetStart;
  }
  override get packetEnd(): number {
    return this.packet.packetEnd;
  }

  override close(): void {
    this.packet.close();
    super.close();
  }
}

/** @param data a packet from its network header on, which goes out */
export function makeNetfilterContext(kernel: RunKernel, view: FieldView, data: Uint8Array): NetfilterContext {
  const { world, devices, machine } = kernel;
  const packet = new SkBuff(machine.memory, view);
  const frame = new Uint8Array(ETH_HLEN + data.length);
  frame[12] = ETH_P_IP >> 8;
  frame.set(data, ETH_HLEN);
  packet.load(frame, devices.loopback, true);
  const out = world.standIn(devices.loopback.addr, 'net_device', { ifindex: devices.loopback.ifindex });
  const state = world.standIn(packet.addr + 1, 'nf_hook_state', { hook: LOCAL_OUT, pf: IPV4, out });
  const skb = world.standIn(packet.addr, 'sk_buff', packet.kernelMembers());
  return new NetfilterContext(kernel, packet, state, skb);
}
