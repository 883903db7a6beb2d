/** The context of a netfilter program: the hook's state and the packet, as the kernel's own structs. @see net/netfilter/nf_bpf_link.c */
import type { RunKernel } from '../interpreter/environment.ts';
import type { FieldView } from './field-view.ts';
import { PlainContext } from './plain-context.ts';
import { SkBuff } from './sk-buff.ts';

const ETH_HLEN = 14;
const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;

/** `NF_INET_*`: where a packet is on its way. */
export const HOOKS = { preRouting: 0, localIn: 1, forward: 2, localOut: 3, postRouting: 4 } as const;
/** `NFPROTO_*`: families of packets. */
export const FAMILIES = { ipv4: 2, ipv6: 10 } as const;

/** Where the packet is, as `struct nf_hook_state` says it. */
export interface HookState {
  readonly hook: number;
  readonly family: number;
}

const COMES_IN: readonly number[] = [HOOKS.preRouting, HOOKS.localIn, HOOKS.forward];
const GOES_OUT: readonly number[] = [HOOKS.forward, HOOKS.localOut, HOOKS.postRouting];

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

/** @param data a frame; at LOCAL_OUT a packet from its network header on, which has no link header yet */
export function makeNetfilterContext(
  kernel: RunKernel,
  view: FieldView,
  data: Uint8Array,
  { hook, family }: HookState,
): NetfilterContext {
  const { world, devices, machine } = kernel;
  const packet = new SkBuff(machine.memory, view);
  let frame = data;
  if (hook === HOOKS.localOut) {
    frame = new Uint8Array(ETH_HLEN + data.length);
    new DataView(frame.buffer).setUint16(12, family === FAMILIES.ipv4 ? ETH_P_IP : ETH_P_IPV6);
    frame.set(data, ETH_HLEN);
  }
  packet.load(frame, devices.loopback, true);
  const device = world.standIn(devices.loopback.addr, 'net_device', { ifindex: devices.loopback.ifindex });
  const state = world.standIn(packet.addr + 1, 'nf_hook_state', {
    hook,
    pf: family,
    in: COMES_IN.includes(hook) ? device : 0,
    out: GOES_OUT.includes(hook) ? device : 0,
  });
  const skb = world.standIn(packet.addr, 'sk_buff', packet.kernelMembers());
  return new NetfilterContext(kernel, packet, state, skb);
}
