import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { InputError } from '../base/error.ts';
import { writeBpfObject } from '../elf/index.ts';
import { parseAssembly } from './asm/parse.ts';
import { fileError, readWhole } from './files.ts';
import { EXIT } from './io.ts';
import type { CommandFact } from './options.ts';
import type { Command } from './registry.ts';

const fact: CommandFact = {
  name: 'asm',
  about: "assemble a text in LLVM's notation into an object",
  positionals: [{ name: 'FILE' }],
  options: [{ name: '-o', value: 'OUT.o', about: 'the object to write' }],
  notes: `Instructions are written as skep disasm and llvm-objdump print them, jumps also to labels. Beside them:

  .section NAME                     what follows is in this ELF section (xdp, tc, socket, .text …); default .text
  .license TEXT                     the program's licence; default GPL
  .map NAME TYPE KEY VALUE MAX [F]  a map: type by name (hash, array …), sizes in bytes, entries, flags
  NAME:                             begins a function, unless it begins with L or a dot: then it is a jump's target
  .static                           the next function is a static one
  r1 = NAME ll                      the address of a map, or of a function
  call NAME                         a helper by its name, or a function of this file
  # and // begin comments

Example:

  .map counts array 4 8 1
  .section xdp
  count:
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = counts ll
    call bpf_map_lookup_elem
    if r0 == 0 goto Lpass
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
  Lpass:
    r0 = 2
    exit`,
};

/** `skep asm FILE -o OUT.o`. */
export const asmCommand: Command = {
  fact,
  run: (args) => {
    const path = args.positionals.get('FILE')!;
    const out = args.options.get('-o');
    if (out === undefined) throw new InputError('cli-usage', 'skep asm needs -o OUT.o, the object to write');
    const text = new TextDecoder().decode(readWhole(path));
    const bytes = writeBpfObject(parseAssembly(text, path));
    const temporary = join(dirname(out), `.${basename(out)}.skep-${process.pid}`);
    try {
      writeFileSync(temporary, bytes);
      renameSync(temporary, out);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw fileError(error, 'cli-write', `writing ${out}`);
    }
    return EXIT.ok;
  },
};
