/** Runs the cases of the attach matrix, in namespaces that are this process's own; prints a line of JSON for each. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../../../src/base/error.ts';
import { CGROUP } from './cgroup.ts';
import { NETWORK } from './network.ts';
import type { Row } from './row.ts';
import { SOCKETS } from './sockets-cases.ts';
import { ITERATORS, TRACING } from './tracing.ts';
import { type Case, makeWorld, type World } from './world.ts';

const CASES: readonly Case[] = [...NETWORK, ...CGROUP, ...SOCKETS, ...TRACING, ...ITERATORS];
const only = process.argv[2];

/** Whether `6.18.44-name` is at least `6.9`. */
function reached(release: string, since: string): boolean {
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number);
  const [sinceMajor = 0, sinceMinor = 0] = since.split('.').map(Number);
  return major > sinceMajor || (major === sinceMajor && minor >= sinceMinor);
}

async function attempt(world: World, one: Case): Promise<Row> {
  const { group, name, road, event, config, since, forbidden } = one;
  const row = { group, name, road, event };
  try {
    const { before, fired, after, note } = await one.run(world);
    const counted = { before, fired, after, ...(note !== undefined && { note }) };
    if (fired === 0) return { ...row, ...counted, result: 'wrong', reason: 'the event did not run it' };
    if (after !== 0) return { ...row, ...counted, result: 'wrong', reason: 'it ran after it was detached' };
    return { ...row, ...counted, result: 'works' };
  } catch (error) {
    if (!(error instanceof InputError)) return { ...row, result: 'wrong', reason: String(error) };
    const errno = error.errno ?? '';
    const reason = error.message;
    if (since !== undefined && !reached(world.kernel.release, since)) {
      return { ...row, result: 'lacking', errno, reason, since };
    }
    const configured = config === undefined || world.kernel.kconfig(config) === 'y';
    if (!configured) return { ...row, result: 'lacking', errno, reason, config };
    if (forbidden !== undefined && errno === forbidden) return { ...row, result: 'forbidden', errno, reason };
    return { ...row, result: 'wrong', errno, reason };
  }
}

const folder = mkdtempSync(join(tmpdir(), 'skep-matrix-'));
{
  using world = makeWorld(folder);
  for (const one of CASES) {
    if (only !== undefined && !`${one.group} ${one.name}`.includes(only)) continue;
    process.stdout.write(`${JSON.stringify(await attempt(world, one))}\n`);
  }
}
rmSync(folder, { recursive: true });
