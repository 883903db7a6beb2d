import { writeFileSync } from 'node:fs';
import { InputError } from '../../base/error.ts';
import { BtfMinimizer, parseBtf, parseBtfExt } from '../../btf/index.ts';
import { findSection, readBpfElf } from '../../elf/index.ts';
import { readBtfFile } from '../btf/source.ts';
import { fileError, readWhole } from '../files.ts';
import type { Call } from '../grammar/call.ts';
import { absolute } from '../grammar/command-line.ts';
import { attemptOrErrno, needOrUsage, strerror } from '../grammar/refusal.ts';

/** `gen min_core_btf INPUT OUTPUT OBJECT…`: what the objects' relocations need of a kernel's BTF. */
export async function generateMinCoreBtf(call: Call): Promise<void> {
  const { words, out } = call;
  needOrUsage(call, 3);
  const input = words.take();
  const output = words.take();
  const target = attemptOrErrno('failed to allocate info structure', () => {
    try {
      return readBtfFile(absolute(call, input), input);
    } catch (error) {
      out.error(`failed parsing '${input}' BTF file: ${strerror(error)}`);
      throw error;
    }
  });
  const minimizer = new BtfMinimizer(target);
  for (const file of words.rest) minimizer.add(relocated(call, file));
  words.skip(words.left);
  const path = absolute(call, output);
  try {
    writeFileSync(path, minimizer.encode());
  } catch (error) {
    throw fileError(error, 'cli-write', `writing ${output}`);
  }
}

function relocated(call: Call, file: string) {
  const bytes = attemptOrErrno(`failed to open ${file}`, () => readWhole(absolute(call, file)));
  const elf = readBpfElf(bytes, file);
  const types = findSection(elf, '.BTF');
  const ext = findSection(elf, '.BTF.ext');
  if (!types || !ext) {
    throw new InputError('cli-gen', `${file} has no .BTF and .BTF.ext sections; compile it with -g`);
  }
  const btf = parseBtf(types.data, `${file}: section .BTF`, undefined, types.offset);
  const { coreRelos } = parseBtfExt(ext.data, `${file}: section .BTF.ext`, btf, ext.offset);
  return { btf, relos: coreRelos.flatMap(({ records }) => records) };
}
