/**
 * Runs one program on many packets: the interpreter, the context object and its packet buffer are made once.
 */
import { Bug } from '../../base/error.ts';
import { helpersOfType } from '../helpers/callable.ts';
import type { RunKernel } from '../interpreter/environment.ts';
import { type Executable, executableOf } from '../interpreter/executable.ts';
import type { RunFault } from '../interpreter/fault.ts';
import { Interpreter } from '../interpreter/interpreter.ts';
import type { Program } from '../objects/program.ts';
import { effectiveAttachType, PROGRAMS } from '../programs/index.ts';
import type { NetDevice } from './device.ts';
import { FieldView } from './field-view.ts';
import { PACKET_TYPES } from './packet-types.ts';
import { SkBuff } from './sk-buff.ts';
import { XdpBuff } from './xdp-buff.ts';

/** Most instructions of one run: about a minute. A program that exploration accepts needs far fewer. */
const BUDGET = 1_000_000_000;

/** Bytes of an Ethernet header, without which there is no packet. */
export const ETH_HLEN = 14;

export class PacketRunner {
  readonly kernel: RunKernel;
  readonly program: Executable;
  readonly interpreter: Interpreter;
  readonly packet: XdpBuff | SkBuff;
  readonly #atNetwork: boolean;

  constructor(kernel: RunKernel, program: Program) {
    const { type, expectedAttachType: given } = program.facts;
    const kind = PACKET_TYPES[type];
    if (!kind) throw new Bug(`a program of type ${type} does not run on packets`);
    const { memory } = kernel.machine;
    this.kernel = kernel;
    this.program = executableOf(program);
    this.interpreter = new Interpreter(kernel, { budget: BUDGET, helpers: helpersOfType(type) });
    const view = new FieldView(PROGRAMS[type].context, given && effectiveAttachType(type, given));
    this.packet = kind.object === 'xdp_buff' ? new XdpBuff(memory, view) : new SkBuff(memory, view);
    this.#atNetwork = kind.atNetwork;
  }

  /** Why the last run ended before its exit. */
  get fault(): RunFault | undefined {
    return this.interpreter.problem;
  }

  /**
   * Loads a packet and runs the program on it.
   * @param bytes an Ethernet frame of at least {@link ETH_HLEN} bytes
   * @returns r0 as an unsigned 32-bit value, or `undefined` when the run faulted ({@link fault})
   */
  run(bytes: Uint8Array, device: NetDevice = this.kernel.devices.loopback): number | undefined {
    if (bytes.length < ETH_HLEN) throw new Bug(`a packet of ${bytes.length} bytes has no Ethernet header`);
    const { packet } = this;
    if (packet instanceof XdpBuff) packet.load(bytes, 0, bytes.length, device, 0);
    else packet.load(bytes, device, this.#atNetwork);
    return this.execute();
  }

  /** Runs the program on the packet as it is. */
  execute(): number | undefined {
    const { grace } = this.kernel.machine;
    this.kernel.redirect.reset();
    grace.enter();
    try {
      this.interpreter.start(this.program, this.packet);
      const r0 = this.interpreter.run();
      return r0 === undefined ? undefined : Number(BigInt.asUintN(32, r0));
    } finally {
      grace.leave();
    }
  }

  /** The packet as the program left it; with the metadata of an XDP frame. */
  output(): Uint8Array {
    const { packet } = this;
    return packet instanceof XdpBuff ? packet.packet().bytes : packet.packet();
  }

  close(): void {
    this.interpreter.close();
    this.packet.close();
  }
}
