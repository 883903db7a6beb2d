/** Maps as TypeScript sees them: keys and values by their BTF types, on either kernel. */
import { InputError } from '../base/error.ts';
import { type Btf, type BtfTypeId, parseBtf, resolveType } from '../btf/index.ts';
import { type Fd, type Kernel, MAP_UPDATE_FLAGS, type MapInfo, type MapType } from '../sys/index.ts';
import {
  type Codec,
  type CodecOptions,
  compileCodec,
  rawCodec,
  U32_CODEC,
  type ViewValue,
} from './view-codec.ts';
import { prefixCodec } from './view-prefix.ts';

export interface ViewOptions extends CodecOptions {
  /** The types, where the kernel does not know them or other ones are wanted. */
  readonly btf?: Btf;
  readonly keyType?: BtfTypeId;
  readonly valueType?: BtfTypeId;
}

export interface SetOptions {
  /** `noexist`: fails with `EEXIST` where the key is there; `exist`: with `ENOENT` where it is not. Default `any`. */
  readonly when?: 'any' | 'noexist' | 'exist';
  /** The value's `bpf_spin_lock` is held meanwhile. */
  readonly lock?: boolean;
}

const PER_CPU: ReadonlySet<MapType> = new Set<MapType>([
  'percpu_hash',
  'percpu_array',
  'lru_percpu_hash',
  'percpu_cgroup_storage',
]);
const HASHES: ReadonlySet<MapType> = new Set<MapType>(['hash', 'percpu_hash', 'lru_hash', 'lru_percpu_hash']);
const LOOKUP_BATCH: ReadonlySet<MapType> = new Set<MapType>([
  ...HASHES,
  'array',
  'percpu_array',
  'lpm_trie',
  'array_of_maps',
  'hash_of_maps',
]);
const TAKE_BATCH = HASHES;
/** Keyed by a number of 32 bits that has no type: an index, or a file descriptor. */
const NUMBERED: ReadonlySet<MapType> = new Set<MapType>([
  'array',
  'percpu_array',
  'prog_array',
  'perf_event_array',
  'cgroup_array',
  'array_of_maps',
  'devmap',
  'cpumap',
  'xskmap',
  'sockmap',
  'stack_trace',
  'reuseport_sockarray',
  'sk_storage',
  'task_storage',
  'inode_storage',
  'cgrp_storage',
]);
/** Written with a file descriptor, read as an id. */
const OF_FDS: ReadonlySet<MapType> = new Set<MapType>([
  'prog_array',
  'perf_event_array',
  'cgroup_array',
  'array_of_maps',
  'hash_of_maps',
]);
/** Others have no elements of keys and values. */
const KEYLESS: Partial<Readonly<Record<MapType, string>>> = {
  ringbuf: 'openRingBuffer() reads it',
  user_ringbuf: 'openUserRing() writes it',
  arena: 'kernel.os.mmap() shows it',
  queue: 'queueView() has push() and pop()',
  stack: 'queueView() has push() and pop()',
  bloom_filter: 'kernel.bpf.map_update_elem() puts values in, and map_lookup_elem() asks for them',
};

/** Elements that one call brings. */
const BATCH = 256;

/**
 * A map by the types of its keys and values. `V` is an array, with one value for each possible CPU, where the map is per
 * CPU. A view holds nothing: it is good as long as the map's file descriptor is open.
 *
 * What is read and written for which type stands in `view-codec.ts`; a prefix of an LPM trie may be written as
 * `10.0.0.0/8`.
 */
export class MapView<K = ViewValue, V = ViewValue> implements Iterable<[K, V]> {
  readonly kernel: Kernel;
  readonly fd: Fd;
  readonly info: MapInfo;
  readonly perCpu: boolean;
  readonly #key: Codec;
  readonly #value: Codec;
  readonly #name: string;
  /** Batches were refused: the kernel is older than they are (5.6). */
  #noBatches = false;

  constructor(kernel: Kernel, fd: Fd, info: MapInfo, key: Codec, value: Codec) {
    this.kernel = kernel;
    this.fd = fd;
    this.info = info;
    this.perCpu = PER_CPU.has(info.type);
    this.#key = key;
    this.#value = value;
    this.#name = info.name === '' ? `map fd ${fd}` : `map ${info.name}`;
  }

  get name(): string {
    return this.info.name;
  }

  /** The value, or `undefined` where the key is not there. */
  get(key: K): V | undefined {
    const value = this.kernel.bpf.map_lookup_elem({ map_fd: this.fd, key: this.#encodeKey(key) });
    return value && this.#decodeValue(value, 0);
  }

  has(key: K): boolean {
    return this.kernel.bpf.map_lookup_elem({ map_fd: this.fd, key: this.#encodeKey(key) }) !== undefined;
  }

  /** @throws InputError with the errno where the map does not take it: full, read-only, frozen */
  set(key: K, value: V, options: SetOptions = {}): this {
    this.kernel.bpf.map_update_elem({
      map_fd: this.fd,
      key: this.#encodeKey(key),
      value: this.#encodeValue(value),
      flags: flagsOf(options),
    });
    return this;
  }

  /** @returns whether the key was there */
  delete(key: K): boolean {
    try {
      this.kernel.bpf.map_delete_elem({ map_fd: this.fd, key: this.#encodeKey(key) });
      return true;
    } catch (error) {
      if (error instanceof InputError && error.errno === 'ENOENT') return false;
      throw error;
    }
  }

  /** Takes the value out, or `undefined` where the key is not there. Hash maps have this. */
  take(key: K): V | undefined {
    const value = this.kernel.bpf.map_lookup_and_delete_elem({ map_fd: this.fd, key: this.#encodeKey(key) });
    return value && this.#decodeValue(value, 0);
  }

  /** Sets many at once. @returns how many were set before one failed, which is all of them unless it throws */
  setAll(entries: Iterable<readonly [K, V]>, options: Omit<SetOptions, 'when'> = {}): number {
    const all = [...entries];
    if (!this.#batches(LOOKUP_BATCH)) {
      for (const [key, value] of all) this.set(key, value, options);
      return all.length;
    }
    for (let i = 0; i < all.length; i += BATCH) {
      const some = all.slice(i, i + BATCH);
      this.kernel.bpf.map_update_batch({
        map_fd: this.fd,
        count: some.length,
        keys: joined(some.map(([key]) => this.#encodeKey(key))),
        values: joined(some.map(([, value]) => this.#encodeValue(value))),
        elem_flags: flagsOf(options),
      });
    }
    return all.length;
  }

  /** Deletes those of the keys that are there. @returns how many were */
  deleteAll(keys: Iterable<K>): number {
    let count = 0;
    for (const key of keys) if (this.delete(key)) count += 1;
    return count;
  }

  /**
   * Takes all elements out, in batches where the kernel has them: what programs put in meanwhile may be among them, and
   * who stops early loses the rest of a batch. Hash maps have this.
   */
  *drain(): IterableIterator<[K, V]> {
    if (this.#batches(TAKE_BATCH)) {
      yield* this.#walk('map_lookup_and_delete_batch');
      return;
    }
    yield* this.#step(true);
  }

  /** Deletes every element; the elements of an array become zero. */
  clear(): void {
    if (TAKE_BATCH.has(this.info.type)) {
      for (const _ of this.drain());
      return;
    }
    if (this.info.type === 'array' || this.info.type === 'percpu_array') {
      const value = new Uint8Array(this.#valueBytes);
      for (const key of this.#keyBytes()) this.kernel.bpf.map_update_elem({ map_fd: this.fd, key, value });
      return;
    }
    for (const key of [...this.#keyBytes()]) this.kernel.bpf.map_delete_elem({ map_fd: this.fd, key });
  }

  /** How many elements there are, counted. */
  count(): number {
    let count = 0;
    for (const _ of this.#keyBytes()) count += 1;
    return count;
  }

  /**
   * The elements. Those that are put in or deleted meanwhile may be left out or not; in batches none comes twice.
   */
  *entries(): IterableIterator<[K, V]> {
    if (this.#batches(LOOKUP_BATCH)) {
      yield* this.#walk('map_lookup_batch');
      return;
    }
    yield* this.#step(false);
  }

  /** The elements one at a time, which every kernel has. */
  *#step(take: boolean): IterableIterator<[K, V]> {
    const { bpf } = this.kernel;
    for (const key of this.#keyBytes()) {
      const attr = { map_fd: this.fd, key };
      const value = take ? bpf.map_lookup_and_delete_elem(attr) : bpf.map_lookup_elem(attr);
      if (value) yield [this.#decodeKey(key, 0), this.#decodeValue(value, 0)];
    }
  }

  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.entries();
  }

  *keys(): IterableIterator<K> {
    for (const bytes of this.#keyBytes()) yield this.#decodeKey(bytes, 0);
  }

  *values(): IterableIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  /** The elements as plain objects. */
  toArray(): { readonly key: K; readonly value: V }[] {
    return Array.from(this.entries(), ([key, value]) => ({ key, value }));
  }

  #batches(types: ReadonlySet<MapType>): boolean {
    return !this.#noBatches && types.has(this.info.type);
  }

  get #valueBytes(): number {
    if (this.perCpu) return roundUp8(this.info.value_size) * this.kernel.possibleCpus;
    return OF_FDS.has(this.info.type) ? 4 : this.info.value_size;
  }

  *#keyBytes(): IterableIterator<Uint8Array> {
    const { bpf } = this.kernel;
    // A key that is gone leads back to the first: the next one is asked for before anyone can delete this one.
    let key = bpf.map_get_next_key({ map_fd: this.fd });
    while (key) {
      const next = bpf.map_get_next_key({ map_fd: this.fd, key });
      yield key;
      key = next;
    }
  }

  *#walk(command: 'map_lookup_batch' | 'map_lookup_and_delete_batch'): IterableIterator<[K, V]> {
    const { key_size } = this.info;
    let count = Math.min(BATCH, Math.max(this.info.max_entries, 1));
    let in_batch: Uint8Array | undefined;
    for (;;) {
      let batch: ReturnType<Kernel['bpf']['map_lookup_batch']>;
      try {
        batch = this.kernel.bpf[command]({ map_fd: this.fd, count, ...(in_batch && { in_batch }) });
      } catch (error) {
        const errno = error instanceof InputError ? error.errno : undefined;
        if (errno === 'EINVAL' && !in_batch) {
          this.#noBatches = true;
          yield* this.#step(command === 'map_lookup_and_delete_batch');
          return;
        }
        // A bucket of the hash has more than that.
        if (errno !== 'ENOSPC' || count > this.info.max_entries) throw error;
        count *= 2;
        continue;
      }
      const stride = this.#valueBytes;
      for (let i = 0; i < batch.count; i++) {
        yield [this.#decodeKey(batch.keys, i * key_size), this.#decodeValue(batch.values, i * stride)];
      }
      in_batch = batch.out_batch;
      if (!in_batch) return;
    }
  }

  #encodeKey(key: K): Uint8Array {
    return encode(this.#key, key, `${this.#name}: key`);
  }

  #decodeKey(bytes: Uint8Array, offset: number): K {
    return this.#key.read(bytes, viewOf(bytes), offset) as K;
  }

  #encodeValue(value: V): Uint8Array {
    const path = `${this.#name}: value`;
    if (!this.perCpu) return encode(this.#value, fdValue(value), path);
    const { possibleCpus } = this.kernel;
    if (!Array.isArray(value) || value.length !== possibleCpus) {
      const given = Array.isArray(value) ? `${value.length} values` : 'one value';
      throw new InputError(
        'view-value',
        `writing ${path}: it takes an array of ${possibleCpus} values, one for each possible CPU, and ${given} was given`,
        { errno: 'EINVAL' },
      );
    }
    const stride = roundUp8(this.info.value_size);
    const bytes = new Uint8Array(stride * possibleCpus);
    for (const [cpu, item] of value.entries()) {
      this.#value.write(bytes, viewOf(bytes), cpu * stride, item, `${path}[${cpu}]`);
    }
    return bytes;
  }

  #decodeValue(bytes: Uint8Array, offset: number): V {
    const view = viewOf(bytes);
    if (!this.perCpu) return this.#value.read(bytes, view, offset) as V;
    const stride = roundUp8(this.info.value_size);
    return Array.from({ length: this.kernel.possibleCpus }, (_, cpu) =>
      this.#value.read(bytes, view, offset + cpu * stride),
    ) as V;
  }
}

/** A queue's or stack's view. */
export interface QueueView<V = ViewValue> {
  readonly kernel: Kernel;
  readonly fd: Fd;
  readonly info: MapInfo;
  /** Puts a value in. @param over the oldest one makes room where the map is full */
  push(value: V, over?: boolean): void;
  /** Takes a value out, or `undefined` where there is none. */
  pop(): V | undefined;
  /** The value that {@link pop} would take. */
  peek(): V | undefined;
}

/** Views a map: by the types that the kernel has for it, or those that are given. */
export function mapView<K = ViewValue, V = ViewValue>(
  kernel: Kernel,
  map: Fd | { readonly fd: Fd },
  options: ViewOptions = {},
): MapView<K, V> {
  const { fd, info } = mapInfo(kernel, map);
  const other = KEYLESS[info.type];
  if (other !== undefined) {
    throw new InputError('view-map', `viewing map fd ${fd}: a ${info.type} map has no keys; ${other}`, {
      errno: 'EINVAL',
    });
  }
  const types = typesOf(kernel, info, options);
  return new MapView<K, V>(
    kernel,
    fd,
    info,
    keyCodec(info, types, options),
    valueCodec(info, types, options),
  );
}

/** Views a queue or a stack. */
export function queueView<V = ViewValue>(
  kernel: Kernel,
  map: Fd | { readonly fd: Fd },
  options: ViewOptions = {},
): QueueView<V> {
  const { fd, info } = mapInfo(kernel, map);
  if (info.type !== 'queue' && info.type !== 'stack') {
    throw new InputError(
      'view-map',
      `viewing map fd ${fd}: a ${info.type} map is no queue or stack; use mapView()`,
      {
        errno: 'EINVAL',
      },
    );
  }
  const codec = valueCodec(info, typesOf(kernel, info, options), options);
  const decode = (bytes: Uint8Array | undefined) => bytes && (codec.read(bytes, viewOf(bytes), 0) as V);
  return {
    kernel,
    fd,
    info,
    push(value, over = false) {
      const bytes = encode(codec, value, `map ${info.name || `fd ${fd}`}: value`);
      const flags = BigInt(over ? MAP_UPDATE_FLAGS.BPF_EXIST : MAP_UPDATE_FLAGS.BPF_ANY);
      kernel.bpf.map_update_elem({ map_fd: fd, value: bytes, flags });
    },
    pop: () => decode(kernel.bpf.map_lookup_and_delete_elem({ map_fd: fd })),
    peek: () => decode(kernel.bpf.map_lookup_elem({ map_fd: fd })),
  };
}

function mapInfo(kernel: Kernel, map: Fd | { readonly fd: Fd }): { readonly fd: Fd; readonly info: MapInfo } {
  const fd = typeof map === 'object' ? map.fd : map;
  const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
  if (info.kind === 'map') return { fd, info };
  throw new InputError('view-map', `viewing fd ${fd}: it is a ${info.kind}, not a map`, { errno: 'EINVAL' });
}

interface Types {
  readonly btf: Btf | undefined;
  readonly key: BtfTypeId;
  readonly value: BtfTypeId;
}

function typesOf(kernel: Kernel, info: MapInfo, options: ViewOptions): Types {
  if (options.btf) {
    const { btf, keyType = 0, valueType = 0 } = options;
    return { btf, key: keyType as BtfTypeId, value: valueType as BtfTypeId };
  }
  if (info.btf_id === 0) return { btf: undefined, key: 0 as BtfTypeId, value: 0 as BtfTypeId };
  return {
    btf: loadedBtf(kernel, info),
    key: info.btf_key_type_id as BtfTypeId,
    value: info.btf_value_type_id as BtfTypeId,
  };
}

function loadedBtf(kernel: Kernel, { btf_id, name }: MapInfo): Btf {
  const fd = kernel.bpf.btf_get_fd_by_id({ btf_id });
  try {
    const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
    if (info.kind === 'btf') return parseBtf(info.btf, `types of map ${name}`);
    throw new InputError('view-btf', `viewing map ${name}: BTF id ${btf_id} is a ${info.kind}`);
  } finally {
    kernel.closeFd(fd);
  }
}

function keyCodec(info: MapInfo, { btf, key }: Types, options: ViewOptions): Codec {
  if (btf && key !== 0 && resolveType(btf, key).kind !== 'void') {
    const codec = fitting(compileCodec(btf, key, options), info.key_size, info, 'key');
    return info.type === 'lpm_trie' ? prefixCodec(codec) : codec;
  }
  if (NUMBERED.has(info.type) && info.key_size === 4) return U32_CODEC;
  return info.type === 'lpm_trie' ? prefixCodec(rawCodec(info.key_size)) : rawCodec(info.key_size);
}

function valueCodec(info: MapInfo, { btf, value }: Types, options: ViewOptions): Codec {
  if (OF_FDS.has(info.type)) return U32_CODEC;
  if (btf && value !== 0 && resolveType(btf, value).kind !== 'void') {
    return fitting(compileCodec(btf, value, options), info.value_size, info, 'value');
  }
  return rawCodec(info.value_size);
}

function fitting(codec: Codec, size: number, info: MapInfo, what: string): Codec {
  if (codec.size === size) return codec;
  throw new InputError(
    'view-type',
    `viewing map ${info.name}: its ${what} has ${size} bytes, but the type has ${codec.size}`,
    { errno: 'EINVAL' },
  );
}

function encode(codec: Codec, value: unknown, path: string): Uint8Array {
  const bytes = new Uint8Array(codec.size);
  codec.write(bytes, viewOf(bytes), 0, value, path);
  return bytes;
}

/** Programs and maps are put in by their file descriptors. */
function fdValue(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'fd' in value && typeof value.fd === 'number'
    ? value.fd
    : value;
}

function flagsOf({ when = 'any', lock = false }: SetOptions): bigint {
  const { BPF_ANY, BPF_NOEXIST, BPF_EXIST, BPF_F_LOCK } = MAP_UPDATE_FLAGS;
  const flags = { any: BPF_ANY, noexist: BPF_NOEXIST, exist: BPF_EXIST }[when];
  return BigInt(flags | (lock ? BPF_F_LOCK : 0));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const size = parts[0]?.length ?? 0;
  const all = new Uint8Array(size * parts.length);
  for (const [i, part] of parts.entries()) all.set(part, i * size);
  return all;
}

function roundUp8(size: number): number {
  return Math.ceil(size / 8) * 8;
}
