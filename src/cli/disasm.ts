import {
  type ElfFile,
  type ElfSection,
  findSection,
  readBpfElf,
  SECTION_FLAG,
  SECTION_TYPE,
  SYMBOL_TYPE,
} from '../elf/index.ts';
import { listing } from '../isa/listing.ts';
import { SLOT_SIZE } from '../isa/slot.ts';
import { readWhole } from './files.ts';
import { EXIT } from './io.ts';
import { type CommandFact, JSON_OPTION } from './options.ts';
import type { Command } from './registry.ts';

const fact: CommandFact = {
  name: 'disasm',
  about: "list an object's instructions as llvm-objdump -d does",
  positionals: [{ name: 'OBJECT' }],
  options: [
    { name: '--source', about: 'put the C lines before the instructions that come from them (needs BTF)' },
    { name: '--opcodes', about: "show each instruction's bytes" },
    JSON_OPTION,
  ],
  notes: `The text is that of llvm-objdump -d --no-show-raw-insn --mcpu=v4; with --opcodes that of llvm-objdump -d; with
--source that of llvm-objdump -S. --json prints {"file", "sections": [{"name", "instructions": [{"insn", "offset",
"bytes", "text", "target"?, "symbol"?, "source"?: {"file", "line", "column", "text"}, "error"?}]}]}.`,
};

interface SourceLine {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly text: string;
}

/** `skep disasm OBJECT`. */
export const disasmCommand: Command = {
  fact,
  run: async (args, io) => {
    const path = args.positionals.get('OBJECT')!;
    const elf = readBpfElf(readWhole(path), path);
    const json = args.options.has('--json');
    const sources = args.options.has('--source') || json ? await sourceLines(elf) : new Map();
    const sections = elf.sections.filter(holdsCode);
    if (json) io.stdout(`${JSON.stringify(asJson(elf, sections, sources))}\n`);
    else io.stdout(asText(elf, sections, sources, args.options.has('--opcodes')));
    return EXIT.ok;
  },
};

function holdsCode(section: ElfSection): boolean {
  return (
    (section.flags & SECTION_FLAG.execinstr) !== 0 &&
    section.type === SECTION_TYPE.progbits &&
    section.data.length > 0
  );
}

/** Source lines by section name, then by the byte offset that they begin at. */
async function sourceLines(elf: ElfFile): Promise<Sources> {
  const types = findSection(elf, '.BTF');
  const ext = findSection(elf, '.BTF.ext');
  if (types === undefined || ext === undefined) return new Map();
  // Not needed, and so not loaded, for a listing without source.
  const { parseBtf, parseBtfExt } = await import('../btf/index.ts');
  const btf = parseBtf(types.data, `${elf.name}: section .BTF`, undefined, types.offset);
  const parsed = parseBtfExt(ext.data, `${elf.name}: section .BTF.ext`, btf, ext.offset);
  return new Map(
    parsed.lineInfo.map((section) => [
      section.section,
      new Map(section.records.map((record) => [record.insnOffset, record])),
    ]),
  );
}

/** The section's symbols in the order of their places; llvm-objdump knows them all but the section's own. */
function symbolsIn(elf: ElfFile, section: ElfSection) {
  return elf.symbols
    .filter((symbol) => symbol.section === section.index && symbol.type !== SYMBOL_TYPE.section)
    .map(({ name, value, type }) => ({ name, offset: value, type }));
}

/** Where a label stands: the last of the symbols at each place. */
function labels(elf: ElfFile, section: ElfSection): ReadonlyMap<number, string> {
  const sorted = symbolsIn(elf, section)
    .filter(({ name }) => name !== '')
    .toSorted((a, b) => a.offset - b.offset || a.type - b.type || (a.name < b.name ? -1 : 1));
  const found = new Map(sorted.map(({ offset, name }) => [offset, name]));
  if (!found.has(0)) found.set(0, section.name);
  return found;
}

function list(elf: ElfFile, section: ElfSection) {
  return listing(section.data, {
    littleEndian: elf.littleEndian,
    section: section.name,
    symbols: symbolsIn(elf, section),
    style: { pseudo: 'llvm', alu32: true },
  });
}

type Sources = ReadonlyMap<string, ReadonlyMap<number, SourceLine>>;

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

function asText(elf: ElfFile, sections: readonly ElfSection[], sources: Sources, opcodes: boolean): string {
  const out = ['', `${elf.name}:\tfile format elf64-bpf`];
  for (const section of sections) {
    out.push('', `Disassembly of section ${section.name}:`);
    const names = labels(elf, section);
    const lines = sources.get(section.name);
    // A line is repeated unless the instruction right before comes from the same one.
    let above: SourceLine | undefined;
    for (const { idx, bytes, text } of list(elf, section)) {
      const offset = idx * SLOT_SIZE;
      const name = names.get(offset);
      if (name !== undefined) out.push('', `${offset.toString(16).padStart(16, '0')} <${name}>:`);
      const source = lines?.get(offset);
      const again = source?.line === above?.line && source?.file === above?.file;
      if (source !== undefined && source.text !== '' && source.line !== 0 && !again)
        out.push(`; ${source.text}`);
      above = source;
      out.push(`${String(idx).padStart(8)}:\t${opcodes ? `${hex(bytes)}\t` : ''}${text}`);
    }
  }
  return `${out.join('\n')}\n`;
}

function asJson(elf: ElfFile, sections: readonly ElfSection[], sources: Sources): unknown {
  return {
    file: elf.name,
    sections: sections.map((section) => {
      const names = labels(elf, section);
      return {
        name: section.name,
        instructions: list(elf, section).map(({ idx, bytes, text, target, problem }) => {
          const source = sources.get(section.name)?.get(idx * SLOT_SIZE);
          return {
            insn: idx,
            offset: idx * SLOT_SIZE,
            bytes: hex(bytes),
            text,
            target,
            symbol: names.get(idx * SLOT_SIZE),
            source: source && {
              file: source.file,
              line: source.line,
              column: source.column,
              text: source.text,
            },
            error: problem?.problem,
          };
        }),
      };
    }),
  };
}
