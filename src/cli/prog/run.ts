import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { InputError } from '../../base/error.ts';
import { dumpText } from '../grammar/bytes.ts';
import type { Call } from '../grammar/call.ts';
import { attemptOrErrno, errnoOf, Failed, strerror } from '../grammar/refusal.ts';
import { takeProgram } from '../grammar/selectors.ts';
import { isPrefix, type Words } from '../grammar/words.ts';

/** Bytes of room for what comes back. */
const ROOM = 32 * 1024;

const FILES = ['data_in', 'data_out', 'ctx_in', 'ctx_out'] as const;
const NUMBERS = {
  data_size_out: 'output data size',
  ctx_size_out: 'output context size',
  repeat: 'repeat number',
} as const;
const FAMILIES = [
  ['data_in', 'data_out', 'data_size_out'],
  ['ctx_in', 'ctx_out', 'ctx_size_out'],
] as const;

interface Wanted {
  readonly files: Partial<Record<(typeof FILES)[number], string>>;
  readonly numbers: Partial<Record<keyof typeof NUMBERS, number>>;
}

/** `prog run PROG data_in FILE [data_out FILE [data_size_out L]] [ctx_in FILE [ctx_out FILE [ctx_size_out M]]] [repeat N]`. */
export async function runProgram(call: Call): Promise<void> {
  const { words, out } = call;
  words.need(4);
  const world = await call.world();
  const fd = takeProgram(call, world);
  const { files, numbers } = takeOptions(words);
  const data = await read(call, files.data_in);
  const context = await read(call, files.ctx_in);
  const repeat = numbers.repeat ?? 1;
  const result = attemptOrErrno('failed to run program', () =>
    world.kernel.bpf.prog_test_run({
      prog_fd: fd,
      repeat,
      ...(data && { data_in: data, data_size_out: numbers.data_size_out || ROOM }),
      ...(context && { ctx_in: context, ctx_size_out: numbers.ctx_size_out || ROOM }),
    }),
  );
  out.json?.startObject();
  // Output that can't be written does not hide what the program returned.
  const failures = [
    write(call, files.data_out, result.data_out, 'data_out'),
    write(call, files.ctx_out, result.ctx_out, 'ctx_out'),
  ].filter((failed) => failed).length;
  if (out.json) out.json.field('retval', result.retval).field('duration', result.duration).endObject();
  else {
    const average = repeat > 1 ? ' (average)' : '';
    out.print(`Return value: ${result.retval}, duration${average}: ${result.duration}ns\n`);
  }
  if (failures > 0) throw new Failed(256 - failures);
}

function takeOptions(words: Words): Wanted {
  const wanted: Wanted = { files: {}, numbers: {} };
  while (words.left > 0) {
    refuseAmbiguous(words);
    const file = FILES.find((name) => isPrefix(words.peek(), name));
    const number = (Object.keys(NUMBERS) as (keyof typeof NUMBERS)[]).find((name) =>
      isPrefix(words.peek(), name),
    );
    if (file !== undefined) {
      words.skip();
      words.need(1);
      wanted.files[file] = words.take();
      if (wanted.files.data_in === '-' && wanted.files.ctx_in === '-') {
        throw new InputError('cli-prog', 'cannot use standard input for both data_in and ctx_in');
      }
    } else if (number !== undefined) {
      words.skip();
      words.need(1);
      wanted.numbers[number] = words.number(NUMBERS[number]);
    } else {
      const near = words.near([...FILES, ...Object.keys(NUMBERS)]);
      throw new InputError(
        'cli-prog',
        `expected no more arguments, 'data_in', 'data_out', 'data_size_out', 'ctx_in', 'ctx_out', 'ctx_size_out' or 'repeat', got: '${words.take()}'?`,
        near === '' ? {} : { detail: near },
      );
    }
  }
  return wanted;
}

function refuseAmbiguous(words: Words): void {
  const word = words.peek();
  for (const family of FAMILIES) {
    const fits = family.filter((name) => isPrefix(word, name));
    if (fits.length >= 2) {
      throw new InputError('cli-prog', `ambiguous prefix: '${word}' could be '${fits.join("' or '")}'`);
    }
  }
}

async function read({ io }: Call, file: string | undefined): Promise<Uint8Array | undefined> {
  if (file === undefined) return undefined;
  if (file === '-') return io.stdin();
  try {
    return readFileSync(resolve(io.cwd, file));
  } catch (error) {
    throw fileError(file, error);
  }
}

function fileError(file: string, error: unknown): InputError {
  const errno = errnoOf(error);
  return new InputError('cli-read', `failed to open ${file}: ${strerror(error)}`, {
    cause: error,
    ...(errno !== undefined && { errno }),
  });
}

/** @returns whether it failed, which has then been said */
function write({ io, out }: Call, file: string | undefined, bytes: Uint8Array, name: string): boolean {
  if (file === undefined || bytes.length === 0) return false;
  if (file === '-') {
    if (out.json) {
      out.json.name(name).startArray();
      for (const byte of bytes) out.json.value(byte);
      out.json.endArray();
    } else out.print(dumpText(bytes));
    return false;
  }
  try {
    writeFileSync(resolve(io.cwd, file), bytes);
    return false;
  } catch (error) {
    out.failure(fileError(file, error));
    return true;
  }
}
