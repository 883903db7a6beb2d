/** Why a run ended before its exit. */
export type FaultCode =
  /** A load or store outside of what the program may touch, or one that is not allowed there. */
  | 'access'
  /** A load or store of the context that its field table does not allow. */
  | 'context-access'
  /** A register is read that was never written. */
  | 'uninitialised-register'
  /** The run's limit of instructions. */
  | 'budget'
  /** A call nested too deeply. */
  | 'call-depth'
  /** A call of a helper that the kernel does not have. */
  | 'unknown-helper'
  /** A helper's argument is not what it must be. */
  | 'helper-argument'
  /** The program ended while it held something that it must give back. */
  | 'leaked-reference'
  /** What the interpreter can't run. */
  | 'unsupported'
  /** Control left the program. */
  | 'off-the-end';

/** A run that ended badly. It says what the program did; it is never an exception. */
export interface RunFault {
  readonly code: FaultCode;
  /** Name of the program that was running; after a tail call not the one that was started. */
  readonly program: string;
  /** Slot of the instruction. */
  readonly insn: number;
  /** One sentence. */
  readonly problem: string;
  readonly access?: { readonly addr: bigint; readonly size: number; readonly write: boolean };
}
