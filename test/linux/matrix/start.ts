/** Starts the cases in namespaces of their own: a network without devices, and mounts with tracefs. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Row } from './row.ts';

const TRACEFS = '/sys/kernel/tracing';

/** Runs them all. @param only cases whose group and name contain it */
export function runMatrix(only?: string): readonly Row[] {
  const inside = `test -d ${TRACEFS}/events || mount -t tracefs tracefs ${TRACEFS}; exec "$@"`;
  const script = fileURLToPath(new URL('./run.ts', import.meta.url));
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
