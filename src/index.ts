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
  type Mock,
  type MockArguments,
  type MockCall,
  type MockContext,
  type MockFunction,
  type MockMap,
  type MockName,
  type MockResult,
  NO_CAPABILITIES,
  SimulatedClock,
} from './kernel/index.ts';
export { type LinuxOptions, type LinuxStatus, linuxStatus, openLinux } from './linux/index.ts';
export {
  type BatchOptions,
  BufferRecord,
  type KeptRecord,
  type LoadedMap,
  LoadedObject,
  type LoadedProgram,
  type LoadOptions,
  loadObject,
  type MapOptions,
  type MapRef,
  type MapSpec,
  type MapView,
  mapView,
  type ObjectSpec,
  objectQueue,
  objectView,
  openPerfBuffer,
  openPerfRecorder,
  openRingBuffer,
  openUserRing,
  type PerfBufferOptions,
  type PerfRecorder,
  type ProgramOptions,
  type ProgramSpec,
  parseObject,
  type QueueView,
  queueView,
  type ReadOptions,
  RecordReader,
  type Reservation,
  type ReserveOptions,
  type SetOptions,
  type UserRingWriter,
  Variable,
  type VariableValue,
  type ViewOptions,
  type ViewValue,
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
  Mapping,
  MmapOptions,
  ObjInfo,
  PollOptions,
  ProgId,
  ProgInfo,
  ProgTestRunAttr,
  ProgTestRunResult,
  SystemCalls,
} from './sys/kernel.ts';
export type { PerfAttrFlag, PerfEventAttr } from './sys/perf.ts';
