export type {
  CallableHelper,
  CallbackPlan,
  HelperImpl,
  HelperResult,
  HelperRun,
  RunContext,
  RunKernel,
  Task,
} from './environment.ts';
export { type Executable, executableOf, linkBare } from './executable.ts';
export type { FaultCode, RunFault } from './fault.ts';
export { type Frame, Interpreter, type InterpreterOptions, type RunStatus } from './interpreter.ts';
export { type RawOptions, type RawResult, runRaw } from './raw.ts';
