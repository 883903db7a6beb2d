import type { RunFault } from '../interpreter/fault.ts';

/** Ends a run of compiled code. */
export class JitFault extends Error {
  readonly fault: RunFault;

  constructor(fault: RunFault) {
    super(fault.problem);
    this.fault = fault;
  }
}
