/** Which processes have an object of the kernel open. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A process that has an object open. */
export interface Owner {
  readonly pid: number;
  /** Its name, as the kernel shows it. */
  readonly comm: string;
}

/** Kinds of objects that processes have open. */
export type OwnedKind = 'prog' | 'map' | 'link' | 'btf';

/** Owners by the object's id, the lowest process id first; each process once. */
export type Owners = ReadonlyMap<number, readonly Owner[]>;

/** What a file descriptor of that kind leads to, and what its fdinfo calls the id. */
const FILES = {
  prog: { target: /^anon_inode:bpf-prog$/, id: /^prog_id:\s*([0-9]+)$/m },
  map: { target: /^anon_inode:bpf-map$/, id: /^map_id:\s*([0-9]+)$/m },
  // Before Linux 5.8 it was bpf-link.
  link: { target: /^anon_inode:bpf[-_]link$/, id: /^link_id:\s*([0-9]+)$/m },
  btf: { target: /^anon_inode:btf$/, id: /^btf_id:\s*([0-9]+)$/m },
} as const satisfies Record<OwnedKind, { readonly target: RegExp; readonly id: RegExp }>;

/**
 * Asks Linux's processes. Those that this one may not look into are left out: without privilege that is all of other users.
 * Nothing is loaded into the kernel for it, so it works without BPF's iterators, and what is listed does not change.
 */
export function linuxOwners(kind: OwnedKind): Owners {
  const owners = new OwnerTable();
  for (const pid of numbers('/proc')) {
    const ids = new Set<number>();
    for (const fd of numbers(`/proc/${pid}/fd`)) {
      const id = heldBy(pid, fd, kind);
      if (id !== undefined) ids.add(id);
    }
    if (ids.size === 0) continue;
    const comm = (read(`/proc/${pid}/comm`) ?? '').trimEnd();
    for (const id of ids) owners.add(id, { pid, comm });
  }
  return owners.all;
}

/** Owners while they are being found. */
export class OwnerTable {
  readonly #found = new Map<number, Owner[]>();

  get all(): Owners {
    return this.#found;
  }

  add(id: number, owner: Owner): void {
    const known = this.#found.get(id);
    if (!known) this.#found.set(id, [owner]);
    else if (!known.some(({ pid }) => pid === owner.pid)) {
      known.push(owner);
      known.sort((a, b) => a.pid - b.pid);
    }
  }
}

/** The entries of a folder that are numbers, from low to high. */
function numbers(folder: string): number[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^[0-9]+$/.test(name))
      .map(Number)
      .sort((a, b) => a - b);
  } catch {
    // The process ended, or is not ours to look into.
    return [];
  }
}

function heldBy(pid: number, fd: number, kind: OwnedKind): number | undefined {
  const { target, id } = FILES[kind];
  try {
    if (!target.test(readlinkSync(`/proc/${pid}/fd/${fd}`))) return undefined;
  } catch {
    return undefined;
  }
  const found = id.exec(read(`/proc/${pid}/fdinfo/${fd}`) ?? '');
  return found ? Number(found[1]) : undefined;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
