import { MAP_CREATE_FLAGS, MAP_UPDATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, at, NULL } from '../memory/index.ts';
import { nextIndex, u32, u32Bytes } from './array.ts';
import {
  type Check,
  checkFlags,
  checkKeySize,
  checkNonZero,
  checkValueSize,
  first,
  refuse,
} from './checks.ts';
import { BpfMap, errno, type MapHost, type MapShape, type Status, type SysValue } from './map.ts';
import {
  ENTRY_SIZE,
  entryBytes,
  entryProgram,
  type RedirectEntry,
  type RedirectMap,
  wantedEntry,
} from './redirect-entry.ts';

/** Entries that Linux has buckets for. */
const MOST_HASHED = 2 ** 31;
/** `BPF_F_BROADCAST` and `BPF_F_EXCLUDE_INGRESS` of `bpf_redirect_map`. */
const REDIRECT_FLAGS = 0x18n;

export const checkDevmap: Check = (shape) =>
  first(
    checkNonZero(shape, 'maxEntries'),
    checkKeySize(shape, 4),
    checkValueSize(shape, 4, 8),
    checkFlags(shape),
    shape.type === 'devmap_hash' && shape.maxEntries > MOST_HASHED
      ? refuse('EINVAL', `max_entries exceeds ${MOST_HASHED}`)
      : undefined,
  );

/** Devices that packets are redirected to. Programs may look at the values but not write them. */
abstract class DeviceMap extends BpfMap implements RedirectMap {
  readonly redirectFlags = REDIRECT_FLAGS;
  protected readonly host: MapHost;
  protected readonly entries = new Map<number, RedirectEntry & { readonly value: Addr }>();

  constructor(host: MapHost, shape: MapShape) {
    super(host, { ...shape, flags: shape.flags | MAP_CREATE_FLAGS.BPF_F_RDONLY_PROG });
    this.host = host;
  }

  hasTarget(key: number): boolean {
    return this.entries.has(key);
  }

  /** The device of a key. */
  device(key: number): RedirectEntry | undefined {
    return this.entries.get(key);
  }

  lookup(key: Addr): Addr {
    return this.entries.get(this.machine.memory.readU32(key))?.value ?? NULL;
  }

  update(_key: Addr, _value: Addr, _flags: number): Status {
    return errno('EINVAL');
  }

  override sysLookup(key: Uint8Array, _flags: number): SysValue {
    const entry = this.entries.get(u32(key));
    return entry ? entryBytes(entry).slice(0, this.shape.valueSize) : errno('ENOENT');
  }

  /** Puts an entry in place of the one that is there. */
  protected set(key: number, bytes: Uint8Array): Status {
    const { number, programFd } = wantedEntry(bytes);
    const program = this.host.hasDevice(number)
      ? entryProgram(this.host, this.shape, programFd)
      : errno('EINVAL');
    if (typeof program === 'number') return program;
    const value = this.place(key);
    if (value === NULL) return errno('ENOMEM');
    program?.hold();
    this.remove(key);
    const entry = { number, program, value };
    this.machine.memory.write(value, entryBytes(entry));
    this.entries.set(key, entry);
    return 0;
  }

  /** Memory for a new value of a key. */
  protected abstract place(key: number): Addr;

  protected remove(key: number): boolean {
    const old = this.entries.get(key);
    if (!old) return false;
    this.entries.delete(key);
    this.machine.grace.after(() => {
      old.program?.release();
      this.vacate(old.value);
    });
    return true;
  }

  /** Nothing points to the value any more. */
  protected abstract vacate(value: Addr): void;

  protected clear(): void {
    for (const key of [...this.entries.keys()]) this.remove(key);
  }
}

/** Devices by index. */
export class Devmap extends DeviceMap {
  readonly #values: Addr;

  constructor(host: MapHost, shape: MapShape) {
    super(host, shape);
    this.#values = host.memory.allocate(shape.maxEntries * ENTRY_SIZE, {
      kind: 'map_value',
      owner: this.label,
      access: 'r',
      cells: { stride: ENTRY_SIZE, offset: 0, size: shape.valueSize },
    });
  }

  protected place(key: number): Addr {
    return at(this.#values, key * ENTRY_SIZE);
  }
  protected vacate(): void {}

  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    if (flags > MAP_UPDATE_FLAGS.BPF_EXIST) return errno('EINVAL');
    const index = u32(key);
    if (index >= this.shape.maxEntries) return errno('E2BIG');
    if (flags === MAP_UPDATE_FLAGS.BPF_NOEXIST) return errno('EEXIST');
    const { number, programFd } = wantedEntry(value);
    if (number !== 0) return this.set(index, value);
    // Device 0 is none.
    if (programFd > 0) return errno('EINVAL');
    this.remove(index);
    return 0;
  }

  delete(key: Addr): Status {
    const index = this.machine.memory.readU32(key);
    if (index >= this.shape.maxEntries) return errno('EINVAL');
    this.remove(index);
    return 0;
  }

  nextKey(key: Uint8Array | undefined): SysValue {
    return nextIndex(key, this.shape.maxEntries);
  }

  override destroy(): void {
    this.clear();
    this.machine.memory.free(this.#values);
    super.destroy();
  }
}

/** Devices by any number, in a hash table whose hash is the number itself. */
export class DevmapHash extends DeviceMap {
  protected place(_key: number): Addr {
    return this.machine.memory.tryAllocate(this.shape.valueSize, {
      kind: 'map_value',
      owner: this.label,
      access: 'r',
    });
  }
  protected vacate(value: Addr): void {
    this.machine.memory.free(value);
  }

  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    if (flags > MAP_UPDATE_FLAGS.BPF_EXIST || wantedEntry(value).number === 0) return errno('EINVAL');
    const number = u32(key);
    const known = this.entries.has(number);
    if (known && flags === MAP_UPDATE_FLAGS.BPF_NOEXIST) return errno('EEXIST');
    const full = !known && this.entries.size >= this.shape.maxEntries;
    // A device that is not there is noticed before the lack of room.
    if (full) return this.#acceptable(value) ? errno('E2BIG') : errno('EINVAL');
    return this.set(number, value);
  }

  #acceptable(value: Uint8Array): boolean {
    const { number, programFd } = wantedEntry(value);
    return this.host.hasDevice(number) && typeof entryProgram(this.host, this.shape, programFd) !== 'number';
  }

  delete(key: Addr): Status {
    return this.remove(this.machine.memory.readU32(key)) ? 0 : errno('ENOENT');
  }

  nextKey(key: Uint8Array | undefined): SysValue {
    const walk = this.#walk();
    const next = walk[key ? walk.indexOf(u32(key)) + 1 : 0];
    return next === undefined ? errno('ENOENT') : u32Bytes(next);
  }

  /** The keys by bucket, in each the last that was put in first. */
  #walk(): number[] {
    const buckets = 2 ** Math.ceil(Math.log2(this.shape.maxEntries));
    return [...this.entries.keys()].reverse().sort((a, b) => (a % buckets) - (b % buckets));
  }

  override destroy(): void {
    this.clear();
    super.destroy();
  }
}
