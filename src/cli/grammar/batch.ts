/** `batch file FILE`: command lines, one a line. `#` begins a comment, a backslash at the end joins the next line. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { InputError } from '../../base/error.ts';
import type { Call } from './call.ts';
import { errnoOf, Failed, strerror } from './refusal.ts';
import { isPrefix, Words } from './words.ts';

/**
 * Runs the lines up to the first that fails.
 * @param failed says why one failed, in its place in the output
 */
export async function runBatch(
  call: Call,
  run: (line: Call) => Promise<void>,
  failed: (line: Call, error: unknown) => void,
): Promise<void> {
  const { words, out, io } = call;
  if (words.left < 2) throw new InputError('cli-batch', 'too few parameters for batch');
  const word = words.take();
  if (!isPrefix(word, 'file')) throw new InputError('cli-batch', `expected 'file', got: ${word}`);
  if (words.left > 1) throw new InputError('cli-batch', 'too many parameters for batch');
  const path = words.take();
  const text = path === '-' ? decode(await io.stdin()) : decode(open(resolve(io.cwd, path), path));

  const { json } = out;
  json?.startArray();
  let done = 0;
  try {
    for (const argv of lines(text)) {
      const line: Call = { ...call, words: new Words(argv) };
      json?.startObject().name('command').startArray();
      for (const given of argv) json?.value(given);
      json?.endArray().name('output');
      try {
        await run(line);
      } catch (error) {
        failed(line, error);
        throw new Failed();
      } finally {
        json?.endObject();
      }
      done++;
    }
    if (!json) out.print(`processed ${done} commands\n`);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    // Said where it happened, before the array ends.
    failed(call, error);
    throw new Failed();
  } finally {
    json?.endArray();
  }
}

function open(path: string, given: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    const errno = errnoOf(error);
    throw new InputError('cli-batch', `Can't open file (${given}): ${strerror(error)}`, {
      cause: error,
      ...(errno !== undefined && { errno }),
    });
  }
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function* lines(text: string): Iterable<string[]> {
  const all = text.split('\n').map((line) => line.replace(/#.*$/s, ''));
  // What follows the last line break is a line without one, to which nothing is joined.
  const last = all.length - 1;
  if (all.at(-1) === '') all.pop();
  let count = 0;
  for (let at = 0; at < all.length; at++) {
    let line = all[at]!;
    while (line.endsWith('\\') && at < last) {
      const next = all[++at];
      if (next === undefined) {
        throw new InputError('cli-batch', `missing continuation line on command ${count}`);
      }
      line = line.slice(0, -1) + next;
    }
    const argv = split(line, count);
    if (argv.length === 0) continue;
    yield argv;
    count++;
  }
}

/** Words, separated by blanks; quotes around a whole word keep its blanks. */
function split(line: string, command: number): string[] {
  const argv: string[] = [];
  for (let at = 0; ; ) {
    while (at < line.length && ' \t\r'.includes(line[at]!)) at++;
    if (at === line.length) return argv;
    const quote = line[at]!;
    if (quote === "'" || quote === '"') {
      const end = line.indexOf(quote, at + 1);
      if (end < 0) throw new InputError('cli-batch', `unterminated quoted string in command ${command}`);
      argv.push(line.slice(at + 1, end));
      at = end + 1;
    } else {
      const end = line.slice(at).search(/[ \t\r]/);
      argv.push(end < 0 ? line.slice(at) : line.slice(at, at + end));
      at = end < 0 ? line.length : at + end;
    }
  }
}
