import { statSync } from 'node:fs';
import { InputError } from '../../base/error.ts';
import { readWhole } from '../files.ts';
import type { Call } from '../grammar/call.ts';
import { absolute } from '../grammar/command-line.ts';
import { attempt, errnoOf, refusedAs, Usage } from '../grammar/refusal.ts';

/** Characters of a skeleton's name. */
const MAX_NAME = 63;

/** The object that a skeleton is to be of. */
export interface TakenObject {
  /** As it stands in the command line. */
  readonly file: string;
  readonly bytes: Uint8Array;
  /** What the skeleton is to be called, where the command line says so. */
  readonly name: string | undefined;
}

/** Reads `FILE [name NAME]`, and the file. */
export function takeObject(call: Call): TakenObject {
  const { words, out } = call;
  if (words.left === 0) {
    out.error(`'${call.words.peek(-1)}' needs at least 1 arguments, 0 found`);
    throw new Usage();
  }
  const file = words.take();
  const name = takeName(call);
  attempt(`failed to stat() ${file}`, () => statSync(absolute(call, file)));
  return { file, name, bytes: readObject(call, file) };
}

function takeName({ words }: Call): string | undefined {
  let name: string | undefined;
  while (words.left > 0) {
    words.need(2);
    const word = words.peek();
    if (!words.accept('name')) throw new InputError('cli-gen', `unknown arg ${word}`);
    if (name !== undefined) throw new InputError('cli-gen', 'object name already specified');
    name = words.take();
  }
  if (name === undefined || name === '') return undefined;
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return name.slice(0, MAX_NAME);
  throw new InputError('cli-gen', `${name} can't be the name of an object; letters, digits and _ can`);
}

function readObject(call: Call, file: string): Uint8Array {
  try {
    return readWhole(absolute(call, file));
  } catch (error) {
    if (errnoOf(error) === 'EISDIR') throw refusedAs(`failed to mmap() ${file}: No such device`, error);
    return attempt(`failed to open() ${file}`, () => {
      throw error;
    });
  }
}
