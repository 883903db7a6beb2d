/** What an {@link InputError} may say beside its sentence. */
export interface InputErrorOptions extends ErrorOptions {
  /** Linux's errno name (`ENOENT`) where the failure is that of a system call. */
  readonly errno?: string;
  /** A longer text that belongs to the failure, such as a verifier's log. */
  readonly detail?: string;
}

/**
 * The caller's input is wrong: a file, an argument, a program, a permission. The message is one sentence for a
 * person: what was being done, to what, why it failed and, where it helps, what to do.
 */
export class InputError extends Error {
  override readonly name = 'InputError';
  /** Stable, kebab-case, prefixed by the room that raised it (`elf-truncated`, `map-create`). */
  readonly code: string;
  readonly errno: string | undefined;
  readonly detail: string | undefined;

  constructor(code: string, message: string, options: InputErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.errno = options.errno;
    this.detail = options.detail;
  }
}

/** An inconsistency of skep's own. It is never a verdict about the caller's input. */
export class Bug extends Error {
  override readonly name = 'Bug';
}

/** Ends a switch over a union: a missing case does not compile. */
export function unreachable(value: never): never {
  throw new Bug(`no case for ${JSON.stringify(value)}`);
}
