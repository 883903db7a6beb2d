import { writeFileSync } from 'node:fs';
import { InputError } from '../../base/error.ts';
import { parseBtf, parseBtfExt } from '../../btf/index.ts';
import { findSection, readBpfElf } from '../../elf/index.ts';
import { ElfLinker } from '../../elf/link.ts';
import { errnoId, isErrno } from '../../sys/index.ts';
import { fileError, readWhole } from '../files.ts';
import type { Call } from '../grammar/call.ts';
import { absolute } from '../grammar/command-line.ts';
import { attemptAsOrErrno, errnoOf, exitWith, INVALID, needOrUsage, strerror } from '../grammar/refusal.ts';
import { TypeLinker } from './link-types.ts';

/** An object file to be linked. */
export interface ObjectInput {
  /** For messages. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** `gen object OUTPUT INPUT…`: objects linked into one. The output appears when it is whole. */
export async function linkObject(call: Call): Promise<void> {
  const { words } = call;
  needOrUsage(call, 2);
  const output = words.take();
  const inputs = words.rest.map((name): ObjectInput => ({ name, bytes: readInput(call, name) }));
  words.skip(words.left);
  await exitWith(INVALID, async () => {
    const linked = linkObjects(inputs);
    try {
      writeFileSync(absolute(call, output), linked);
    } catch (error) {
      throw fileError(error, 'cli-write', `writing ${output}`);
    }
  });
}

function readInput(call: Call, name: string): Uint8Array {
  const words = (error: unknown) => {
    const errno = errnoOf(error);
    const number = errno !== undefined && isErrno(errno) ? ` (${errnoId(errno)})` : '';
    return `failed to link '${name}': ${strerror(error)}${number}`;
  };
  return attemptAsOrErrno(words, () => readWhole(absolute(call, name)));
}

/**
 * Links objects as libbpf does: sections of a name are put together, symbols resolved, types merged.
 * @throws InputError that names the object which does not go together with those before it
 */
export function linkObjects(inputs: readonly ObjectInput[]): Uint8Array {
  const linker = new ElfLinker();
  const types = new TypeLinker(linker);
  for (const { name, bytes } of inputs) {
    try {
      addObject(linker, types, name, bytes);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const why = error.message.startsWith(`${name}: `)
        ? error.message.slice(name.length + 2)
        : error.message;
      throw new InputError(error.code, `failed to link '${name}': ${why}`);
    }
  }
  return linker.write(types.write());
}

function addObject(linker: ElfLinker, types: TypeLinker, name: string, bytes: Uint8Array): void {
  const elf = readBpfElf(bytes, name);
  const [typesAt, extAt] = [findSection(elf, '.BTF'), findSection(elf, '.BTF.ext')];
  const btf = typesAt && parseBtf(typesAt.data, `${name}: section .BTF`, undefined, typesAt.offset);
  const ext = btf && extAt && parseBtfExt(extAt.data, `${name}: section .BTF.ext`, btf, extAt.offset);
  const places = linker.add(elf);
  if (btf) types.add({ elf, btf, ext, places });
}
