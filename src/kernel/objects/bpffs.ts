/**
 * The BPF file system: pinned objects and directories, in memory, mounted at `/sys/fs/bpf`. Paths are absolute. What
 * is above the mount is there, but is no BPF file system.
 */
import type { Errno } from '../../sys/errno.ts';
import type { KernelObject } from './object.ts';

/** Where it is mounted. */
export const BPFFS_ROOT = '/sys/fs/bpf';

const PATH_MAX = 4096;
const NAME_MAX = 255;

interface Directory {
  readonly kind: 'directory';
  readonly entries: Map<string, Inode>;
}
interface Pin {
  readonly kind: 'pin';
  readonly object: KernelObject;
}
type Inode = Directory | Pin;

/** Why a path leads nowhere. */
export interface PathFailure {
  readonly errno: Errno;
  readonly reason: string;
}

/** One entry of a listing. */
export interface BpffsEntry {
  readonly name: string;
  /** Absent for a directory. */
  readonly object?: KernelObject;
}

type Place = { readonly parent: Directory; readonly name: string; readonly found: Inode | undefined };
type Walk = Place | PathFailure;

export class Bpffs {
  readonly #root: Directory = { kind: 'directory', entries: new Map() };

  /** Pins an object, which must have been held for it; nothing is held where a failure is returned. */
  pin(path: string, object: KernelObject): PathFailure | undefined {
    const place = this.#placeForNew(path);
    if ('errno' in place) return place;
    place.parent.entries.set(place.name, { kind: 'pin', object: object.holdAsUser() });
    return undefined;
  }

  get(path: string): KernelObject | PathFailure {
    const place = this.#walk(path);
    if ('errno' in place) {
      return place.errno === 'EPERM' && !inside(path) ? failure('EACCES', 'it is no BPF object') : place;
    }
    if (!place.found) return failure('ENOENT', 'there is nothing of that name');
    if (place.found.kind === 'directory') return failure('EACCES', 'it is a directory, not a pinned object');
    if (path.endsWith('/')) return failure('ENOTDIR', 'it is a pinned object, not a directory');
    return place.found.object;
  }

  mkdir(path: string): PathFailure | undefined {
    const place = this.#placeForNew(path.replace(/\/+$/, ''));
    if ('errno' in place) return place;
    place.parent.entries.set(place.name, { kind: 'directory', entries: new Map() });
    return undefined;
  }

  /** Removes a pin. */
  unlink(path: string): PathFailure | undefined {
    const place = this.#walk(path);
    if ('errno' in place) return place;
    if (!place.found) return failure('ENOENT', 'there is nothing of that name');
    if (place.found.kind === 'directory') return failure('EISDIR', 'it is a directory');
    place.parent.entries.delete(place.name);
    place.found.object.releaseAsUser();
    return undefined;
  }

  /** Removes an empty directory. */
  rmdir(path: string): PathFailure | undefined {
    const place = this.#walk(path);
    if ('errno' in place) return place;
    if (!place.found) return failure('ENOENT', 'there is nothing of that name');
    if (place.found.kind === 'pin') return failure('ENOTDIR', 'it is a pinned object, not a directory');
    if (place.found === this.#root) return failure('EBUSY', 'the file system is mounted there');
    if (place.found.entries.size > 0) return failure('ENOTEMPTY', 'the directory is not empty');
    place.parent.entries.delete(place.name);
    return undefined;
  }

  /** The entries of a directory, in the order of their names. */
  list(path: string): readonly BpffsEntry[] | PathFailure {
    const place = this.#walk(path);
    if ('errno' in place) return place;
    if (!place.found) return failure('ENOENT', 'there is nothing of that name');
    if (place.found.kind === 'pin') return failure('ENOTDIR', 'it is a pinned object, not a directory');
    return [...place.found.entries]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inode]) => (inode.kind === 'pin' ? { name, object: inode.object } : { name }));
  }

  /** The paths of all pins, in each folder in the order of their making. */
  *pins(): Iterable<string> {
    function* walk(folder: Directory, path: string): Iterable<string> {
      for (const [name, inode] of folder.entries) {
        if (inode.kind === 'pin') yield `${path}/${name}`;
        else yield* walk(inode, `${path}/${name}`);
      }
    }
    yield* walk(this.#root, BPFFS_ROOT);
  }

  /** Lets go of all pins. */
  clear(): void {
    const empty = ({ entries }: Directory) => {
      for (const inode of entries.values()) {
        if (inode.kind === 'pin') inode.object.releaseAsUser();
        else empty(inode);
      }
      entries.clear();
    };
    empty(this.#root);
  }

  #placeForNew(path: string): Place | PathFailure {
    const last = path.slice(path.lastIndexOf('/') + 1);
    if (last === '.' || last === '..') return failure('EEXIST', 'the path names a directory');
    const place = this.#walk(path);
    if ('errno' in place) return place;
    if (place.found) return failure('EEXIST', 'something of that name is there already');
    if (path.endsWith('/')) return failure('ENOENT', 'a path that ends in / names a directory');
    return place;
  }

  /** The last component's place. */
  #walk(path: string): Walk {
    if (path.length >= PATH_MAX) return failure('ENAMETOOLONG', `a path has at most ${PATH_MAX - 1} bytes`);
    if (!path.startsWith('/')) return failure('ENOENT', 'the path must be absolute');
    const names: string[] = [];
    for (const name of path.split('/')) {
      if (name === '' || name === '.') continue;
      if (name === '..') names.pop();
      else names.push(name);
    }
    const root = BPFFS_ROOT.slice(1).split('/');
    for (const [i, name] of root.entries()) {
      if (i === names.length) return failure('EEXIST', `only ${BPFFS_ROOT} is a BPF file system`);
      if (names[i] === name) continue;
      const last = i === names.length - 1;
      return last
        ? failure('EPERM', `it is not in ${BPFFS_ROOT}, the BPF file system`)
        : failure('ENOENT', `/${names.slice(0, i + 1).join('/')} is not there; pins are in ${BPFFS_ROOT}`);
    }
    return this.#walkInside(names.slice(root.length));
  }

  #walkInside(names: readonly string[]): Walk {
    let parent = this.#root;
    if (names.length === 0) return { parent, name: '', found: parent };
    for (const [i, name] of names.entries()) {
      if (name.length > NAME_MAX) return failure('ENAMETOOLONG', `a name has at most ${NAME_MAX} bytes`);
      const found = parent.entries.get(name);
      if (!found && name.includes('.')) {
        return failure('EPERM', `'${name}' has a dot, and the BPF file system keeps those names for itself`);
      }
      if (i === names.length - 1) return { parent, name, found };
      if (!found) return failure('ENOENT', `the directory '${name}' is not there`);
      if (found.kind === 'pin') return failure('ENOTDIR', `'${name}' is a pinned object, not a directory`);
      parent = found;
    }
    return failure('ENOENT', 'the path is empty');
  }
}

function inside(path: string): boolean {
  return path === BPFFS_ROOT || path.startsWith(`${BPFFS_ROOT}/`);
}

function failure(errno: Errno, reason: string): PathFailure {
  return { errno, reason };
}
