/** Starts the cases in namespaces of their own: a network without devices, and mounts with tracefs. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Row } from './row.ts';

const TRACEFS = '/sys/kernel/tracing';

/** Runs them all. @param only cases whose group and name contain it */
export function runMatrix(only?: string): readonly Row[] {
  const inside = `test -d ${TRACEFS}/events || mount -t tracefs tracefs ${TRACEFS}; exec "$@"`;
  const script = join(import.meta.dirname, 'run.ts');
  const node = [process.execPath, '--import', 'tsx', script, ...(only === undefined ? [] : [only])];
  const out = execFileSync('/usr/bin/unshare', ['-n', '-m', '/bin/sh', '-c', inside, 'sh', ...node], {
    encoding: 'utf8',
    maxBuffer: 1 << 24,
  });
  return out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
}
