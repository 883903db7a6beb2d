/** The packet that a pointer of the program stands for. */
import { Bug } from '../../../base/error.ts';
import type { HelperRun } from '../../interpreter/environment.ts';
import { SkBuff } from '../../net/sk-buff.ts';
import { XdpBuff } from '../../net/xdp-buff.ts';

/** Contexts that hold a socket buffer in place of being one. */
interface HoldsPacket {
  readonly packet: SkBuff;
}

/** The packet whose context, or whose struct of the kernel, is at that address. */
export function packetAt(run: HelperRun, pointer: bigint): SkBuff | XdpBuff {
  const { context } = run;
  const held = context !== undefined && 'packet' in context && (context as Partial<HoldsPacket>).packet;
  const packet = held instanceof SkBuff ? held : context;
  if (packet instanceof SkBuff || packet instanceof XdpBuff) {
    if (BigInt(packet.addr) === pointer || run.kernel.world.standsFor(pointer) === packet.addr) return packet;
  }
  throw new Bug(`0x${pointer.toString(16)} is no packet`);
}
