/** Executables and libraries as uprobes see them: where in the file a function is. */
import { InputError } from '../../base/error.ts';
import {
  type ElfFile,
  type ElfSection,
  readElf,
  SECTION_FLAG,
  SECTION_TYPE,
  SYMBOL_TYPE,
} from '../../elf/index.ts';
import type { Kernel } from '../../sys/index.ts';

/** Folders that are searched for a name without a slash, as the dynamic linker and a shell do. */
const LIBRARY_FOLDERS = [
  '/lib/x86_64-linux-gnu',
  '/usr/lib/x86_64-linux-gnu',
  '/lib/aarch64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/lib64',
  '/usr/lib64',
  '/lib',
  '/usr/lib',
  '/usr/local/lib',
] as const;
const PROGRAM_FOLDERS = [
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/bin',
  '/sbin',
  '/bin',
] as const;

/** The path of `libc.so.6` or `bash`. @throws InputError when no usual folder has it */
export function findBinary(kernel: Kernel, name: string): string {
  if (name.includes('/')) return name;
  const folders = /\.so(\.|$)/.test(name) ? LIBRARY_FOLDERS : PROGRAM_FOLDERS;
  for (const folder of folders) {
    if (kernel.files.read_directory(folder)?.some((entry) => entry.name === name)) return `${folder}/${name}`;
  }
  throw new InputError(
    'loader-binary',
    `looking for ${name}: it is in none of ${folders.join(', ')}; give its path`,
    {
      errno: 'ENOENT',
    },
  );
}

/** An executable or library. */
export class Binary {
  readonly path: string;
  readonly elf: ElfFile;

  constructor(kernel: Kernel, path: string) {
    this.path = path;
    const bytes = kernel.files.read_file(path);
    if (!bytes) throw this.#fault('there is no such file', 'ENOENT');
    this.elf = readElf(bytes, path);
  }

  /** Where in the file an address of its own is. */
  offsetOf(address: bigint): bigint {
    const section = this.elf.sections.find((s) => contains(s, address));
    if (!section) throw this.#fault(`no section has the address 0x${address.toString(16)}`, 'ENOENT');
    return address - section.addr + BigInt(section.offset);
  }

  /** Where in the file a function begins. `name@VERSION` names one version. @throws InputError */
  functionOffset(name: string): bigint {
    const offsets = this.functions((candidate) => candidate === name);
    const [first] = offsets;
    if (first === undefined) {
      const stripped = this.elf.symbols.length === 0 ? '; its symbols were stripped' : '';
      throw this.#fault(`it has no function ${name}${stripped}`, 'ENOENT');
    }
    if (new Set(offsets.map(({ offset }) => offset)).size > 1) {
      throw this.#fault(`it has several functions ${name}; give an offset`, 'EEXIST');
    }
    return first.offset;
  }

  /** The functions whose names are accepted. */
  functions(
    accept: (name: string) => boolean,
  ): readonly { readonly name: string; readonly offset: bigint }[] {
    return this.elf.symbols.flatMap((symbol) => {
      if (symbol.type !== SYMBOL_TYPE.func || !accept(symbol.name)) return [];
      const section = this.elf.sections[symbol.section];
      // What is not defined here has no section.
      if (!section || section.type !== SECTION_TYPE.progbits) return [];
      return [{ name: symbol.name, offset: BigInt(symbol.value) - section.addr + BigInt(section.offset) }];
    });
  }

  #fault(reason: string, errno: string): InputError {
    return new InputError('loader-binary', `looking into ${this.path}: ${reason}`, { errno });
  }
}

function contains(section: ElfSection, address: bigint): boolean {
  return (
    (section.flags & SECTION_FLAG.alloc) !== 0 &&
    section.type !== SECTION_TYPE.nobits &&
    address >= section.addr &&
    address < section.addr + BigInt(section.size)
  );
}
