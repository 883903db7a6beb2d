/** Judges the fuzzer's programs on both verifiers, makes disagreements small, and runs what both accept. */
import { InputError } from '../src/base/error.ts';
import { createKernel } from '../src/kernel/index.ts';
import { ALL_CAPABILITIES, type Capabilities } from '../src/kernel/verifier/index.ts';
import { openLinux } from '../src/linux/index.ts';
import type { ProgLoadAttr, ProgType } from '../src/sys/index.ts';
import { type Answer, askSkep, type Judgement, TwoKernels } from './agree-kernels.ts';
import { messageClass, verdictMessage } from './agree-log.ts';
import { capabilityDropper } from './capabilities.ts';
import { World } from './fuzz-judge-world.ts';
import {
  type FuzzInsn,
  type FuzzPrivilege,
  type FuzzProgram,
  Random,
  replaced,
  without,
} from './fuzz-program.ts';

export type Outcome = 'agree' | 'softer' | 'harder' | 'crash';

/** Program types that both kernels run on a packet, and how many packets each program gets. */
const RUNNABLE: ReadonlySet<ProgType> = new Set([
  'xdp',
  'sched_cls',
  'sched_act',
  'cgroup_skb',
  'socket_filter',
]);
const RUNS = 3;

/** What the `careful` may do: nothing that shows them an address. */
const CAREFUL: Capabilities = { bpf: true, netAdmin: true, perfmon: false, sysAdmin: false };
const capabilitiesOf = (privilege: FuzzPrivilege): Capabilities =>
  privilege === 'root' ? ALL_CAPABILITIES : CAREFUL;

export interface Verdict {
  readonly outcome: Outcome;
  readonly accepted: boolean;
  /** What tells this disagreement from others. */
  readonly cause: string;
  readonly judgement: Judgement;
}

export class Judge {
  readonly #linux = openLinux();
  readonly #kernels = new TwoKernels(this.#linux);
  readonly #world = new World(this.#kernels);
  readonly #lowered = capabilityDropper(CAREFUL);

  /** @param level of the logs; 0 is fastest */
  judge(program: FuzzProgram, level = 0): Verdict {
    return this.#verdict(this.#world.attr(program), program.privilege, level);
  }

  /** Judges bytes as a program. */
  judgeBytes(program: FuzzProgram, insns: Uint8Array, level = 0): Verdict {
    return this.#verdict({ ...this.#world.attr(program), insns }, program.privilege, level);
  }

  bytes(program: FuzzProgram): Uint8Array {
    return this.#world.attr(program).insns;
  }

  #verdict(attr: ProgLoadAttr, privilege: FuzzPrivilege, level: number): Verdict {
    this.#kernels.manner = {
      logLevel: level,
      capabilities: capabilitiesOf(privilege),
      ...(privilege === 'careful' && this.#lowered && { lowered: this.#lowered }),
    };
    try {
      this.#kernels.closeFd(this.#kernels.bpf.prog_load(attr).fd);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
    const judgement = this.#kernels.judged.splice(0).at(-1)!;
    const { linux, skep } = judgement;
    const outcome: Outcome =
      skep.crash !== undefined
        ? 'crash'
        : skep.accepted === linux.accepted
          ? 'agree'
          : skep.accepted
            ? 'softer'
            : 'harder';
    const words = (answer: Answer): string => messageClass(verdictMessage(answer.log));
    const cause =
      outcome === 'crash'
        ? messageClass(skep.crash!.split('\n')[0]!)
        : outcome === 'softer'
          ? words(linux)
          : words(skep);
    return { outcome, accepted: linux.accepted, cause, judgement };
  }

  /** The smallest program found that still disagrees in the same way. */
  minimise(program: FuzzProgram): FuzzProgram {
    const first = this.judge(program, 1);
    let tries = 0;
    const same = (candidate: FuzzProgram | undefined): candidate is FuzzProgram => {
      if (!candidate || tries++ > 3000) return false;
      const now = this.judge(candidate, 1);
      return now.outcome === first.outcome && now.cause === first.cause;
    };
    let best = program;
    for (let flag = 1; flag < 1 << 10; flag <<= 1) {
      const plain = { ...best, flags: best.flags & ~flag };
      if (best.flags & flag && same(plain)) best = plain;
    }
    for (let changed = true; changed; ) {
      changed = false;
      const all = (): FuzzInsn[] => best.functions.flatMap((f) => f.insns);
      for (let chunk = Math.max(1, all().length >> 1); chunk >= 1; chunk >>= 1) {
        for (let at = 0; at < all().length; ) {
          const candidate = without(best, new Set(all().slice(at, at + chunk)));
          if (same(candidate)) {
            best = candidate;
            changed = true;
          } else at += chunk;
        }
      }
      for (const insn of all()) {
        for (const imm of [0, 1]) {
          if (insn.target || insn.map !== undefined || insn.imm === 0 || insn.imm === imm || insn.op === 0x85)
            continue;
          const candidate = replaced(best, insn, { ...insn, imm });
          if (!same(candidate)) continue;
          best = candidate;
          changed = true;
          break;
        }
        if (changed) break;
      }
    }
    return best;
  }

  /**
   * Runs an accepted program on random packets in both kernels. Programs that could see addresses, time or chance are not
   * run. @returns what differs, or `undefined`
   */
  run(program: FuzzProgram, seed: number): string | 'not run' | undefined {
    if (!program.repeatable || !RUNNABLE.has(program.type)) return 'not run';
    // What the careful may not load may tell where something is.
    if (program.privilege === 'root' && !this.#skepAccepts(program, CAREFUL)) return 'not run';
    const random = new Random(seed);
    this.#runners ??= [new World(createKernel({ capabilities: CAREFUL })), new World(this.#linux)];
    const [ours, theirs] = this.#runners;
    const mine = ours.load({ ...program, flags: 0 });
    const other = theirs.load({ ...program, flags: 0 });
    try {
      if (mine === undefined || other === undefined) return 'not run';
      for (let n = 0; n < RUNS; n++) {
        const packet = Uint8Array.from({ length: 15 + random.below(100) }, () => random.below(256));
        if (random.chance(0.8)) packet.set([8, 0, 0x45], 12);
        const [a, b] = [ours.run(mine, program, packet), theirs.run(other, program, packet)];
        if (a === undefined || b === undefined) return 'not run';
        if (a !== b) return `Linux: ${b}\nskep:  ${a}`;
      }
      return undefined;
    } finally {
      if (mine !== undefined) ours.close(mine);
      if (other !== undefined) theirs.close(other);
      ours.reset(program);
      theirs.reset(program);
    }
  }

  #runners: readonly [World, World] | undefined;

  #skepAccepts(program: FuzzProgram, capabilities: Capabilities): boolean {
    const { accepted } = askSkep(this.#world.attr(program), this.#kernels.objects, capabilities).answer;
    return accepted;
  }
}
