import type { World } from './world/world.ts';

/** What a command sees of the process that asked for it, which need not be the process that runs it. */
export interface Io {
  readonly stdout: (text: string | Uint8Array) => void;
  readonly stderr: (text: string | Uint8Array) => void;
  /** All of standard input, to its end. */
  readonly stdin: () => Promise<Uint8Array>;
  /** Where relative paths begin. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Columns of the terminal on stderr; `undefined` when it is none. */
  readonly progressWidth: number | undefined;
  /** Whether stdout shows colours. */
  readonly colour: boolean;
  /** Calls back when the user interrupts or went away; returns what stops that. */
  readonly onInterrupt: (callback: () => void) => () => void;
  /** The kernel that stays, where the command runs beside it; else each command line opens its own. */
  readonly world?: () => World;
}

/** Exit codes: all is well; the kernel or the system refused; the command line or a file is wrong. */
export const EXIT = { ok: 0, refused: 1, input: 2, interrupted: 130 } as const;
