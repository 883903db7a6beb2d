import { InputError } from '../../base/error.ts';
import type { Kernel } from '../../sys/index.ts';

/** A name for an address. */
export interface ResolvedSymbol {
  readonly name: string;
  /** Bytes behind the symbol's beginning. */
  readonly offset: bigint;
  /** The module, library or executable that has it; `undefined` for the kernel itself. */
  readonly from: string | undefined;
}

/** `name+0x1c [module]`, as stacks are printed. */
export function formatSymbol(symbol: ResolvedSymbol): string {
  const offset = symbol.offset === 0n ? '' : `+0x${symbol.offset.toString(16)}`;
  return `${symbol.name}${offset}${symbol.from === undefined ? '' : ` [${symbol.from}]`}`;
}

/** The kernel's functions by address (`/proc/kallsyms`), as they were when this was made. */
export class KernelSymbols {
  readonly #addresses: BigUint64Array;
  readonly #names: readonly string[];
  readonly #modules: readonly (string | undefined)[];
  readonly #byName = new Map<string, bigint>();

  /** @throws InputError when the kernel lists none, or hides their addresses from this user */
  constructor(kernel: Kernel) {
    const bytes = kernel.files.read_file('/proc/kallsyms');
    if (!bytes) {
      throw new InputError('loader-symbols', 'reading the kernel symbols: it lists none (/proc/kallsyms)', {
        errno: 'ENOENT',
      });
    }
    const rows: { readonly address: bigint; readonly name: string; readonly module: string | undefined }[] =
      [];
    // Functions and weak ones; data would name addresses that no stack holds.
    const lines = /^([0-9a-f]+) [tTwW] ([^\s]+)(?:\s+\[(.+)\])?$/gm;
    for (const [, address, name, module] of new TextDecoder('latin1').decode(bytes).matchAll(lines)) {
      const value = BigInt(`0x${address}`);
      if (value !== 0n) rows.push({ address: value, name: name!, module });
    }
    if (rows.length === 0) {
      throw new InputError(
        'loader-symbols',
        'reading the kernel symbols: their addresses are hidden from this user (kernel.kptr_restrict, or it lacks CAP_SYSLOG)',
        { errno: 'EPERM' },
      );
    }
    rows.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
    this.#addresses = BigUint64Array.from(rows, (row) => row.address);
    this.#names = rows.map((row) => row.name);
    this.#modules = rows.map((row) => row.module);
    for (const { name, address } of rows) if (!this.#byName.has(name)) this.#byName.set(name, address);
  }

  /** How many there are. */
  get size(): number {
    return this.#names.length;
  }

  /** The function that an address is in. */
  find(address: bigint): ResolvedSymbol | undefined {
    const at = lastNotAbove(this.#addresses, address);
    if (at < 0) return undefined;
    return { name: this.#names[at]!, offset: address - this.#addresses[at]!, from: this.#modules[at] };
  }

  address(name: string): bigint | undefined {
    return this.#byName.get(name);
  }
}

/** The index of the last element that is not above the value; -1 when all are. */
export function lastNotAbove(sorted: BigUint64Array, value: bigint): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
