import { InputError } from '../../base/error.ts';
import { errnoId, errnoText, isErrno } from '../../sys/index.ts';
import type { Call } from './call.ts';

/** The command line is not of the command's form: its usage is printed, and the exit code is that of a failure. */
export class Usage extends Error {
  override readonly name = 'Usage';
  /** A word that may have been meant. */
  readonly hint: string;

  constructor(hint = '') {
    super('usage');
    this.hint = hint;
  }
}

/** The command failed and said so already. */
export class Failed extends Error {
  override readonly name = 'Failed';
  readonly exitCode: number;

  constructor(exitCode = FAILURE) {
    super('failed');
    this.exitCode = exitCode;
  }
}

/** Exit code of a command that failed: bpftool answers -1. */
export const FAILURE = 255;

/** -EINVAL, which some commands answer to what they can't make sense of. */
export const INVALID = 234;

/** -ENOENT. */
export const NO_ENTRY = 254;

/** Exit codes of failures for which it is another. */
const exitCodes = new WeakMap<object, number>();

/** The exit code that a failure has. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Failed) return error.exitCode;
  return (typeof error === 'object' && error !== null && exitCodes.get(error)) || FAILURE;
}

/** Does what is given; a failure of it has that exit code, whatever code it had. */
export async function exitWith<T>(code: number, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof InputError) exitCodes.set(error, code);
    throw error;
  }
}

/** The exit code of commands that answer a system call's negated errno. */
export function errnoExit(error: unknown): number {
  const name = errnoOf(error);
  return name !== undefined && isErrno(name) ? (256 - (errnoId(name) & 0xff)) & 0xff : FAILURE;
}

/** What strerror(3) says of a failed system call. */
export function strerror(error: unknown): string {
  const name = errnoOf(error);
  // The C library has no text for it: it is the kernel's own.
  if (name === 'ENOTSUPP') return 'Unknown error 524';
  return name !== undefined && isErrno(name) ? errnoText(name) : (name ?? 'Unknown error');
}

/** Name of the errno that a failure carries, also of Node's own. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof InputError) return error.errno;
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && isErrno(code) ? code : undefined;
}

/**
 * For commands that print their usage below what is missing.
 * @throws Usage when fewer words are left
 */
export function needOrUsage({ words, out }: Pick<Call, 'words' | 'out'>, count: number): void {
  try {
    words.need(count);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    out.error(error.message);
    throw new Usage();
  }
}

/**
 * A failed system call in bpftool's words (`update failed: Invalid argument`). The kernel's own sentence follows on a
 * line of its own. What carries no errno is passed on: it is about the input, or a fault of skep's own.
 */
export function refused(what: string, error: unknown): Error {
  if (errnoOf(error) === undefined) return error instanceof Error ? error : new Error(String(error));
  return refusedAs(`${what}: ${strerror(error)}`, error);
}

/** A failure in words that don't name the errno. */
export function refusedAs(message: string, error: unknown): InputError {
  const errno = errnoOf(error);
  const detail = error instanceof InputError ? error.detail : undefined;
  return new InputError('cli-refused', message, {
    cause: error,
    ...(errno !== undefined && { errno }),
    ...(detail !== undefined && { detail }),
  });
}

/** Runs a system call; its failure is told in bpftool's words. */
export function attempt<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw refused(what, error);
  }
}

/** As {@link attempt}, for commands that answer the negated errno. */
export function attemptOrErrno<T>(what: string, call: () => T): T {
  return orErrno((error) => refused(what, error), call);
}

/** As {@link attemptOrErrno}, in words of the command's own. */
export function attemptAsOrErrno<T>(message: string | ((error: unknown) => string), call: () => T): T {
  const words = typeof message === 'string' ? () => message : message;
  return orErrno((error) => refusedAs(words(error), error), call);
}

function orErrno<T>(toFailure: (error: unknown) => Error, call: () => T): T {
  try {
    return call();
  } catch (error) {
    const failure = toFailure(error);
    exitCodes.set(failure, errnoExit(error));
    throw failure;
  }
}
