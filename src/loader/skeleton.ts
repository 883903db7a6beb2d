/**
 * An object as a TypeScript module: what `skep gen skeleton` writes holds the object and its types, and this does the rest.
 *
 * ```ts
 * import { firewall } from './firewall.skel.ts';
 * const open = firewall.open();
 * open.globals.threshold = 100;
 * using loaded = open.load(kernel);
 * loaded.programs.filter.attachXdp('eth0');
 * loaded.maps.rules.set(1, { action: 'DROP' });
 * console.log(loaded.globals.packets);
 * ```
 */
import { InputError } from '../base/error.ts';
import type { Btf } from '../btf/index.ts';
import type { Kernel, MapType } from '../sys/index.ts';
import type { AttachOptions } from './attach/auto.ts';
import type { Link } from './attach/link.ts';
import { type LoadOptions, loadObject } from './load.ts';
import type { LoadedMap } from './map.ts';
import type { LoadedObject } from './object.ts';
import { parseObject } from './parse.ts';
import type { LoadedProgram } from './program.ts';
import type { MapSpec, ObjectSpec } from './spec.ts';
import type { Variable } from './variable.ts';
import { type Codec, compileCodec, rawCodec } from './view-codec.ts';
import { objectQueue, objectView } from './view-object.ts';

/** The types of one object, as the written module declares them. */
export interface SkeletonTypes {
  /** Names of the programs. */
  readonly programs: string;
  /** What each map is seen as: a view, a queue, or the map alone. */
  readonly maps: object;
  /** The global variables and their values. */
  readonly globals: object;
}

/** What a skeleton is made of. */
export interface SkeletonSource {
  /** The object's file, for messages. */
  readonly file: string;
  /** The object, in base64. */
  readonly object: string;
}

/** How a map is seen: `view` by key, `queue`, or not at all where its content is read in another way. */
export function mapShape({ origin, type, keySize }: MapSpec): 'view' | 'queue' | 'map' {
  if (origin !== 'btf' && origin !== 'legacy') return 'map';
  if (type === 'queue' || type === 'stack') return 'queue';
  return keySize === 0 || UNSEEN.has(type) ? 'map' : 'view';
}

const UNSEEN: ReadonlySet<MapType> = new Set<MapType>([
  'ringbuf',
  'user_ringbuf',
  'arena',
  'bloom_filter',
  'perf_event_array',
  'struct_ops',
]);

export class Skeleton<T extends SkeletonTypes> {
  readonly #source: SkeletonSource;

  constructor(source: SkeletonSource) {
    this.#source = source;
  }

  /** The object as it stands, not in a kernel yet: its globals can be set. */
  open(): OpenSkeleton<T> {
    const { file, object } = this.#source;
    return new OpenSkeleton<T>(parseObject(bytesOf(object), file));
  }

  /** Opens and loads. */
  load(kernel: Kernel, options?: LoadOptions): LoadedSkeleton<T> {
    return this.open().load(kernel, options);
  }
}

export class OpenSkeleton<T extends SkeletonTypes> {
  readonly spec: ObjectSpec;
  /** The global variables; constants too can be set here. */
  readonly globals: T['globals'];

  constructor(spec: ObjectSpec) {
    this.spec = spec;
    const variables = [...spec.variables.values()];
    this.globals = properties(variables, (variable) => {
      const codec = codecOf(spec.btf, variable);
      return {
        get: () => read(codec, variable.bytes()),
        set: (value) => variable.set(encoded(codec, value, variable.name)),
      };
    });
  }

  load(kernel: Kernel, options?: LoadOptions): LoadedSkeleton<T> {
    return new LoadedSkeleton<T>(loadObject(kernel, this.spec, options));
  }
}

export class LoadedSkeleton<T extends SkeletonTypes> implements Disposable {
  readonly object: LoadedObject;
  readonly programs: { readonly [P in T['programs']]: LoadedProgram };
  readonly maps: T['maps'];
  /** The global variables as they are now; constants can only be read. */
  readonly globals: T['globals'];

  constructor(object: LoadedObject) {
    this.object = object;
    const { spec } = object;
    this.programs = Object.fromEntries(object.programs) as { readonly [P in T['programs']]: LoadedProgram };
    this.maps = properties([...object.maps.values()], (map) => ({ get: () => seen(object, map) }));
    this.globals = properties([...spec.variables.values()], (variable) => {
      const codec = codecOf(spec.btf, variable);
      return {
        get: () => read(codec, object.readVariable(variable.name)),
        set: (value) => object.writeVariable(variable.name, encoded(codec, value, variable.name)),
      };
    });
  }

  /** Attaches all programs whose section's name says where to, and registers all tables of functions. */
  attach(options?: AttachOptions): ReadonlyMap<string, Link> {
    return this.object.attachAll(options);
  }

  close(): void {
    this.object.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The name by which a map or variable is a property: what can't stand in a name is `_`, and a leading dot is left out. */
export function propertyName(name: string): string {
  return name.replace(/^\./, '').replaceAll(/[^A-Za-z0-9_$]/g, '_');
}

interface Access {
  readonly get: () => unknown;
  readonly set?: (value: unknown) => void;
}

function properties<N extends { readonly name: string }, R>(
  named: readonly N[],
  access: (item: N) => Access,
): R {
  const all: Record<string, PropertyDescriptor> = {};
  for (const item of named) all[propertyName(item.name)] = { enumerable: true, ...access(item) };
  return Object.defineProperties({}, all) as R;
}

function seen(object: LoadedObject, map: LoadedMap): unknown {
  switch (mapShape(map.spec)) {
    case 'view':
      return objectView(object, map.name);
    case 'queue':
      return objectQueue(object, map.name);
    default:
      return map;
  }
}

function codecOf(btf: Btf | undefined, { type, size }: Variable): Codec {
  if (!btf || type === 0) return rawCodec(size);
  const codec = compileCodec(btf, type);
  return codec.size === size ? codec : rawCodec(size);
}

function read(codec: Codec, bytes: Uint8Array): unknown {
  return codec.read(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0);
}

function encoded(codec: Codec, value: unknown, name: string): Uint8Array {
  const bytes = new Uint8Array(codec.size);
  codec.write(bytes, new DataView(bytes.buffer), 0, value, name);
  return bytes;
}

function bytesOf(base64: string): Uint8Array {
  const text = base64.replaceAll(/\s/g, '');
  let binary: string;
  try {
    binary = atob(text);
  } catch (cause) {
    throw new InputError('loader-skeleton', 'the object in the skeleton is not base64; write it anew', {
      cause,
    });
  }
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
