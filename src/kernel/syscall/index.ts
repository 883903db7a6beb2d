/** The embedded kernel's `bpf(2)`. */
import type { Bpf } from '../../sys/kernel.ts';
import { attachCommands } from './attach.ts';
import { type Call, openFile } from './failure.ts';
import { objGetInfoByFd } from './info.ts';
import { batchCommands } from './map-batch.ts';
import { mapCreate } from './map-create.ts';
import { mapCommands } from './map-elem.ts';
import { objectCommands } from './objects.ts';
import { progLoad } from './prog-load.ts';
import type { KernelState } from './state.ts';
import { countRuns, enableStats } from './stats.ts';

export type { KernelState } from './state.ts';

export function createBpf(state: KernelState): Bpf {
  return {
    map_create: (attr) => mapCreate(state, attr),
    ...mapCommands(state),
    ...batchCommands(state),
    prog_load: (attr) => progLoad(state, attr),
    prog_test_run(attr) {
      const call: Call = { command: 'prog_test_run', doing: `running program fd ${attr.prog_fd}` };
      const program = openFile(state, call, 'prog', attr.prog_fd).object;
      const result = state.testRun(program, attr);
      const runs = Math.max(attr.repeat ?? 0, 1);
      countRuns(state, program, runs, result.duration * runs);
      return result;
    },
    obj_get_info_by_fd: (attr) => objGetInfoByFd(state, attr.bpf_fd),
    ...objectCommands(state),
    ...attachCommands(state),
    enable_stats: enableStats(state),
  };
}
