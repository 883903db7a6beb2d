import { spawnSync } from 'node:child_process';
import {
  type Dirent,
  existsSync,
  mkdirSync,
  opendirSync,
  readFileSync,
  rmdirSync,
  statfsSync,
  unlinkSync,
} from 'node:fs';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../../base/error.ts';
import { openLinux } from '../../linux/index.ts';
import { errnoOf } from '../grammar/refusal.ts';
import { parseFdInfo } from './fd-info.ts';
import { linuxOwners } from './owners.ts';
import { followTracePipe } from './trace-pipe.ts';
import type { BpfFiles, World } from './world.ts';

/** @see include/uapi/linux/magic.h */
const BPF_FS_MAGIC = 0xcafe4a11;

/** A failure of the file system that keeps its errno. */
function onDisk<T>(doing: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    const errno = errnoOf(error);
    throw new InputError('cli-bpffs', `${doing}: ${(error as Error).message}`, {
      cause: error,
      ...(errno !== undefined && { errno }),
    });
  }
}

/** Folders that BPF file systems are mounted on, in the order of their mounting. */
function mounts(): string[] {
  return readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type?.startsWith('bpf'))
    .map(([, folder]) =>
      folder!.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8))),
    );
}

/** The oldest first: a BPF file system lists the newest first, and Node's readdir sorts. */
function* walk(folder: string): Iterable<string> {
  const found: Dirent[] = [];
  try {
    const directory = opendirSync(folder);
    for (let entry = directory.readSync(); entry; entry = directory.readSync()) found.unshift(entry);
    directory.closeSync();
  } catch {
    return;
  }
  for (const entry of found) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else yield path;
  }
}

function mount(folder: string): void {
  const run = (args: readonly string[], what: string) => {
    const { status, stderr, error } = spawnSync('mount', args, { encoding: 'utf8' });
    if (status === 0) return;
    const why = error?.message ?? stderr.trim();
    throw new InputError('cli-bpffs', `${what} failed: ${why}`, { errno: 'EPERM' });
  };
  run(['-t', 'bpf', '-o', 'mode=0700', 'bpf', folder], `mount -t bpf bpf ${folder}`);
}

const FILES: BpfFiles = {
  isBpffs: (folder) => {
    try {
      return statfsSync(folder, { bigint: true }).type === BigInt(BPF_FS_MAGIC);
    } catch {
      return false;
    }
  },
  exists: existsSync,
  mount,
  mkdir: (path) => onDisk(`making the folder ${path}`, () => mkdirSync(path, { mode: 0o700 })),
  unlink: (path) => onDisk(`removing ${path}`, () => unlinkSync(path)),
  rmdir: (path) => onDisk(`removing the folder ${path}`, () => rmdirSync(path)),
  walk: function* () {
    for (const folder of mounts()) yield* walk(folder);
  },
};

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** /proc/kallsyms, searched as text: a listing asks for a few of its hundred thousand names. */
class Symbols {
  #text: string | undefined;

  get #all(): string {
    this.#text ??= `\n${read('/proc/kallsyms') ?? ''}\n`;
    return this.#text;
  }

  address(name: string): bigint | undefined {
    const at = this.#all.search(new RegExp(` ${name}[\\t\\n]`));
    if (at < 0) return undefined;
    const line = this.#all.slice(this.#all.lastIndexOf('\n', at) + 1, at);
    const value = BigInt(`0x${line.split(' ')[0]}`);
    return value === 0n ? undefined : value;
  }

  at(address: bigint): string | undefined {
    const start = this.#all.indexOf(`\n${BigInt.asUintN(64, address).toString(16).padStart(16, '0')} `);
    if (start < 0) return undefined;
    return this.#all.slice(start + 1, this.#all.indexOf('\n', start + 1)).split(/[ \t]/)[2];
  }
}

/** The kernel of this machine. @throws InputError when it can't be reached, saying why */
export function linuxWorld(): World {
  const kernel = openLinux();
  const ends = new Set<() => void>();
  const symbols = new Symbols();
  return {
    kernel,
    files: FILES,
    fdInfo: (fd) => parseFdInfo(read(`/proc/self/fdinfo/${fd}`) ?? ''),
    owners: linuxOwners,
    bootedAt: () => BigInt(Date.now()) * 1_000_000n - BigInt(Math.round(uptime() * 1e9)),
    deviceIndex: (name) => kernel.net.device_get({ name })?.ifindex,
    deviceName: (ifindex) => kernel.net.device_get({ ifindex })?.name,
    symbolAddress: (name) => symbols.address(name),
    symbolAt: (address) => symbols.at(address),
    compiledModule: () => undefined,
    trace: (line) => {
      const end = followTracePipe(line);
      ends.add(end);
      return end;
    },
    [Symbol.dispose]: () => {
      for (const end of ends) end();
      kernel.close();
    },
  };
}
