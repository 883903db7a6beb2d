import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { InputError } from '../../base/error.ts';

const PLACES = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing', '/tracing', '/trace'];

/** Linux's trace pipe: one for the whole machine; what is read from it is gone from it. @returns what ends the reading */
export function followTracePipe(line: (line: string) => void): () => void {
  const folder = PLACES.find((place) => existsSync(`${place}/trace_pipe`));
  if (folder === undefined) {
    throw new InputError(
      'cli-tracefs',
      'can\'t find the tracing file system: mount it with "mount -t tracefs tracefs /sys/kernel/tracing"',
      { errno: 'ENOENT' },
    );
  }
  const stream = createReadStream(`${folder}/trace_pipe`);
  // A reader that is ended while it waits says so; there is nobody to tell.
  stream.on('error', () => {});
  const lines = createInterface({ input: stream });
  lines.on('line', line);
  return () => {
    lines.close();
    stream.destroy();
  };
}
