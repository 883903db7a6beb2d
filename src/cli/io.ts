/** What a command sees of the process that runs it. */
export interface Io {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Columns of the terminal on stderr; `undefined` when it is none. */
  readonly progressWidth: number | undefined;
  /** Whether stdout shows colours. */
  readonly colour: boolean;
  /** Calls back when the user interrupts; returns what stops that. */
  readonly onInterrupt: (callback: () => void) => () => void;
}

/** Exit codes: all is well; the kernel or the system refused; the command line or a file is wrong. */
export const EXIT = { ok: 0, refused: 1, input: 2, interrupted: 130 } as const;
