import { createReadStream, existsSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { InputError } from '../../base/error.ts';
import { errnoOf, strerror } from '../grammar/refusal.ts';

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
  const stream = createReadStream('', { fd: open(`${folder}/trace_pipe`) });
  const lines = createInterface({ input: stream });
  // A reader that is ended while it waits says so; there is nobody to tell.
  stream.on('error', () => {});
  lines.on('error', () => {});
  lines.on('line', line);
  return () => {
    lines.close();
    stream.destroy();
  };
}

function open(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    const errno = errnoOf(error);
    const why = errno === 'EBUSY' ? `${strerror(error)}: another program reads it` : strerror(error);
    throw new InputError('cli-tracefs', `could not open trace pipe: ${why}`, {
      cause: error,
      ...(errno !== undefined && { errno }),
    });
  }
}
