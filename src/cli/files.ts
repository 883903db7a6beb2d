import { readFileSync } from 'node:fs';
import { InputError } from '../base/error.ts';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is not a folder',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only',
};

/** A failure of the file system as a sentence. @param doing `reading a.o` */
export function fileError(error: unknown, code: 'cli-read' | 'cli-write', doing: string): InputError {
  const errno = (error as NodeJS.ErrnoException).code;
  const why = (errno === undefined ? undefined : REASONS[errno]) ?? errno ?? String(error);
  return new InputError(code, `${doing}: ${why}`, {
    cause: error,
    ...(errno === undefined ? {} : { errno }),
  });
}

/** A whole file's bytes. */
export function readWhole(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw fileError(error, 'cli-read', `reading ${path}`);
  }
}
