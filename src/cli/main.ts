#!/usr/bin/env node
import { writeSync } from 'node:fs';
import { runCli } from './cli.ts';
import type { Io } from './io.ts';

/**
 * Writes without Node's stream, whose making alone takes longer than many a command. A descriptor that does not block
 * and is full is left to the stream; a reader that went away (`skep disasm a.o | head`) is no failure.
 */
function writeTo(fd: 1 | 2, stream: () => NodeJS.WriteStream): (text: string | Uint8Array) => void {
  let streaming = false;
  return (text) => {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    let at = 0;
    try {
      while (!streaming && at < bytes.length) at += writeSync(fd, bytes, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') process.exit();
      if (code !== 'EAGAIN') throw error;
      streaming = true;
      stream().on('error', () => process.exit());
    }
    if (streaming) stream().write(bytes.subarray(at));
  };
}

const io: Io = {
  stdout: writeTo(1, () => process.stdout),
  stderr: writeTo(2, () => process.stderr),
  stdin: async () => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
    return Buffer.concat(chunks);
  },
  cwd: process.cwd(),
  env: process.env,
  get progressWidth() {
    return process.stderr.isTTY ? process.stderr.columns : undefined;
  },
  get colour() {
    return process.stdout.isTTY && !process.env.NO_COLOR;
  },
  onInterrupt: (callback) => {
    process.once('SIGINT', callback);
    return () => void process.off('SIGINT', callback);
  },
};
process.exitCode = await runCli(process.argv.slice(2), io);
