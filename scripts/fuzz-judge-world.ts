/** The fuzzer's maps and types in one kernel. */
import { InputError } from '../src/base/error.ts';
import { type Btf, BtfBuilder, type BtfTypeId, INT_SIGNED, parseBtf } from '../src/btf/index.ts';
import type { Fd, Kernel, MapCreateAttr, ProgLoadAttr } from '../src/sys/index.ts';
import { MAP, MAP_NAMES, mapOf, type ValueStruct } from './fuzz-generate-maps.ts';
import { encodeProgram, type FuzzProgram } from './fuzz-program.ts';

const MOST_FUNCTIONS = 16;
const MOST_ARGUMENTS = 5;
const INNER: MapCreateAttr = { map_type: 'array', key_size: 4, value_size: 48, max_entries: 4 };

interface Types {
  readonly bytes: Uint8Array;
  readonly statics: readonly BtfTypeId[];
  /** By number of arguments, then by number. */
  readonly globals: readonly (readonly BtfTypeId[])[];
  readonly int: BtfTypeId;
  readonly long: BtfTypeId;
  readonly structs: Readonly<Record<ValueStruct, BtfTypeId>>;
}

/** A BTF with as many functions as a program can have, and the structs of map values. */
function types(): Types {
  const builder = new BtfBuilder();
  const integer = (name: string, size: number): BtfTypeId =>
    builder.add({ kind: 'int', name, size, encoding: INT_SIGNED, bitOffset: 0, bits: 8 * size });
  const int = integer('int', 4);
  const long = integer('long', 8);
  const struct = (name: string, size: number, members: readonly [string, BtfTypeId, number][]): BtfTypeId =>
    builder.add({
      kind: 'struct',
      name,
      size,
      members: members.map(([member, type, at]) => ({ name: member, type, bitOffset: 8 * at, bitSize: 0 })),
      bitfields: false,
    });
  const lock = struct('bpf_spin_lock', 4, [['val', int, 0]]);
  const pair = builder.add({ kind: 'array', type: long, indexType: int, length: 2 });
  const timer = struct('bpf_timer', 16, [['__opaque', pair, 0]]);
  const structs = {
    locked: struct('locked', 24, [
      ['lock', lock, 0],
      ['a', int, 4],
      ['b', long, 8],
      ['c', long, 16],
    ]),
    timed: struct('timed', 24, [
      ['timer', timer, 0],
      ['n', long, 16],
    ]),
    plain: struct('plain', 16, [
      ['a', long, 0],
      ['b', long, 8],
    ]),
  };
  const functions = (name: string, args: number, linkage: 'static' | 'global'): BtfTypeId[] => {
    const params = Array.from({ length: args }, (_, i) => ({ name: `a${i}`, type: i & 1 ? long : int }));
    const type = builder.add({ kind: 'func_proto', returns: int, params });
    return Array.from({ length: MOST_FUNCTIONS }, (_, i) =>
      builder.add({ kind: 'func', name: `${name}${i}`, type, linkage }),
    );
  };
  const statics = functions('f', 0, 'static');
  const globals = Array.from({ length: MOST_ARGUMENTS + 1 }, (_, args) =>
    functions(`g${args}_`, args, 'global'),
  );
  return { bytes: builder.encode(), statics, globals, int, long, structs };
}

const TYPES = types();
const kernelTypes = new WeakMap<Kernel, Btf | undefined>();

function kernelBtf(kernel: Kernel): Btf | undefined {
  if (!kernelTypes.has(kernel)) {
    const bytes = kernel.vmlinuxBtf();
    kernelTypes.set(kernel, bytes && parseBtf(bytes, 'vmlinux'));
  }
  return kernelTypes.get(kernel);
}

/** Makes maps when a program first names them. */
export class World {
  readonly #kernel: Kernel;
  readonly #maps = new Map<number, Fd>();
  #btf: Fd | undefined;
  #inner: Fd | undefined;
  /** Maps that may hold programs stay with the first kind of program that uses them: each kind has its own. */
  readonly #owned = new Map<string, Fd>();
  readonly #kfuncs = new Map<string, number>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  get #types(): Fd {
    this.#btf ??= this.#kernel.bpf.btf_load({ btf: TYPES.bytes });
    return this.#btf;
  }

  attr(program: FuzzProgram): ProgLoadAttr {
    const { insns, starts } = encodeProgram(program, {
      mapFd: (map) => this.#map(map, program),
      kfunc: (name) => this.#kfunc(name),
    });
    const described = starts.length > 1;
    const func = (i: number): BtfTypeId => {
      const { global } = program.functions[i]!;
      return global === undefined ? TYPES.statics[i]! : TYPES.globals[global]![i]!;
    };
    return {
      prog_type: program.type,
      insns,
      license: 'GPL',
      prog_flags: program.flags,
      ...(program.attach && { expected_attach_type: program.attach }),
      ...(described && {
        prog_btf_fd: this.#types,
        func_info: new Uint8Array(Uint32Array.from(starts.flatMap((s, i) => [s, func(i)])).buffer),
        func_info_rec_size: 8,
      }),
    };
  }

  #kfunc(name: string): number {
    let id = this.#kfuncs.get(name);
    if (id === undefined) {
      id = kernelBtf(this.#kernel)?.find(name, 'func') ?? 0;
      this.#kfuncs.set(name, id);
    }
    return id;
  }

  #map(index: number, { type, attach }: FuzzProgram): Fd {
    const owned = OWNED.has(mapOf(index).type);
    const kind = `${index} ${type} ${attach}`;
    const made = owned ? this.#owned.get(kind) : this.#maps.get(index);
    if (made !== undefined) return made;
    const fd = this.#create(index);
    if (owned) this.#owned.set(kind, fd);
    else this.#maps.set(index, fd);
    return fd;
  }

  #create(index: number): Fd {
    const { bpf } = this.#kernel;
    const { type, key, value, entries, flags, struct } = mapOf(index);
    const attr: MapCreateAttr = {
      map_type: type,
      key_size: key,
      value_size: value,
      max_entries: entries,
      map_name: MAP_NAMES[index]!,
      ...(flags !== undefined && { map_flags: flags }),
      ...(struct && {
        btf_fd: this.#types,
        btf_key_type_id: key === 8 ? TYPES.long : TYPES.int,
        btf_value_type_id: TYPES.structs[struct],
      }),
    };
    if (index === MAP.outer) {
      this.#inner = bpf.map_create(INNER);
      const fd = bpf.map_create({ ...attr, inner_map_fd: this.#inner });
      bpf.map_update_elem({ map_fd: fd, key: new Uint8Array(4), value: word(this.#inner) });
      return fd;
    }
    const fd = bpf.map_create(attr);
    if (index === MAP.readonly) {
      const contents = Uint8Array.from({ length: value }, (_, i) => (i * 37) & 255);
      bpf.map_update_elem({ map_fd: fd, key: new Uint8Array(4), value: contents });
      bpf.map_freeze({ map_fd: fd });
    }
    return fd;
  }

  /** @returns the program's fd, or `undefined` when it is refused, or can't be asked */
  load(program: FuzzProgram): Fd | undefined {
    try {
      return this.#kernel.bpf.prog_load(this.attr(program)).fd;
    } catch (error) {
      if (error instanceof InputError) return undefined;
      throw error;
    }
  }

  /** Runs it once. @returns all that can be seen of that, as text */
  run(fd: Fd, program: FuzzProgram, packet: Uint8Array): string | undefined {
    try {
      const { retval, data_out } = this.#kernel.bpf.prog_test_run({ prog_fd: fd, data_in: packet });
      return JSON.stringify({ retval, packet: hex(data_out), ...this.#contents(program) });
    } catch (error) {
      if (error instanceof InputError) return undefined;
      throw error;
    }
  }

  close(fd: Fd): void {
    this.#kernel.closeFd(fd);
  }

  #used(program: FuzzProgram): number[] {
    const used = new Set<number>();
    for (const { insns } of program.functions)
      for (const { map } of insns) if (map !== undefined) used.add(map);
    return [...used];
  }

  #contents(program: FuzzProgram): Record<string, string[]> {
    const found: Record<string, string[]> = {};
    for (const map of this.#used(program)) {
      const map_fd = this.#maps.get(map);
      if (map_fd === undefined) continue;
      if (map === MAP.outer && this.#inner !== undefined)
        found.inner = this.#rows(this.#inner, INNER.max_entries);
      const { type, entries } = mapOf(map);
      if (LISTED.has(type))
        found[MAP_NAMES[map]!] = this.#rows(map_fd, type === 'array' ? entries : undefined);
    }
    return found;
  }

  #rows(map_fd: Fd, entries: number | undefined): string[] {
    const { bpf } = this.#kernel;
    const rows: string[] = [];
    const row = (key: Uint8Array): void => {
      const value = bpf.map_lookup_elem({ map_fd, key });
      rows.push(`${hex(key)}=${value ? hex(value) : ''}`);
    };
    if (entries !== undefined) for (let i = 0; i < entries; i++) row(word(i));
    else {
      for (let key = bpf.map_get_next_key({ map_fd }); key; key = bpf.map_get_next_key({ map_fd, key }))
        row(key);
    }
    return rows.toSorted();
  }

  /** Makes the maps that the program used as they were. */
  reset(program: FuzzProgram): void {
    const { bpf } = this.#kernel;
    for (const map of this.#used(program)) {
      const map_fd = this.#maps.get(map);
      const { type, value, entries } = mapOf(map);
      if (map_fd === undefined || map === MAP.readonly) continue;
      if (type === 'array' && mapOf(map).flags === undefined && mapOf(map).struct === undefined) {
        for (let i = 0; i < entries; i++)
          bpf.map_update_elem({ map_fd, key: word(i), value: new Uint8Array(value) });
        continue;
      }
      // Others are made anew.
      this.#kernel.closeFd(map_fd);
      this.#maps.delete(map);
      if (map === MAP.outer && this.#inner !== undefined) this.#kernel.closeFd(this.#inner);
    }
  }
}

const OWNED: ReadonlySet<string> = new Set(['prog_array', 'devmap', 'cpumap']);
/** Types of maps whose contents are compared. */
const LISTED: ReadonlySet<string> = new Set(['hash', 'array', 'lru_hash', 'lpm_trie']);

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
