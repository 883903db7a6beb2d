/**
 * Holds skep's disassembly against llvm-objdump's, instruction by instruction, for every executable section of the
 * given objects, normalised for white space only.
 *
 *     npx tsx scripts/parity-objdump.ts [--dir FOLDER]... [--objdump PROGRAM] [FILE.o ...]
 *
 * Without files: `examples/*.o` and, where present, the objects of Debian's tools (`$SKEP_DEBIAN_OBJECTS` or
 * `corpora/debian`, see fetch-debian-objects.ts). Each object is listed as `--mcpu=v4` prints it and as llvm-objdump
 * prints it without. Prints `figure objdump_percent`; exit code 1 when anything differs or nothing was compared.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type ElfFile, readElf, SECTION_FLAG, SECTION_TYPE, SYMBOL_TYPE } from '../src/elf/index.ts';
import { type LlvmStyle, listing } from '../src/isa/index.ts';

/** LLVM prints numbers in hexadecimal from this version on. */
const HEX_SINCE = 17;
/** LLVM knows `-mcpu=v4` from this version on. */
const V4_SINCE = 18;
/** Differences that are shown. */
const SHOWN = 30;

interface Objdump {
  readonly program: string;
  readonly version: number;
}

interface Mode {
  readonly args: readonly string[];
  readonly style: Partial<LlvmStyle>;
}

/** What one side says about a section: text by slot. */
type Texts = ReadonlyMap<string, string>;

function versionOf(program: string): number | undefined {
  const { stdout, status } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  const match = status === 0 ? /LLVM version (\d+)/.exec(stdout) : null;
  return match === null ? undefined : Number(match[1]);
}

/** The newest llvm-objdump on the PATH. */
function findObjdump(): Objdump | undefined {
  const names = new Set<string>();
  for (const folder of (process.env.PATH ?? '').split(':')) {
    if (!existsSync(folder)) continue;
    for (const name of readdirSync(folder)) if (/^llvm-objdump(-\d+)?$/.test(name)) names.add(name);
  }
  return [...names]
    .map((program) => ({ program, version: versionOf(program) ?? 0 }))
    .toSorted((a, b) => b.version - a.version)
    .find((objdump) => objdump.version > 0);
}

function normalise(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

/** llvm-objdump's text of every instruction, keyed by section and slot. */
function theirs(file: string, objdump: Objdump, mode: Mode): Texts {
  const out = execFileSync(objdump.program, ['-d', '-z', ...mode.args, file], {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const texts = new Map<string, string>();
  const seen = new Map<string, number>();
  let section = '';
  for (const line of out.split('\n')) {
    const head = /^Disassembly of section (.*):$/.exec(line);
    if (head !== null) {
      const nth = seen.get(head[1]!) ?? 0;
      seen.set(head[1]!, nth + 1);
      section = `${head[1]}#${nth}`;
    }
    const insn = /^\s*(\d+):\s+(?:[0-9a-f]{2} ){7,15}[0-9a-f]{2}\s(.*)$/.exec(line);
    if (insn !== null) texts.set(`${section}:${insn[1]}`, normalise(insn[2]!));
  }
  return texts;
}

function ours(elf: ElfFile, mode: Mode): Texts {
  const texts = new Map<string, string>();
  const seen = new Map<string, number>();
  for (const section of elf.sections) {
    if ((section.flags & SECTION_FLAG.execinstr) === 0 || section.type !== SECTION_TYPE.progbits) continue;
    if (section.data.length === 0) continue;
    const symbols = elf.symbols
      .filter((s) => s.section === section.index && s.type !== SYMBOL_TYPE.section)
      .map(({ name, value, type }) => ({ name, offset: value, type }));
    const nth = seen.get(section.name) ?? 0;
    seen.set(section.name, nth + 1);
    const lines = listing(section.data, {
      littleEndian: elf.littleEndian,
      section: section.name,
      symbols,
      style: mode.style,
    });
    for (const { idx, text } of lines) texts.set(`${section.name}#${nth}:${idx}`, normalise(text));
  }
  return texts;
}

function modes(objdump: Objdump): readonly Mode[] {
  const numbers = objdump.version >= HEX_SINCE ? 'hex' : 'decimal';
  const generic: Mode = { args: ['--mcpu=generic'], style: { numbers, alu32: false, pseudo: 'llvm' } };
  if (objdump.version < V4_SINCE) return [generic];
  return [{ args: ['--mcpu=v4'], style: { numbers, alu32: true, pseudo: 'llvm' } }, generic];
}

/** Without 32-bit registers LLVM lists the 32-bit atomics as `<unknown>`, or a fetching one as one that does not. */
function beyondGeneric(mode: Mode, our: string): boolean {
  return !mode.style.alu32 && /atomic_fetch|xchg|lock/.test(our) && /\bw\d/.test(our);
}

function filesIn(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /\.b?o$/.test(name))
    .map((name) => join(folder, name))
    .toSorted();
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { dir: { type: 'string', multiple: true }, objdump: { type: 'string' } },
});
const debian = process.env.SKEP_DEBIAN_OBJECTS ?? join('corpora', 'debian');
const named = [...positionals, ...(values.dir ?? []).flatMap(filesIn)];
const asked = positionals.length > 0 || values.dir !== undefined;
const files = asked ? named : [...filesIn('examples'), ...filesIn(debian)];
const objdump =
  values.objdump === undefined
    ? findObjdump()
    : { program: values.objdump, version: versionOf(values.objdump) ?? 0 };

if (objdump === undefined) {
  console.log('skipped: there is no llvm-objdump on the PATH (Debian: apt-get install llvm)');
} else {
  let compared = 0;
  let equal = 0;
  let shown = 0;
  for (const file of files) {
    const elf = readElf(readFileSync(file), file);
    for (const mode of modes(objdump)) {
      const their = theirs(file, objdump, mode);
      const our = ours(elf, mode);
      for (const key of new Set([...their.keys(), ...our.keys()])) {
        const left = their.get(key) ?? '(not listed)';
        const right = our.get(key) ?? '(not listed)';
        if (beyondGeneric(mode, right)) continue;
        compared++;
        if (left === right) {
          equal++;
        } else if (shown++ < SHOWN) {
          console.log(
            `${file} ${mode.args.join(' ')} ${key}\n  ${objdump.program}: ${left}\n  skep: ${right}`,
          );
        }
      }
    }
  }
  console.log(`${files.length} objects against ${objdump.program} (LLVM ${objdump.version})`);
  console.log(`${equal} of ${compared} listed instructions are equal`);
  const percent = compared === 0 ? 0 : (100 * equal) / compared;
  console.log(
    `figure objdump_percent ${equal === compared ? percent : Math.min(percent, 99.999).toFixed(3)}`,
  );
  if (compared === 0 || equal !== compared) process.exitCode = 1;
}
