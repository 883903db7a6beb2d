#!/usr/bin/env node
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { InputError } from '../base/error.ts';
import { EXIT, type Io } from './io.ts';
import { routeOf } from './route.ts';
import { forward, type Terminal } from './server/client.ts';

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

const stdout = writeTo(1, () => process.stdout);
const stderr = writeTo(2, () => process.stderr);
const colour = (): boolean => isatty(1) && !process.env.NO_COLOR;
const width = (): number | undefined => (isatty(2) ? process.stderr.columns : undefined);

/** The process as a command that runs in it sees it. */
const io: Io = {
  stdout,
  stderr,
  stdin: async () => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
    return Buffer.concat(chunks);
  },
  cwd: process.cwd(),
  env: process.env,
  get progressWidth() {
    return width();
  },
  get colour() {
    return colour();
  },
  onInterrupt: (callback) => {
    process.once('SIGINT', callback);
    return () => void process.off('SIGINT', callback);
  },
};

/** Standard input was handed over: what the user still types must not hold the process up. */
let stdinUsed = false;

/** The process as a client of the kernel process sees it. */
function terminal(): Terminal {
  const columns = width();
  return {
    stdout,
    stderr,
    colour: colour(),
    progressWidth: columns,
    onStdin: (take) => {
      stdinUsed = true;
      process.stdin.on('data', take);
      process.stdin.on('end', () => take(undefined));
      process.stdin.on('error', () => take(undefined));
    },
    onInterrupt: (callback) => {
      process.on('SIGINT', callback);
      return () => void process.off('SIGINT', callback);
    },
    onResize: (callback) => {
      if (columns === undefined) return () => {};
      const resized = () => callback(process.stderr.columns);
      process.stderr.on('resize', resized);
      return () => void process.stderr.off('resize', resized);
    },
  };
}

async function run(): Promise<number> {
  const argv = process.argv.slice(2);
  try {
    const { instance, argv: words } = routeOf(argv, process.env);
    if (instance !== undefined) return await forward(words, instance, terminal());
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    stderr(`skep: ${error.message}\n${error.detail ? `${error.detail}\n` : ''}`);
    return error.errno === undefined ? EXIT.input : EXIT.refused;
  }
  const { runCli } = await import('./cli.ts');
  return await runCli(argv, io);
}

process.exitCode = await run();
if (stdinUsed) process.stdin.destroy();
