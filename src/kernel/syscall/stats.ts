import type { Bpf } from '../../sys/kernel.ts';
import { KernelObject } from '../objects/object.ts';
import type { Program } from '../objects/program.ts';
import { type Call, fail } from './failure.ts';
import type { KernelState } from './state.ts';

/** Run statistics are kept while one of these is open. */
class StatsSwitch extends KernelObject<'stats'> {
  readonly #state: KernelState;

  constructor(state: KernelState) {
    super('stats');
    this.#state = state;
    state.statsUsers += 1;
  }

  override releaseUser(): void {}
  override destroy(): void {
    this.#state.statsUsers -= 1;
  }
}

/** Notes runs of a program, where somebody wants statistics; asked once for any number of runs. */
export function countRuns(state: KernelState, program: Program, runs: number, nanoseconds: number): void {
  if (state.statsUsers === 0) return;
  program.stats.runs += BigInt(runs);
  program.stats.nanoseconds += BigInt(nanoseconds);
}

export function enableStats(state: KernelState): Bpf['enable_stats'] {
  return (attr) => {
    const call: Call = { command: 'enable_stats', doing: `switching on statistics ${attr.type}` };
    if (!state.capabilities.sysAdmin) throw fail(call, 'EPERM', 'the caller lacks CAP_SYS_ADMIN');
    if (attr.type !== 0) throw fail(call, 'EINVAL', 'there is only BPF_STATS_RUN_TIME, 0');
    return state.fds.open(new StatsSwitch(state));
  };
}
