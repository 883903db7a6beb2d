import { closeSync, constants, existsSync, openSync, readSync } from 'node:fs';
import { InputError } from '../../base/error.ts';
import { errnoOf, strerror } from '../grammar/refusal.ts';

const PLACES = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing', '/tracing', '/trace'];

/** Bytes read at once, and milliseconds between two looks. */
const PIECE = 65536;
const PAUSE = 50;

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
  const fd = open(`${folder}/trace_pipe`);
  const bytes = new Uint8Array(PIECE);
  const decoder = new TextDecoder();
  let rest = '';
  const read = () => {
    for (;;) {
      let count: number;
      try {
        count = readSync(fd, bytes);
      } catch {
        // Nothing is there now.
        return;
      }
      if (count === 0) return;
      const lines = `${rest}${decoder.decode(bytes.subarray(0, count), { stream: true })}`.split('\n');
      rest = lines.pop() ?? '';
      for (const each of lines) line(each);
    }
  };
  // A read that waits could not be ended: it is asked again and again.
  const timer = setInterval(read, PAUSE);
  read();
  let reading = true;
  return () => {
    if (!reading) return;
    reading = false;
    clearInterval(timer);
    closeSync(fd);
  };
}

function open(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const errno = errnoOf(error);
    const why = errno === 'EBUSY' ? `${strerror(error)}: another program reads it` : strerror(error);
    throw new InputError('cli-tracefs', `could not open trace pipe: ${why}`, {
      cause: error,
      ...(errno !== undefined && { errno }),
    });
  }
}
