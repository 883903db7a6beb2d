/**
 * Runs one program on many packets: the compiled program or an interpreter, the context object and its packet buffer
 * are made once.
 */
import { Bug } from '../../base/error.ts';
import type { ProgType } from '../../sys/tables.ts';
import { helpersOfType } from '../helpers/callable.ts';
import type { RunContext, RunKernel } from '../interpreter/environment.ts';
import { type Executable, executableOf } from '../interpreter/executable.ts';
import type { RunFault } from '../interpreter/fault.ts';
import { Interpreter } from '../interpreter/interpreter.ts';
import { type CompiledProgram, type Jit, JitFault, TooLarge } from '../jit/index.ts';
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

/** What runs the program: on the packet's context, so many times. */
export interface Engine {
  /** @returns r0's low half, or `undefined` when the run faulted */
  run(context: RunContext, times: number): number | undefined;
  readonly problem: RunFault | undefined;
  close(): void;
}

/** Runs without a look at what waits for the end of the grace period. */
const RUNS_AT_ONCE = 1024;

export class PacketRunner {
  readonly kernel: RunKernel;
  readonly packet: XdpBuff | SkBuff;
  readonly #engine: Engine;
  readonly #atNetwork: boolean;

  constructor(kernel: RunKernel, program: Program) {
    const { type, expectedAttachType: given } = program.facts;
    const kind = PACKET_TYPES[type];
    if (!kind) throw new Bug(`a program of type ${type} does not run on packets`);
    const { memory } = kernel.machine;
    this.kernel = kernel;
    this.#engine = engineOf(kernel, program);
    const view = new FieldView(PROGRAMS[type].context, given && effectiveAttachType(type, given));
    this.packet = kind.object === 'xdp_buff' ? new XdpBuff(memory, view) : new SkBuff(memory, view);
    this.#atNetwork = kind.atNetwork;
  }

  /** Why the last run ended before its exit. */
  get fault(): RunFault | undefined {
    return this.#engine.problem;
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

  /** Runs the program on the packet as it is, each time on what the time before left. */
  execute(times = 1): number | undefined {
    const { grace } = this.kernel.machine;
    let result: number | undefined;
    for (let left = times; left > 0; left -= RUNS_AT_ONCE) {
      this.kernel.redirect.reset();
      grace.enter();
      try {
        result = this.#engine.run(this.packet, Math.min(left, RUNS_AT_ONCE));
        if (result === undefined) return undefined;
      } finally {
        grace.leave();
      }
    }
    return result;
  }

  /** The packet as the program left it; with the metadata of an XDP frame. */
  output(): Uint8Array {
    const { packet } = this;
    return packet instanceof XdpBuff ? packet.packet().bytes : packet.packet();
  }

  close(): void {
    this.#engine.close();
    this.packet.close();
  }
}

/** The compiled program, or an interpreter where none is wanted or the program is too large. */
export function engineOf(kernel: RunKernel, program: Program): Engine {
  try {
    if (kernel.jit) return new Compiled(kernel.jit, program);
  } catch (error) {
    if (!(error instanceof TooLarge)) throw error;
  }
  return new Interpreted(kernel, executableOf(program), program.facts.type);
}

class Interpreted implements Engine {
  readonly #program: Executable;
  readonly #interpreter: Interpreter;

  constructor(kernel: RunKernel, program: Executable, type: ProgType) {
    this.#program = program;
    this.#interpreter = new Interpreter(kernel, { budget: BUDGET, helpers: helpersOfType(type) });
  }

  get problem(): RunFault | undefined {
    return this.#interpreter.problem;
  }

  run(context: RunContext, times: number): number | undefined {
    let result: bigint | undefined;
    for (let i = 0; i < times; i++) {
      this.#interpreter.start(this.#program, context);
      result = this.#interpreter.run();
      if (result === undefined) return undefined;
    }
    return Number(BigInt.asUintN(32, result!));
  }

  close(): void {
    this.#interpreter.close();
  }
}

class Compiled implements Engine {
  readonly #jit: Jit;
  readonly #program: CompiledProgram;
  problem: RunFault | undefined;

  constructor(jit: Jit, program: Program) {
    this.#jit = jit;
    this.#program = jit.compile(program);
  }

  run(context: RunContext, times: number): number | undefined {
    this.problem = undefined;
    this.#jit.enter(context);
    try {
      const { addr } = context;
      return (times === 1 ? this.#program.run(addr) : this.#program.repeat(addr, times)) >>> 0;
    } catch (error) {
      if (!(error instanceof JitFault)) throw error;
      this.problem = error.fault;
      return undefined;
    }
  }

  /** The program's code ends with the program. */
  close(): void {}
}
