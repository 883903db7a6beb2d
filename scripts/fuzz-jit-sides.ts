/** The kernels that the JIT's fuzzer runs its programs on, with the same maps and the same contents in each. */
import { BtfBuilder, type BtfTypeId, INT_SIGNED } from '../src/btf/index.ts';
import { LinuxRing } from '../src/cli/run/linux.ts';
import { assembleLlvm } from '../src/isa/index.ts';
import { createKernel } from '../src/kernel/index.ts';
import { openLinux } from '../src/linux/index.ts';
import type { Fd, Kernel } from '../src/sys/index.ts';
import {
  FUNC_BASE,
  FUNCTIONS,
  FUZZ_MAPS,
  type FuzzMapName,
  type FuzzProgType,
  hopTexts,
  MAP_BASE,
} from './fuzz-jit-generate.ts';
import type { Random } from './fuzz-program.ts';

export type SideName = 'compiled' | 'interpreted' | 'Linux';

/** A program, assembled: with numbers in place of file descriptors and functions. */
export interface FuzzCode {
  readonly type: FuzzProgType;
  readonly bytes: Uint8Array;
  /** Slots where its functions begin. */
  readonly starts: ReadonlyMap<string, number>;
}

export function assemble(type: FuzzProgType, text: string): FuzzCode {
  const { bytes, labels } = assembleLlvm(text);
  return { type, bytes, starts: new Map([...labels].filter(([name]) => FUNCTIONS.includes(name as never))) };
}

/** What the maps hold when a program begins, the same for all sides. */
export interface FuzzContents {
  readonly map: FuzzMapName;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

const LD_IMM64 = 0x18;
const PSEUDO_MAP_FD = 1;
const PSEUDO_FUNC = 4;
const SLOT = 8;

export class Side {
  readonly name: SideName;
  readonly #kernel: Kernel;
  readonly #maps: ReadonlyMap<FuzzMapName, Fd>;
  readonly #btf: Fd;
  readonly #funcs: readonly BtfTypeId[];
  readonly #records: () => Iterable<Uint8Array>;
  /** A prog array holds to the first type of program that uses it. */
  readonly #hops = new Map<FuzzProgType, Fd>();

  /** @param cpu that programs run on; on Linux, the process must be bound to it */
  constructor(name: SideName, cpus: number, cpu: number) {
    this.name = name;
    const embedded =
      name === 'Linux' ? undefined : createKernel({ interpret: name === 'interpreted', cpus, cpu });
    const kernel: Kernel = embedded ?? openLinux();
    this.#kernel = kernel;
    this.#maps = new Map(FUZZ_MAPS.map((attr) => [attr.map_name, this.#kernel.bpf.map_create(attr)]));
    const ring = this.#maps.get('ring')!;
    const linuxRing = embedded
      ? undefined
      : new LinuxRing('ring', ring, FUZZ_MAPS.find(({ map_name }) => map_name === 'ring')!.max_entries);
    this.#records = () => (embedded ? embedded.ringRecords(ring) : linuxRing!.read());
    const { bytes, funcs } = functionTypes();
    this.#btf = this.#kernel.bpf.btf_load({ btf: bytes });
    this.#funcs = funcs;
  }

  load(code: FuzzCode): Fd {
    const infos = FUNCTIONS.flatMap((name, i) => {
      const start = code.starts.get(name);
      return start === undefined ? [] : [{ start, type: this.#funcs[i]! }];
    }).sort((a, b) => a.start - b.start);
    const { fd } = this.#kernel.bpf.prog_load({
      prog_type: code.type,
      insns: this.#place(code),
      license: 'GPL',
      ...(infos.length > 1 && {
        prog_btf_fd: this.#btf,
        func_info: new Uint8Array(Uint32Array.from(infos.flatMap(({ start, type }) => [start, type])).buffer),
        func_info_rec_size: 8,
      }),
    });
    return fd;
  }

  unload(fd: Fd): void {
    this.#kernel.closeFd(fd);
  }

  /** Lets go of the maps. */
  close(): void {
    const fds = new Set([...this.#maps.values(), ...this.#hops.values(), this.#btf]);
    for (const fd of fds) this.#kernel.closeFd(fd);
  }

  /** Puts file descriptors and functions in their places. */
  #place({ type, bytes, starts }: FuzzCode): Uint8Array {
    const placed = bytes.slice();
    const view = new DataView(placed.buffer);
    for (let slot = 0; slot * SLOT < placed.length; slot++) {
      const at = slot * SLOT;
      if (placed[at] !== LD_IMM64) continue;
      const imm = view.getInt32(at + 4, true);
      if (placed[at + 1]! >> 4 === PSEUDO_MAP_FD) {
        if (imm >= FUNC_BASE) {
          placed[at + 1] = (placed[at + 1]! & 15) | (PSEUDO_FUNC << 4);
          view.setInt32(at + 4, starts.get(FUNCTIONS[imm - FUNC_BASE]!)! - slot - 1, true);
        } else view.setInt32(at + 4, this.#mapFd(FUZZ_MAPS[imm - MAP_BASE]!.map_name, type), true);
      }
      slot++;
    }
    return placed;
  }

  #mapFd(name: FuzzMapName, type: FuzzProgType): Fd {
    return name === 'hops' ? this.#hopsOf(type) : this.#maps.get(name)!;
  }

  #hopsOf(type: FuzzProgType): Fd {
    const made = this.#hops.get(type);
    if (made !== undefined) return made;
    const { bpf } = this.#kernel;
    const map_fd =
      this.#hops.size === 0
        ? this.#maps.get('hops')!
        : bpf.map_create(FUZZ_MAPS.find((m) => m.map_name === 'hops')!);
    this.#hops.set(type, map_fd);
    for (const [slot, text] of hopTexts(type).entries()) {
      const fd = this.load(assemble(type, text));
      bpf.map_update_elem({ map_fd, key: u32(slot), value: u32(fd) });
      this.#kernel.closeFd(fd);
    }
    return map_fd;
  }

  /** Empties the maps and fills them anew. */
  fill(contents: readonly FuzzContents[]): void {
    const { bpf } = this.#kernel;
    for (const { map_name, map_type, value_size } of FUZZ_MAPS) {
      const map_fd = this.#maps.get(map_name)!;
      switch (map_type) {
        case 'array':
        case 'percpu_array':
        case 'ringbuf':
        case 'prog_array':
        case 'bloom_filter':
          break;
        case 'queue':
        case 'stack':
          while (bpf.map_lookup_and_delete_elem({ map_fd, value: new Uint8Array(value_size) }));
          break;
        default:
          for (let key = bpf.map_get_next_key({ map_fd }); key; key = bpf.map_get_next_key({ map_fd })) {
            bpf.map_delete_elem({ map_fd, key });
          }
      }
    }
    for (const { map, key, value } of contents) {
      const map_fd = this.#maps.get(map)!;
      bpf.map_update_elem({ map_fd, ...(key.length > 0 && { key }), value });
    }
    for (const _ of this.#records());
  }

  /** Runs it. @returns what it did to all that can be seen, as text */
  run(prog_fd: Fd, data_in: Uint8Array): string {
    const { retval, data_out } = this.#kernel.bpf.prog_test_run({ prog_fd, data_in });
    const records = Array.from(this.#records(), hex);
    return `returns 0x${retval.toString(16)}\npacket ${hex(data_out)}\nring ${records.join(' ')}`;
  }

  /** What is in the maps. Queues and stacks are emptied. */
  contents(): string {
    const { bpf } = this.#kernel;
    const lines: string[] = [];
    for (const { map_name, map_type, value_size } of FUZZ_MAPS) {
      const map_fd = this.#maps.get(map_name)!;
      const found: string[] = [];
      switch (map_type) {
        case 'ringbuf':
        case 'prog_array':
        case 'bloom_filter':
          continue;
        case 'queue':
        case 'stack':
          for (;;) {
            const value = bpf.map_lookup_and_delete_elem({ map_fd, value: new Uint8Array(value_size) });
            if (!value) break;
            found.push(hex(value));
          }
          break;
        default: {
          let key = bpf.map_get_next_key({ map_fd });
          for (; key; key = bpf.map_get_next_key({ map_fd, key })) {
            const value = bpf.map_lookup_elem({ map_fd, key });
            found.push(`${hex(key)}=${value && hex(value)}`);
          }
          found.sort();
        }
      }
      lines.push(`${map_name} ${found.join(' ')}`);
    }
    return lines.join('\n');
  }
}

/** Random contents: a few elements in some of the maps. @param cpus that a per-CPU value has room for */
export function randomContents(random: Random, cpus: number): FuzzContents[] {
  const contents: FuzzContents[] = [];
  const bytes = (count: number) =>
    Uint8Array.from({ length: count }, () => random.pick([0, 0, 1, 127, 128, 255, random.below(256)]));
  for (const { map_name: map, map_type, key_size, value_size, max_entries } of FUZZ_MAPS) {
    if (map_type === 'ringbuf' || map_type === 'prog_array') continue;
    const perCpu = map_type === 'percpu_array' || map_type === 'percpu_hash';
    const value = () => bytes(perCpu ? value_size * cpus : value_size);
    const most = Math.min(max_entries, 6);
    if (map_type === 'array' || map_type === 'percpu_array') {
      for (let i = 0; i < most; i++) contents.push({ map, key: u32(i), value: value() });
    } else if (key_size === 0) {
      const room = map_type === 'bloom_filter' ? (random.chance(0.05) ? 1 : 0) : random.below(most + 1);
      for (let i = 0; i < Math.min(room, max_entries); i++) {
        contents.push({ map, key: new Uint8Array(0), value: new Uint8Array(u64(random.below(16))) });
      }
    } else {
      const keys = new Set<number>();
      for (let i = random.below(Math.min(most, 5)); i > 0; i--) keys.add(random.below(8));
      for (const n of keys) contents.push({ map, key: keyOf(map, n, random), value: value() });
    }
  }
  return contents;
}

/** One of the keys that the programs ask for. */
function keyOf(map: FuzzMapName, n: number, random: Random): Uint8Array {
  if (map === 'wide') return new Uint8Array(BigUint64Array.of(BigInt(n), BigInt(n ^ 5)).buffer);
  if (map !== 'prefixes') return u32(n);
  return new Uint8Array(Uint32Array.of(random.below(33), Math.imul(n, 0x24924925)).buffer);
}

const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
const u64 = (value: number): ArrayBuffer => BigUint64Array.of(BigInt(value)).buffer;

/** A BTF with the functions that programs have; callbacks must be described. */
function functionTypes(): { bytes: Uint8Array; funcs: BtfTypeId[] } {
  const builder = new BtfBuilder();
  const int = builder.add({
    kind: 'int',
    name: 'int',
    size: 4,
    encoding: INT_SIGNED,
    bitOffset: 0,
    bits: 32,
  });
  const proto = builder.add({ kind: 'func_proto', returns: int, params: [] });
  const funcs = FUNCTIONS.map((name, i) =>
    builder.add({ kind: 'func', name, type: proto, linkage: i === 0 ? 'global' : 'static' }),
  );
  return { bytes: builder.encode(), funcs };
}
