/**
 * skep: load, verify, run and watch BPF programs, in this process or in Linux.
 *
 * ```ts
 * const spec = parseObject(readFileSync('syn_counter.o'), 'syn_counter.o');
 * using kernel = createKernel();
 * using object = loadObject(kernel, spec);
 * const { retval } = kernel.bpf.prog_test_run({ prog_fd: object.program('count_syns').fd, data_in: packet });
 * ```
 */
export { Bug, InputError } from './base/error.ts';
export {
  ALL_CAPABILITIES,
  type Capabilities,
  type Clock,
  createKernel,
  EmbeddedKernel,
  type KernelOptions,
  NO_CAPABILITIES,
  SimulatedClock,
} from './kernel/index.ts';
export { type LinuxOptions, type LinuxStatus, linuxStatus, openLinux } from './linux/index.ts';
export {
  type LoadedMap,
  LoadedObject,
  type LoadedProgram,
  type LoadOptions,
  loadObject,
  type MapOptions,
  type MapSpec,
  type ObjectSpec,
  type ProgramOptions,
  type ProgramSpec,
  parseObject,
  Variable,
  type VariableValue,
} from './loader/index.ts';
export type {
  Bpf,
  BtfId,
  BtfInfo,
  CommandTypes,
  Fd,
  Kernel,
  LinkId,
  LinkInfo,
  MapId,
  MapInfo,
  ObjInfo,
  ProgId,
  ProgInfo,
  ProgTestRunAttr,
  ProgTestRunResult,
} from './sys/kernel.ts';
