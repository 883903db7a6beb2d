/**
 * Where the files of a kernel process are: its socket, what it tells about itself, its log and its lock, in a folder that
 * only its user may enter. Nothing heavy is imported here: each client passes through.
 */
import { lstatSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../../base/error.ts';

export interface Place {
  readonly instance: string;
  readonly folder: string;
  /** A Unix socket's path, or the name of a pipe on Windows. */
  readonly socket: string;
  readonly info: string;
  readonly log: string;
  readonly lock: string;
  /** There while a client starts it. */
  readonly starting: string;
}

/** What a kernel process tells about itself before anyone connects. */
export interface Info {
  readonly pid: number;
  /** When the process started, as its system counts it; tells it from a later one of the same number. */
  readonly ticks: string;
  /** Who knows it may connect. */
  readonly token: string;
}

/** The user's folder for what lives as long as the session; made where it is not there. */
function runtimeFolder(): string {
  const uid = process.getuid?.();
  const given = process.env.XDG_RUNTIME_DIR;
  const folder =
    given !== undefined && given !== ''
      ? join(given, 'skep')
      : join(tmpdir(), uid === undefined ? 'skep' : `skep-${uid}`);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST') {
      throw new InputError(
        'kernel-folder',
        `making ${folder}, for the kernel process: ${(error as Error).message}`,
        {
          ...(code !== undefined && { errno: code }),
        },
      );
    }
  }
  if (uid !== undefined) {
    const found = lstatSync(folder);
    if (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0) {
      throw new InputError(
        'kernel-folder',
        `${folder} is not a folder that only you may enter: remove it, or set XDG_RUNTIME_DIR to one that is`,
        { errno: 'EPERM' },
      );
    }
  }
  return folder;
}

/** @throws InputError for a name that can't be one, and where the folder is not safe */
export function placeOf(instance: string): Place {
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/.test(instance)) {
    throw new InputError(
      'cli-usage',
      `--instance is a name of up to 32 letters, digits, - and _, not ${JSON.stringify(instance)}`,
    );
  }
  const folder = runtimeFolder();
  const file = (suffix: string) => join(folder, `${instance}.${suffix}`);
  return {
    instance,
    folder,
    socket: process.platform === 'win32' ? `\\\\.\\pipe\\${folder}\\${instance}` : file('sock'),
    info: file('json'),
    log: file('log'),
    lock: file('lock'),
    starting: file('starting'),
  };
}

export function readInfo(place: Place): Info | undefined {
  try {
    return JSON.parse(readFileSync(place.info, 'utf8')) as Info;
  } catch {
    return undefined;
  }
}

/** Which build of skep this is: a kernel process of another may understand a command differently. */
export function buildOf(entry: string): string {
  const { mtimeMs, size } = statSync(entry);
  return `${mtimeMs}-${size}`;
}
