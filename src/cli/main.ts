#!/usr/bin/env node
import { runCli } from './cli.ts';
import type { Io } from './io.ts';

/** A reader that goes away (`skep disasm a.o | head`) is no failure. */
function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
}
process.stdout.on('error', ignoreClosedPipe);

const io: Io = {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  progressWidth: process.stderr.isTTY ? process.stderr.columns : undefined,
  colour: process.stdout.isTTY && !process.env.NO_COLOR,
  onInterrupt: (callback) => {
    process.once('SIGINT', callback);
    return () => void process.off('SIGINT', callback);
  },
};
process.exitCode = await runCli(process.argv.slice(2), io);
