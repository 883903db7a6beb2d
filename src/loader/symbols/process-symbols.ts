import { InputError } from '../../base/error.ts';
import { type ElfFile, readElf, SECTION_TYPE, SYMBOL_TYPE } from '../../elf/index.ts';
import type { Kernel } from '../../sys/index.ts';
import { lastNotAbove, type ResolvedSymbol } from './kernel-symbols.ts';

/** A file that is mapped into a process. */
interface Mapped {
  readonly start: bigint;
  readonly end: bigint;
  /** Of its first byte, in the file. */
  readonly offset: bigint;
  readonly path: string;
}

/** Functions by where they are in a file, or in memory for what was compiled at run time. */
interface Table {
  readonly starts: BigUint64Array;
  readonly ends: BigUint64Array;
  readonly names: readonly string[];
}

/**
 * The functions of a process by address: those of its executable and libraries, and what a just-in-time compiler wrote
 * into `/tmp/perf-PID.map` (Node does with `--perf-basic-prof`). Its memory is looked at once; {@link refresh} looks again.
 */
export class ProcessSymbols {
  readonly pid: number;
  readonly #kernel: Kernel;
  #mapped: readonly Mapped[] = [];
  #compiled: Table | undefined;
  readonly #tables = new Map<string, Table>();

  /** @throws InputError when there is no such process, or this user may not look at it */
  constructor(kernel: Kernel, pid: number) {
    this.#kernel = kernel;
    this.pid = pid;
    this.refresh();
  }

  /** Reads anew what is mapped where. */
  refresh(): void {
    const bytes = this.#kernel.files.read_file(`/proc/${this.pid}/maps`);
    if (!bytes) {
      throw new InputError(
        'loader-symbols',
        `reading the memory map of process ${this.pid}: there is no such process`,
        {
          errno: 'ESRCH',
        },
      );
    }
    this.#mapped = parseMaps(new TextDecoder().decode(bytes));
    const perf = this.#kernel.files.read_file(`/tmp/perf-${this.pid}.map`);
    this.#compiled = perf && parsePerfMap(new TextDecoder().decode(perf));
  }

  /** The function that an address is in; the file alone where it has no name for it. */
  find(address: bigint): ResolvedSymbol | undefined {
    const mapped = this.#mapped.find(({ start, end }) => address >= start && address < end);
    if (mapped?.path.startsWith('/')) {
      const at = address - mapped.start + mapped.offset;
      const from = mapped.path.slice(mapped.path.lastIndexOf('/') + 1);
      const found = lookUp(this.#table(mapped.path), at);
      return found ? { ...found, from } : { name: `0x${at.toString(16)}`, offset: 0n, from };
    }
    const compiled = this.#compiled && lookUp(this.#compiled, address);
    if (compiled) return { ...compiled, from: undefined };
    return mapped && { name: `0x${address.toString(16)}`, offset: 0n, from: mapped.path || 'memory' };
  }

  #table(path: string): Table {
    const known = this.#tables.get(path);
    if (known) return known;
    // Through the process's own root: a container's paths are not ours.
    const inside =
      this.#kernel.files.read_file(`/proc/${this.pid}/root${path}`) ?? this.#kernel.files.read_file(path);
    let table: Table = { starts: new BigUint64Array(0), ends: new BigUint64Array(0), names: [] };
    if (inside) {
      try {
        table = functionsOf(readElf(inside, path));
      } catch (error) {
        // A file that is mapped need not be an executable.
        if (!(error instanceof InputError)) throw error;
      }
    }
    this.#tables.set(path, table);
    return table;
  }
}

/** `start-end perms offset dev inode path` by line. */
function parseMaps(text: string): readonly Mapped[] {
  return text.split('\n').flatMap((line) => {
    const found = /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \d+\s*(.*)$/.exec(line);
    if (!found) return [];
    const [start, end, offset] = [found[1], found[2], found[3]].map((text) => BigInt(`0x${text}`)) as [
      bigint,
      bigint,
      bigint,
    ];
    return [{ start, end, offset, path: found[4]!.replace(/ \(deleted\)$/, '') }];
  });
}

/** `address size name` by line, in hexadecimal. A later line of an address counts: code is compiled again. */
function parsePerfMap(text: string): Table {
  const rows = text.split('\n').flatMap((line) => {
    const found = /^(?:0x)?([0-9a-f]+) (?:0x)?([0-9a-f]+) (.+)$/.exec(line);
    if (!found) return [];
    const start = BigInt(`0x${found[1]}`);
    return [{ start, end: start + BigInt(`0x${found[2]}`), name: found[3]! }];
  });
  return makeTable([...new Map(rows.map((row) => [row.start, row])).values()]);
}

function functionsOf(elf: ElfFile): Table {
  const rows = elf.symbols.flatMap((symbol) => {
    if (symbol.type !== SYMBOL_TYPE.func || symbol.name === '') return [];
    const section = elf.sections[symbol.section];
    if (!section || section.type !== SECTION_TYPE.progbits) return [];
    const start = BigInt(symbol.value) - section.addr + BigInt(section.offset);
    return [{ start, end: start + BigInt(Math.max(symbol.size, 1)), name: symbol.name }];
  });
  return makeTable(rows);
}

function makeTable(rows: { readonly start: bigint; readonly end: bigint; readonly name: string }[]): Table {
  rows.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  return {
    starts: BigUint64Array.from(rows, (row) => row.start),
    ends: BigUint64Array.from(rows, (row) => row.end),
    names: rows.map((row) => row.name),
  };
}

function lookUp(
  { starts, ends, names }: Table,
  address: bigint,
): { readonly name: string; readonly offset: bigint } | undefined {
  const at = lastNotAbove(starts, address);
  if (at < 0 || address >= ends[at]!) return undefined;
  return { name: names[at]!, offset: address - starts[at]! };
}
