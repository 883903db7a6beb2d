/** Starting a kernel process, and ending one that does not answer. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { InputError } from '../../base/error.ts';
import { type Info, type Place, readInfo } from './place.ts';
import { processState } from './process-state.ts';

/** Milliseconds after which whoever claimed to start it is not believed any more. */
const STARTING = 10_000;

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Whether the process that wrote this is the one that has its number now. */
export function isAlive(info: Info): boolean {
  const found = processState(info.pid);
  return found !== undefined && (info.ticks === '' || found.ticks === info.ticks);
}

/** A kernel process that was started. */
export interface Started {
  /** It ended at once; its log says why. */
  failed: boolean;
}

/**
 * Starts a kernel process in the background, unless another client is doing so. It tells by its info file and socket when it
 * is there.
 * @param options of `skep kernel run`
 * @returns `undefined` when another client does
 */
export function startInBackground(place: Place, options: readonly string[]): Started | undefined {
  if (!claim(place)) return undefined;
  const started: Started = { failed: false };
  const entry = process.argv[1]!;
  const log = openSync(place.log, 'w', 0o600);
  const env: NodeJS.ProcessEnv = { ...process.env };
  // What is set for a client is not for the kernel that serves all of them.
  delete env.SKEP_KERNEL;
  delete env.SKEP_INSTANCE;
  const child = spawn(
    process.execPath,
    [...process.execArgv, entry, 'kernel', 'run', '--instance', place.instance, ...options],
    { detached: true, stdio: ['ignore', log, log], cwd: dirname(entry), env },
  );
  child.on('exit', (code) => {
    if (code === 0) return;
    started.failed = true;
    rmSync(place.starting, { force: true });
  });
  child.unref();
  closeSync(log);
  return started;
}

/** Only an advice, that not every client of a crowd starts one: the kernel process itself sees to it that it is alone. */
function claim(place: Place): boolean {
  try {
    const fd = openSync(place.starting, 'wx', 0o600);
    writeSync(fd, String(process.pid));
    closeSync(fd);
    return true;
  } catch {
    try {
      const claimant = Number(readFileSync(place.starting, 'utf8'));
      const old = Date.now() - statSync(place.starting).mtimeMs > STARTING;
      if (old || (claimant > 0 && processState(claimant) === undefined && readInfo(place) === undefined)) {
        rmSync(place.starting, { force: true });
      }
    } catch {
      // It is gone: the next try claims.
    }
    return false;
  }
}

/** Ends a kernel process that does not answer. What it leaves is taken over by the next one. */
export async function kill(info: Info): Promise<void> {
  if (isAlive(info)) {
    try {
      process.kill(info.pid, 'SIGKILL');
    } catch (error) {
      throw new InputError(
        'kernel-stop',
        `ending the kernel process (pid ${info.pid}): ${(error as Error).message}`,
        {
          errno: 'EPERM',
        },
      );
    }
    for (let i = 0; i < 200 && isAlive(info); i++) await pause(10);
  }
}

/** Removes what a kernel process that is gone left behind. */
export function removeFiles(place: Place): void {
  for (const path of [place.info, place.socket, place.starting, place.lock, place.log]) {
    if (!path.startsWith('\\\\')) rmSync(path, { force: true });
  }
}
