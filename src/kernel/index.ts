/** The embedded kernel. */
export { CaptureRun, type CaptureRunOptions } from './batch/capture-run.ts';
export type { CaptureCounts } from './batch/counts.ts';
export { createKernel, EmbeddedKernel, type KernelOptions } from './kernel.ts';
export type { Memory, MemoryUse } from './memory/index.ts';
export type {
  Mock,
  MockArguments,
  MockCall,
  MockContext,
  MockFunction,
  MockMap,
  MockName,
  MockResult,
} from './mock.ts';
export { type Clock, SimulatedClock } from './objects/machine.ts';
export type { PerfRecord } from './objects/perf-event.ts';
export { type CaptureSource, ParallelRun, type ParallelRunOptions } from './parallel/parallel-run.ts';
export type {
  OpenSource,
  ProcessorAnswer,
  ProcessorOrder,
  ReadAt,
  Thread,
  ThreadMaker,
} from './parallel/port.ts';
export { serveProcessor } from './parallel/processor.ts';
export { ALL_CAPABILITIES, type Capabilities, NO_CAPABILITIES } from './verifier/index.ts';
