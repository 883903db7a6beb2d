import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { InputError } from '../../base/error.ts';
import { parseBtf } from '../../btf/index.ts';
import {
  type Link,
  type LoadedObject,
  type LoadedProgram,
  type LoadOptions,
  loadObject,
  type MapSpec,
  type ObjectSpec,
  type ProgramOptions,
  parseObject,
  parseSectionName,
  SECTIONS,
} from '../../loader/index.ts';
import type { Fd, Kernel, ProgType } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { makeFolderForPins, mountForPin } from '../grammar/pins.ts';
import { errnoOf, Failed, refusedAs } from '../grammar/refusal.ts';
import { takeMap } from '../grammar/selectors.ts';
import { takeDevice } from '../map/create.ts';
import { nearest } from '../options.ts';
import type { World } from '../world/world.ts';

/** A map to be used in place of the object's. */
interface Replacement {
  readonly name?: string;
  readonly index?: number;
  readonly fd: Fd;
}

interface Wanted {
  readonly file: string;
  readonly path: string;
  /** As a section is named: `xdp`, `cgroup/skb`. */
  type: string | undefined;
  readonly maps: Replacement[];
  pinMaps: string | undefined;
  autoAttach: boolean;
  types: string | undefined;
  device: { readonly ifindex: number; readonly metadataOnly: boolean } | undefined;
}

/** `prog load OBJ PATH …`: the object is loaded, its first program pinned. */
export const loadFirst = (call: Call): Promise<void> =>
  call.flags.useLoader ? loadAndLeave(call) : load(call, true);
/** `prog loadall OBJ DIR …`. */
export const loadAll = (call: Call): Promise<void> => load(call, false);

/** `-L`: what a loader program would do. Nothing is pinned, so nothing stays. */
async function loadAndLeave(call: Call): Promise<void> {
  const { words } = call;
  words.need(1);
  const file = words.take();
  if (call.flags.sign) {
    throw new InputError(
      'cli-sign',
      `${file} can't be signed: a signature is of a loader program, and skep loads without one; leave -S, -k and -i out`,
      { errno: 'EOPNOTSUPP' },
    );
  }
  const world = await call.world();
  const object = open(call, world, openObject(call, file), {});
  object.close();
}

async function load(call: Call, first: boolean): Promise<void> {
  const { words, out } = call;
  words.need(2);
  const wanted: Wanted = {
    file: words.take(),
    path: words.take(),
    type: undefined,
    maps: [],
    pinMaps: undefined,
    autoAttach: false,
    types: undefined,
    device: undefined,
  };
  const world = await call.world();
  while (words.left > 0) takeOption(call, world, wanted);
  const spec = openObject(call, wanted.file);
  const options = loadOptions(call, spec, wanted);
  const object = open(call, world, spec, options);
  const pins = new Pins(call, world);
  try {
    if (first) mountForPin(call, world, wanted.path);
    if (first) pinFirst(call, object, wanted, pins);
    else pinAll(call, object, wanted, pins);
    if (wanted.pinMaps !== undefined) pinMaps(object, wanted.pinMaps, pins);
  } catch (error) {
    pins.undo();
    throw error;
  } finally {
    object.close();
  }
  out.done();
}

const OPTIONS = ['type', 'map', 'offload_dev', 'xdpmeta_dev', 'pinmaps', 'autoattach', 'kernel_btf'] as const;

function takeOption(call: Call, world: World, wanted: Wanted): void {
  const { words } = call;
  if (words.accept('type')) {
    if (wanted.type !== undefined) throw new InputError('cli-prog', 'program type already specified');
    words.need(1);
    wanted.type = words.take();
    sectionOf(call, wanted.type);
  } else if (words.accept('map')) wanted.maps.push(takeReplacement(call, world));
  else if (takeOffload(call, world, wanted)) return;
  else if (words.accept('pinmaps')) {
    words.need(1);
    wanted.pinMaps = words.take();
  } else if (words.accept('autoattach')) wanted.autoAttach = true;
  else if (words.accept('kernel_btf')) {
    words.need(1);
    wanted.types = words.take();
  } else {
    const near = words.near(OPTIONS);
    throw new InputError(
      'cli-prog',
      `expected no more arguments, ${OPTIONS.slice(0, -1)
        .map((word) => `'${word}'`)
        .join(', ')}, or '${OPTIONS.at(-1)}', got: '${words.take()}'?`,
      near === '' ? {} : { detail: near },
    );
  }
}

/** The device that a program is to run in, or whose metadata it is to read. */
function takeOffload(call: Call, world: World, wanted: Wanted): boolean {
  const { words, out } = call;
  let metadataOnly = false;
  if (words.accept('dev')) {
    out.info(`Warning: 'skep prog load [...] dev <ifname>' syntax is deprecated.
Going further, please use 'offload_dev <ifname>' to offload program to device.
For applications using XDP hints only, use 'xdpmeta_dev <ifname>'.`);
  } else if (words.accept('xdpmeta_dev')) metadataOnly = true;
  else if (!words.accept('offload_dev')) return false;
  if (wanted.device !== undefined) {
    const again = wanted.device.metadataOnly === metadataOnly;
    throw new InputError(
      'cli-prog',
      again
        ? `${metadataOnly ? 'xdpmeta_dev' : 'offload_dev'} already specified`
        : 'xdpmeta_dev and offload_dev are mutually exclusive',
    );
  }
  words.need(1);
  wanted.device = { ifindex: takeDevice(words, world), metadataOnly };
  return true;
}

function takeReplacement(call: Call, world: World): Replacement {
  const { words } = call;
  words.need(4);
  if (words.accept('idx')) {
    const word = words.peek() ?? '';
    if (!/^(0[xX][0-9a-fA-F]+|\d+)$/.test(word)) {
      throw new InputError('cli-prog', `can't parse ${word} as IDX`);
    }
    words.skip();
    return { index: Number(word), fd: takeMap(call, world) };
  }
  if (words.accept('name')) {
    const name = words.take();
    return { name, fd: takeMap(call, world) };
  }
  throw new InputError('cli-prog', `expected 'idx' or 'name', got: '${words.peek()}'?`);
}

/** What a type's name means. As bpftool, a name that means nothing is a failure without an error. */
function sectionOf({ out }: Call, name: string) {
  const found = parseSectionName(name).def ?? parseSectionName(`${name}/`).def;
  if (found !== undefined) return found;
  const names = SECTIONS.map(({ section }) => section.replace(/[+]$/, ''));
  const near = nearest(name, names);
  out.info(
    `failed to guess program type from '${name}'${near === undefined ? `; there are: ${names.join(' ')}` : `; did you mean '${near}'?`}`,
  );
  throw new Failed();
}

function openObject(call: Call, file: string): ObjectSpec {
  try {
    const spec = parseObject(readFileSync(resolve(call.io.cwd, file)), file);
    if (spec.littleEndian) return spec;
    throw new InputError(
      'cli-prog',
      `${file}: the object is big-endian, the kernel is not; compile with --target=bpfel`,
      { errno: 'EINVAL' },
    );
  } catch (error) {
    if (!(error instanceof InputError) && errnoOf(error) === undefined) throw error;
    throw refusedAs('failed to open object file', error);
  }
}

function loadOptions(call: Call, spec: ObjectSpec, wanted: Wanted): LoadOptions {
  const program: Record<string, ProgramOptions> = {};
  for (const { name, section, type } of spec.programs.values()) {
    if (wanted.type === undefined && type === undefined) sectionOf(call, section);
    const found = wanted.type === undefined ? undefined : sectionOf(call, wanted.type);
    program[name] = {
      ...(found && { type: found.type }),
      ...(found?.attach !== undefined && { attach: found.attach }),
      ...onDevice(wanted, found?.type ?? type),
    };
  }
  return {
    program,
    reuseMaps: reused(spec, wanted.maps),
    ...(call.flags.debug && { logLevel: 7 }),
    ...(wanted.types !== undefined && {
      btf: parseBtf(readFileSync(resolve(call.io.cwd, wanted.types)), wanted.types),
    }),
  };
}

/** Only XDP reads metadata: other programs go where the device's own would. */
function onDevice({ device }: Wanted, type: ProgType | undefined): ProgramOptions {
  if (device === undefined) return {};
  if (!device.metadataOnly) return { ifindex: device.ifindex };
  return type === 'xdp' ? { ifindex: device.ifindex, metadataOnly: true } : {};
}

/** libbpf's order: the object's own maps, then those of its global data. */
const ORDER: readonly MapSpec['origin'][] = ['legacy', 'btf', 'data', 'kconfig', 'struct_ops'];

function reused(spec: ObjectSpec, replacements: readonly Replacement[]): Record<string, Fd> {
  const maps = [...spec.maps.values()].toSorted((a, b) => ORDER.indexOf(a.origin) - ORDER.indexOf(b.origin));
  const found: Record<string, Fd> = {};
  for (const { name, index, fd } of replacements) {
    const map = name === undefined ? maps[index!] : maps.find((candidate) => candidate.name === name);
    if (map === undefined) {
      throw new InputError(
        'cli-prog',
        name === undefined ? `map idx '${index}' not used` : `unable to find map '${name}'`,
        { detail: `the object's maps are: ${maps.map((each) => each.name).join(', ') || 'none'}` },
      );
    }
    if (Object.hasOwn(found, map.name)) {
      throw new InputError(
        'cli-prog',
        `replacement for map idx ${maps.indexOf(map)} specified more than once`,
      );
    }
    found[map.name] = fd;
  }
  return found;
}

function open(call: Call, { kernel }: World, spec: ObjectSpec, options: LoadOptions): LoadedObject {
  try {
    const object = loadObject(kernel, spec, options);
    bindData(kernel, object);
    if (call.flags.debug) {
      for (const { name, log } of object.programs.values()) call.out.info(`-- program ${name} --\n${log}`);
    }
    return object;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw refusedAs('failed to load object file', error);
  }
}

/** Binds read-only data to the programs that don't use it, as libbpf does: it may hold metadata about them. */
function bindData({ bpf }: Kernel, object: LoadedObject): void {
  for (const { fd: map_fd, spec } of object.maps.values()) {
    if (spec.origin !== 'data' || !spec.name.startsWith('.rodata')) continue;
    for (const { fd: prog_fd } of object.programs.values()) {
      try {
        bpf.prog_bind_map({ prog_fd, map_fd });
      } catch (error) {
        // An old kernel can't; nothing hangs on it.
        if (!(error instanceof InputError)) throw error;
      }
    }
  }
}

/** Pins made so far, to be taken back where a later one fails. */
class Pins {
  readonly #call: Call;
  readonly #world: World;
  readonly #made: string[] = [];
  readonly #folders: string[] = [];

  constructor(call: Call, world: World) {
    this.#call = call;
    this.#world = world;
  }

  pin(fd: Fd, path: string): void {
    const pathname = resolve(this.#call.io.cwd, path);
    this.#world.kernel.bpf.obj_pin({ bpf_fd: fd, pathname });
    this.#made.push(pathname);
  }

  pinLink(link: Link, path: string): void {
    const pathname = resolve(this.#call.io.cwd, path);
    link.pin(pathname);
    this.#made.push(pathname);
  }

  /** A folder for pins; one that is there will do. */
  folder(path: string): void {
    if (makeFolderForPins(this.#call, this.#world, path))
      this.#folders.push(resolve(this.#call.io.cwd, path));
  }

  undo(): void {
    for (const path of this.#made.reverse()) this.#world.files.unlink(path);
    for (const path of this.#folders.reverse()) this.#world.files.rmdir(path);
  }
}

/** Pins a program, or the link that it is attached by. */
function pinProgram(
  { out }: Call,
  object: LoadedObject,
  program: LoadedProgram,
  path: string,
  attach: boolean,
  pins: Pins,
): void {
  if (!attach) {
    pins.pin(program.fd, path);
    return;
  }
  const known = parseSectionName(program.spec.section);
  if (!known.def?.auto) {
    out.info(`Program ${program.name} does not support autoattach, falling back to pinning`);
    pins.pin(program.fd, path);
    return;
  }
  pins.pinLink(object.attach(program.name), path);
}

function pinFirst(call: Call, object: LoadedObject, wanted: Wanted, pins: Pins): void {
  const [program] = object.programs.values();
  if (program === undefined) {
    throw new InputError('cli-prog', "object file doesn't contain any bpf program");
  }
  try {
    pinProgram(call, object, program, wanted.path, wanted.autoAttach, pins);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw refusedAs(`failed to pin program ${program.spec.section}`, error);
  }
}

function pinAll(call: Call, object: LoadedObject, wanted: Wanted, pins: Pins): void {
  pins.folder(wanted.path);
  try {
    for (const program of object.programs.values()) {
      pinProgram(call, object, program, `${wanted.path}/${program.name}`, wanted.autoAttach, pins);
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw refusedAs('failed to pin all programs', error);
  }
}

/** In a BPF file system, names have no dots. */
const pinName = (name: string): string => name.replaceAll('.', '_');

function pinMaps(object: LoadedObject, folder: string, pins: Pins): void {
  pins.folder(folder);
  try {
    for (const { fd, spec } of object.maps.values()) {
      pins.pin(
        fd,
        `${folder}/${pinName(spec.origin === 'data' || spec.origin === 'kconfig' ? spec.kernelName : spec.name)}`,
      );
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw refusedAs('failed to pin all maps', error);
  }
}
