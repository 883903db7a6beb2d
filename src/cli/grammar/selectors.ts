/** PROG, MAP and LINK of a command line: `id N`, `pinned FILE`, `name NAME`, `tag TAG`. */
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { InputError } from '../../base/error.ts';
import { parseBtf } from '../../btf/index.ts';
import type {
  Fd,
  Kernel,
  LinkId,
  LinkInfo,
  MapId,
  MapInfo,
  ObjInfo,
  ProgId,
  ProgInfo,
} from '../../sys/index.ts';
import type { World } from '../world/world.ts';
import type { Call } from './call.ts';
import { attempt, attemptOrErrno, errnoOf, Failed, refusedAs, strerror } from './refusal.ts';
import { isPrefix, parseNumber } from './words.ts';

/** The longest name of a function that BTF can give. */
const NAME_MAX = 127;
/** Names of the kernel's own are cut to this. */
const OBJ_NAME_MAX = 15;

/** What the kernel tells of an object, by its kind. */
export interface InfoOf {
  readonly prog: ProgInfo;
  readonly map: MapInfo;
  readonly link: LinkInfo;
}

export function infoOf<K extends keyof InfoOf>(kernel: Kernel, fd: Fd, what: K): InfoOf[K] {
  const info: ObjInfo = attempt(`can't get ${what} info`, () =>
    kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd }),
  );
  // A descriptor that was opened as an object of a kind is of that kind.
  return info as InfoOf[K];
}

/** A program's whole name: the kernel cuts it to 15 bytes, its BTF may know the rest. */
export function fullName(kernel: Kernel, info: ProgInfo): string {
  const view = new DataView(info.func_info.buffer, info.func_info.byteOffset, info.func_info.byteLength);
  if (info.name.length < OBJ_NAME_MAX || info.btf_id === 0 || view.byteLength < 8) return info.name;
  try {
    const fd = kernel.bpf.btf_get_fd_by_id({ btf_id: info.btf_id });
    try {
      const found = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
      if (found.kind !== 'btf') return info.name;
      const btf = parseBtf(found.btf, 'BTF');
      const type = btf.type(view.getUint32(4, true) as Parameters<typeof btf.type>[0]);
      return type.kind === 'func' ? type.name : info.name;
    } finally {
      kernel.closeFd(fd);
    }
  } catch {
    return info.name;
  }
}

/** Opens what is pinned at a path of the command line. */
export function openPinned(
  call: Call,
  { kernel, files }: World,
  path: string,
  kind: 'prog' | 'map' | 'link',
): Fd {
  const pathname = resolve(call.io.cwd, path);
  let fd: Fd;
  try {
    fd = kernel.bpf.obj_get({ pathname });
  } catch (error) {
    // What is a file of the machine's is none of the embedded kernel's; that it is no pin is said alike.
    const known = errnoOf(error) === 'EACCES' || existsSync(pathname);
    const outside = known && !files.isBpffs(dirname(pathname));
    if (outside) {
      // As bpftool, which then names the folder, where the path has one.
      const named = path.includes('/') ? dirname(path) : path;
      throw refusedAs(`bpf obj get (${named}): directory not in bpf file system (bpffs)`, error);
    }
    throw refusedAs(`bpf obj get (${path}): ${strerror(error)}`, error);
  }
  const found = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd }).kind;
  if (found === kind) return fd;
  kernel.closeFd(fd);
  throw new InputError('cli-selector', `incorrect object type: ${found}`);
}

function takeId(call: Call): number {
  const word = call.words.take();
  const id = parseNumber(word);
  if (id === undefined) throw new InputError('cli-selector', `can't parse ${word} as ID`);
  return id;
}

/** The programs that the next two words select, at least one. */
export function takePrograms(call: Call, world: World): Fd[] {
  const { words } = call;
  const { kernel } = world;
  const word = words.peek();
  if (isPrefix(word, 'id')) {
    words.skip();
    const id = takeId(call) as ProgId;
    return [attempt(`get by id (${id})`, () => kernel.bpf.prog_get_fd_by_id({ prog_id: id }))];
  }
  if (isPrefix(word, 'tag')) {
    words.skip();
    const tag = words.take();
    if (!/^[0-9a-fA-F]{16}/.test(tag)) throw new InputError('cli-selector', "can't parse tag");
    const wanted = tag.slice(0, 16).toLowerCase();
    return found(
      call,
      `program of tag ${tag}`,
      programsWhere(kernel, (info) => hexTag(info.tag) === wanted),
    );
  }
  if (isPrefix(word, 'name')) {
    words.skip();
    const name = words.take();
    if (name.length > NAME_MAX) throw new InputError('cli-selector', "can't parse name");
    return found(
      call,
      `program named ${name}`,
      programsWhere(kernel, (info) => fullName(kernel, info) === name),
    );
  }
  if (isPrefix(word, 'pinned')) {
    words.skip();
    return [openPinned(call, world, words.take(), 'prog')];
  }
  throw new InputError(
    'cli-selector',
    `expected 'id', 'tag', 'name' or 'pinned', got: '${word ?? '(null)'}'?`,
  );
}

/** The one program that the next two words select. */
export function takeProgram(call: Call, world: World): Fd {
  return only(takePrograms(call, world), 'several programs match this handle', world.kernel);
}

/** The maps that the next two words select, at least one. */
export function takeMaps(call: Call, world: World): Fd[] {
  const { words } = call;
  const { kernel } = world;
  const word = words.peek();
  if (isPrefix(word, 'id')) {
    words.skip();
    const id = takeId(call) as MapId;
    return [attempt(`get map by id (${id})`, () => kernel.bpf.map_get_fd_by_id({ map_id: id }))];
  }
  if (isPrefix(word, 'name')) {
    words.skip();
    const name = words.take();
    if (name.length > OBJ_NAME_MAX) throw new InputError('cli-selector', "can't parse name");
    return found(
      call,
      `map named ${name}`,
      mapsWhere(kernel, (info) => info.name === name),
    );
  }
  if (isPrefix(word, 'pinned')) {
    words.skip();
    return [openPinned(call, world, words.take(), 'map')];
  }
  throw new InputError('cli-selector', `expected 'id', 'name' or 'pinned', got: '${word ?? '(null)'}'?`);
}

/** The one map that the next two words select. */
export function takeMap(call: Call, world: World): Fd {
  return only(takeMaps(call, world), 'several maps match this handle', world.kernel);
}

/** The link that the next two words select. */
export function takeLink(call: Call, world: World): Fd {
  const { words } = call;
  const word = words.peek();
  if (isPrefix(word, 'id')) {
    words.skip();
    const id = takeId(call) as LinkId;
    return attemptOrErrno(`failed to get link with ID ${id}`, () =>
      world.kernel.bpf.link_get_fd_by_id({ link_id: id }),
    );
  }
  if (isPrefix(word, 'pinned')) {
    words.skip();
    return openPinned(call, world, words.take(), 'link');
  }
  throw new InputError('cli-selector', `expected 'id' or 'pinned', got: '${word ?? '(null)'}'?`);
}

function only(fds: readonly Fd[], several: string, kernel: Kernel): Fd {
  if (fds.length === 1) return fds[0]!;
  for (const fd of fds) kernel.closeFd(fd);
  throw new InputError('cli-selector', several);
}

/** As bpftool, nothing found is a failure without an error; a note says it all the same. */
function found(call: Call, what: string, fds: Fd[]): Fd[] {
  if (fds.length > 0) return fds;
  call.out.info(`there is no ${what}`);
  throw new Failed();
}

export function hexTag(tag: Uint8Array): string {
  return Array.from(tag, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Every object of a kind, opened; what ends meanwhile is passed over. */
/** An open object, and what the kernel tells of it. */
export interface OpenObject<K extends keyof InfoOf> {
  readonly fd: Fd;
  readonly info: InfoOf[K];
}

export function everyProgram(kernel: Kernel): Iterable<OpenObject<'prog'>> {
  const { bpf } = kernel;
  return every(kernel, 'prog', 'program', {
    next: (start_id) => bpf.prog_get_next_id({ start_id }),
    open: (prog_id) => bpf.prog_get_fd_by_id({ prog_id }),
  });
}

export function everyMap(kernel: Kernel): Iterable<OpenObject<'map'>> {
  const { bpf } = kernel;
  return every(kernel, 'map', 'map', {
    next: (start_id) => bpf.map_get_next_id({ start_id }),
    open: (map_id) => bpf.map_get_fd_by_id({ map_id }),
  });
}

export function everyLink(kernel: Kernel): Iterable<OpenObject<'link'>> {
  const { bpf } = kernel;
  return every(kernel, 'link', 'link', {
    next: (start_id) => bpf.link_get_next_id({ start_id }),
    open: (link_id) => bpf.link_get_fd_by_id({ link_id }),
  });
}

/** Walks ids; objects that go away meanwhile are passed over. */
function* every<K extends keyof InfoOf, Id extends number>(
  kernel: Kernel,
  kind: K,
  name: string,
  calls: { readonly next: (after: number) => Id | undefined; readonly open: (id: Id) => Fd },
): Iterable<OpenObject<K>> {
  for (let last = 0; ; ) {
    const id = attempt(`can't get next ${name}`, () => calls.next(last));
    if (id === undefined) return;
    last = id;
    const fd = openOrGone(`can't get ${kind} by id (${id})`, () => calls.open(id));
    if (fd !== undefined) yield { fd, info: infoOf(kernel, fd, kind) };
  }
}

function openOrGone(what: string, open: () => Fd): Fd | undefined {
  try {
    return open();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    return attempt(what, () => {
      throw error;
    });
  }
}

function programsWhere(kernel: Kernel, fits: (info: ProgInfo) => boolean): Fd[] {
  const fds: Fd[] = [];
  for (const { fd, info } of everyProgram(kernel)) {
    if (fits(info)) fds.push(fd);
    else kernel.closeFd(fd);
  }
  return fds;
}

function mapsWhere(kernel: Kernel, fits: (info: MapInfo) => boolean): Fd[] {
  const fds: Fd[] = [];
  for (const { fd, info } of everyMap(kernel)) {
    if (fits(info)) fds.push(fd);
    else kernel.closeFd(fd);
  }
  return fds;
}
