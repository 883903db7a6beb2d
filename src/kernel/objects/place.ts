/** What a descriptor stands for that a program is attached to: a control group, a network namespace. */
import type { PathFailure } from './bpffs.ts';
import { KernelObject } from './object.ts';

/** A control group of version 2. */
export class Cgroup extends KernelObject<'cgroup'> {
  readonly name: string;
  readonly parent: Cgroup | undefined;
  readonly children = new Map<string, Cgroup>();

  constructor(name: string, parent: Cgroup | undefined) {
    super('cgroup');
    this.name = name;
    this.parent = parent;
  }

  /** Its place among hooks. */
  get place(): string {
    return `cgroup ${this.id}`;
  }

  override releaseUser(): void {}
  override destroy(): void {}
}

/** The one network namespace. */
export class NetNamespace extends KernelObject<'netns'> {
  /** As Linux numbers the first one. */
  readonly ino = 0xf000_0000;
  readonly place = 'netns';

  override releaseUser(): void {}
  override destroy(): void {}
}

/** Where Linux mounts it, alone or beside version 1. */
const ROOTS = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'] as const;

/** The control groups: folders below `/sys/fs/cgroup`. */
export class CgroupTree {
  readonly root: Cgroup;
  #next = 1;

  constructor() {
    this.root = this.#made('', undefined);
  }

  /** Whether the path is inside. */
  has(path: string): boolean {
    return path === '/sys/fs/cgroup' || path.startsWith('/sys/fs/cgroup/');
  }

  get(path: string): Cgroup | undefined {
    let at: Cgroup | undefined = this.root;
    for (const name of namesOf(path)) at = at?.children.get(name);
    return at;
  }

  /** The names below a group. */
  list(path: string): readonly string[] | undefined {
    const group = this.get(path);
    return group && [...group.children.keys()].sort();
  }

  mkdir(path: string): PathFailure | undefined {
    const names = namesOf(path);
    const name = names.pop();
    const parent = this.#at(names);
    if (parent === undefined) return { errno: 'ENOENT', reason: 'a folder above it is not there' };
    if (name === undefined || parent.children.has(name))
      return { errno: 'EEXIST', reason: 'it is there already' };
    parent.children.set(name, this.#made(name, parent));
    return undefined;
  }

  /** @returns the group that is gone, or why it is not */
  rmdir(path: string): Cgroup | PathFailure {
    const group = this.get(path);
    if (group === undefined) return { errno: 'ENOENT', reason: 'there is no such control group' };
    if (group.parent === undefined) return { errno: 'EBUSY', reason: 'the root stays' };
    if (group.children.size > 0) return { errno: 'EBUSY', reason: 'there are groups below it' };
    group.parent.children.delete(group.name);
    return group;
  }

  #at(names: readonly string[]): Cgroup | undefined {
    let at: Cgroup | undefined = this.root;
    for (const name of names) at = at?.children.get(name);
    return at;
  }

  #made(name: string, parent: Cgroup | undefined): Cgroup {
    const group = new Cgroup(name, parent).hold();
    group.id = this.#next++;
    return group;
  }
}

function namesOf(path: string): string[] {
  const root = ROOTS.find((prefix) => path === prefix || path.startsWith(`${prefix}/`)) ?? '';
  const names: string[] = [];
  for (const name of path.slice(root.length).split('/')) {
    if (name === '' || name === '.') continue;
    if (name === '..') names.pop();
    else names.push(name);
  }
  return names;
}
