/** `show` of programs, maps and links: of those that are selected, or of all. */
import type { Fd, Kernel } from '../../sys/index.ts';
import type { Owner } from '../world/owners.ts';
import type { World } from '../world/world.ts';
import type { Call } from './call.ts';
import type { JsonWriter } from './json-writer.ts';
import { pinnedPaths } from './pins.ts';
import { type InfoOf, infoOf, type OpenObject } from './selectors.ts';
import { unexpected } from './words.ts';

/** An object, and what is said of it beside what the kernel tells. */
export interface Listed<K extends keyof InfoOf> extends OpenObject<K> {
  /** Paths that it is pinned at; `undefined` where nothing is to be said of pins. */
  readonly pinned: readonly string[] | undefined;
  /** Processes that have it open. */
  readonly owners: readonly Owner[] | undefined;
}

export interface Listing<K extends keyof InfoOf> {
  readonly kind: K;
  /** Opens what the next two words select. */
  readonly select: (call: Call, world: World) => readonly Fd[];
  readonly all: (kernel: Kernel) => Iterable<OpenObject<K>>;
  readonly show: (call: Call, world: World, object: Listed<K>) => void;
}

/** Reads `[OBJECT]`, and shows it, or all. */
export async function list<K extends keyof InfoOf>(
  call: Call,
  { kind, select, all, show }: Listing<K>,
): Promise<void> {
  const { words, out, flags } = call;
  const world = await call.world();
  const { kernel } = world;
  const pinned = flags.bpffs ? pinnedPaths(world, kind) : undefined;
  // Before anything is opened for the listing's sake.
  const owners = world.owners(kind);
  const showOne = (object: OpenObject<K>) => {
    // As bpftool: where nothing at all is pinned, nothing is said of pins.
    const paths = pinned === undefined || pinned.size === 0 ? undefined : (pinned.get(object.info.id) ?? []);
    show(call, world, { ...object, pinned: paths, owners: owners.get(object.info.id) });
  };
  if (words.left === 2) {
    const fds = select(call, world);
    const several = fds.length > 1;
    if (several) out.json?.startArray();
    for (const fd of fds) showOne({ fd, info: infoOf(kernel, fd, kind) });
    if (several) out.json?.endArray();
    return;
  }
  const extra = words.peek();
  if (extra !== undefined) throw unexpected(extra);
  out.json?.startArray();
  try {
    for (const object of all(kernel)) {
      showOne(object);
      kernel.closeFd(object.fd);
    }
  } finally {
    out.json?.endArray();
  }
}

export function pinnedJson(json: JsonWriter, pinned: Listed<keyof InfoOf>['pinned']): void {
  if (pinned === undefined) return;
  json.name('pinned').startArray();
  for (const path of pinned) json.value(path);
  json.endArray();
}

export function pinnedText(pinned: Listed<keyof InfoOf>['pinned'] = []): string {
  return pinned.map((path) => `\n\tpinned ${path}`).join('');
}
