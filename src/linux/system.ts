/** What the real kernel says of itself in /proc and /sys. */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { gunzipSync } from 'node:zlib';

/** The kernel's list of CPUs (`0-3,8`). @returns how many slots a per-CPU value has */
export function countCpus(list: string): number {
  let count = 0;
  for (const range of list.trim().split(',')) {
    const [first, last = first] = range.split('-').map(Number);
    count += (last ?? 0) - (first ?? 0) + 1;
  }
  return count;
}

function read(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

export function possibleCpus(): number {
  const list = read('/sys/devices/system/cpu/possible');
  return list === undefined ? 1 : countCpus(list.toString());
}

/** Facts that do not change while the system runs, read when first asked for. */
export class System {
  readonly release = release();
  #btf: Uint8Array | undefined;
  #config: ReadonlyMap<string, string> | undefined;
  #symbols: ReadonlyMap<string, bigint> | undefined;

  vmlinuxBtf(): Uint8Array | undefined {
    this.#btf ??= read('/sys/kernel/btf/vmlinux');
    return this.#btf;
  }

  kconfig(name: string): string | undefined {
    this.#config ??= parseConfig(this.#configText());
    return this.#config.get(name);
  }

  ksym(name: string): bigint | undefined {
    this.#symbols ??= parseSymbols(read('/proc/kallsyms')?.toString('latin1') ?? '');
    return this.#symbols.get(name);
  }

  #configText(): string {
    const packed = read('/proc/config.gz');
    if (packed !== undefined) return gunzipSync(packed).toString();
    return read(`/boot/config-${this.release}`)?.toString() ?? '';
  }
}

/** `CONFIG_HZ=1000` by line; what is "not set" is a comment there and absent here. */
export function parseConfig(text: string): ReadonlyMap<string, string> {
  const config = new Map<string, string>();
  for (const line of text.split('\n')) {
    const at = line.indexOf('=');
    if (at > 0 && line.startsWith('CONFIG_')) config.set(line.slice(0, at), line.slice(at + 1));
  }
  return config;
}

/** `ffffffff81000000 T _stext` by line. The first of a name counts; an address that is hidden reads as zero and is left out. */
export function parseSymbols(text: string): ReadonlyMap<string, bigint> {
  const symbols = new Map<string, bigint>();
  for (const [, address, name] of text.matchAll(/^([0-9a-f]+) \S (\S+)/gm)) {
    if (address === undefined || name === undefined || symbols.has(name)) continue;
    const value = BigInt(`0x${address}`);
    if (value !== 0n) symbols.set(name, value);
  }
  return symbols;
}
