import type { Io } from './io.ts';
import type { Arguments, CommandFact } from './options.ts';

/** A command: its facts, and what it does. Answers the exit code. */
export interface Command {
  readonly fact: CommandFact;
  readonly run: (args: Arguments, io: Io) => number | Promise<number>;
}

/** The commands by name, each loaded when it is used, so that start-up costs what one command needs. */
export const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  run: () => import('./run.ts').then((module) => module.runCommand),
  verify: () => import('./verify.ts').then((module) => module.verifyCommand),
  disasm: () => import('./disasm.ts').then((module) => module.disasmCommand),
  asm: () => import('./asm.ts').then((module) => module.asmCommand),
  kernel: () => import('./kernel.ts').then((module) => module.kernelCommand),
  completion: () => import('./completion.ts').then((module) => module.completionCommand),
  help: () => import('./help.ts').then((module) => module.helpCommand),
};
