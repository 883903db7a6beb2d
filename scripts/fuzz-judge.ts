/** Judges the fuzzer's programs on both verifiers, makes disagreements small, and runs what both accept. */
import { InputError } from '../src/base/error.ts';
import { BtfBuilder, type BtfTypeId, INT_SIGNED } from '../src/btf/index.ts';
import { createKernel } from '../src/kernel/index.ts';
import { ALL_CAPABILITIES, type Capabilities } from '../src/kernel/verifier/index.ts';
import { openLinux } from '../src/linux/index.ts';
import {
  type Fd,
  type Kernel,
  MAP_CREATE_FLAGS,
  type MapCreateAttr,
  type ProgLoadAttr,
} from '../src/sys/index.ts';
import { type Answer, type Judgement, TwoKernels } from './agree-kernels.ts';
import { messageClass, verdictMessage } from './agree-log.ts';
import { capabilityDropper } from './capabilities.ts';
import { MAP, VALUE_SIZE } from './fuzz-generate.ts';
import {
  encodeProgram,
  type FuzzInsn,
  type FuzzPrivilege,
  type FuzzProgram,
  Random,
  replaced,
  without,
} from './fuzz-program.ts';

export type Outcome = 'agree' | 'softer' | 'harder' | 'crash';

const MOST_FUNCTIONS = 16;
const MAPS: readonly MapCreateAttr[] = [
  { map_type: 'hash', key_size: 8, value_size: VALUE_SIZE[MAP.hash]!, max_entries: 64, map_name: 'hash' },
  { map_type: 'array', key_size: 4, value_size: VALUE_SIZE[MAP.array]!, max_entries: 4, map_name: 'array' },
  { map_type: 'array', key_size: 4, value_size: VALUE_SIZE[MAP.single]!, max_entries: 1, map_name: 'single' },
  {
    map_type: 'percpu_array',
    key_size: 4,
    value_size: VALUE_SIZE[MAP.percpu]!,
    max_entries: 2,
    map_name: 'percpu',
  },
  { map_type: 'ringbuf', key_size: 0, value_size: 0, max_entries: 4096, map_name: 'ringbuf' },
  { map_type: 'prog_array', key_size: 4, value_size: 4, max_entries: 4, map_name: 'progs' },
  { map_type: 'lru_hash', key_size: 4, value_size: VALUE_SIZE[MAP.lru]!, max_entries: 64, map_name: 'lru' },
  { map_type: 'array_of_maps', key_size: 4, value_size: 4, max_entries: 2, map_name: 'outer' },
  {
    map_type: 'array',
    key_size: 4,
    value_size: VALUE_SIZE[MAP.readonly]!,
    max_entries: 1,
    map_flags: MAP_CREATE_FLAGS.BPF_F_RDONLY_PROG,
    map_name: 'readonly',
  },
  { map_type: 'queue', key_size: 0, value_size: 8, max_entries: 4, map_name: 'queue' },
];
const INNER: MapCreateAttr = {
  map_type: 'array',
  key_size: 4,
  value_size: VALUE_SIZE[MAP.array]!,
  max_entries: 4,
};

/** What the `careful` may do: nothing that shows them an address. */
const CAREFUL: Capabilities = { bpf: true, netAdmin: true, perfmon: false, sysAdmin: false };
const capabilitiesOf = (privilege: FuzzPrivilege): Capabilities =>
  privilege === 'root' ? ALL_CAPABILITIES : CAREFUL;

/** The fuzzer's maps and BTF in one kernel. */
class World {
  readonly fds: readonly Fd[];
  readonly btf: Fd;
  readonly funcs: readonly BtfTypeId[];
  readonly #kernel: Kernel;
  readonly #extra: Fd[] = [];
  /** A prog array holds to the first type of program that uses it: each type has its own. */
  readonly #progs = new Map<FuzzProgram['type'], Fd>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.fds = MAPS.map((attr) => {
      if (attr.map_type !== 'array_of_maps') return kernel.bpf.map_create(attr);
      const inner = kernel.bpf.map_create(INNER);
      this.#extra.push(inner);
      return kernel.bpf.map_create({ ...attr, inner_map_fd: inner });
    });
    const key = new Uint8Array(4);
    const value = Uint8Array.from({ length: VALUE_SIZE[MAP.readonly]! }, (_, i) => (i * 37) & 255);
    kernel.bpf.map_update_elem({ map_fd: this.fds[MAP.readonly]!, key, value });
    kernel.bpf.map_freeze({ map_fd: this.fds[MAP.readonly]! });
    const { bytes, funcs } = functionTypes();
    this.btf = kernel.bpf.btf_load({ btf: bytes });
    this.funcs = funcs;
  }

  attr(program: FuzzProgram): ProgLoadAttr {
    const { insns, starts } = encodeProgram(program, (map) =>
      map === MAP.progs ? this.#progArray(program.type) : this.fds[map]!,
    );
    const described = starts.length > 1;
    return {
      prog_type: program.type,
      insns,
      license: 'GPL',
      prog_flags: program.flags,
      ...(program.type === 'cgroup_skb' && { expected_attach_type: 'cgroup_inet_ingress' as const }),
      ...(described && {
        prog_btf_fd: this.btf,
        func_info: new Uint8Array(Uint32Array.from(starts.flatMap((s, i) => [s, this.funcs[i]!])).buffer),
        func_info_rec_size: 8,
      }),
    };
  }

  #progArray(type: FuzzProgram['type']): Fd {
    const made = this.#progs.get(type);
    if (made !== undefined) return made;
    const fd = this.#kernel.bpf.map_create(MAPS[MAP.progs]!);
    this.#progs.set(type, fd);
    this.#extra.push(fd);
    return fd;
  }

  close(): void {
    for (const fd of [...this.fds, ...this.#extra, this.btf]) this.#kernel.closeFd(fd);
  }
}

/** A BTF with as many static functions as a program can have. */
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
  const funcs = Array.from({ length: MOST_FUNCTIONS }, (_, i) =>
    builder.add({ kind: 'func', name: `f${i}`, type: proto, linkage: 'static' }),
  );
  return { bytes: builder.encode(), funcs };
}

export interface Verdict {
  readonly outcome: Outcome;
  readonly accepted: boolean;
  /** What tells this disagreement from others. */
  readonly cause: string;
  readonly judgement: Judgement;
}

export class Judge {
  readonly #linux = openLinux();
  readonly #kernels = new TwoKernels(this.#linux);
  readonly #world = new World(this.#kernels);
  readonly #lowered = capabilityDropper(CAREFUL);

  /** @param level of the logs; 0 is fastest */
  judge(program: FuzzProgram, level = 0): Verdict {
    return this.#verdict(this.#world.attr(program), program.privilege, level);
  }

  /** Judges bytes as a program. */
  judgeBytes(program: FuzzProgram, insns: Uint8Array, level = 0): Verdict {
    return this.#verdict({ ...this.#world.attr(program), insns }, program.privilege, level);
  }

  bytes(program: FuzzProgram): Uint8Array {
    return this.#world.attr(program).insns;
  }

  #verdict(attr: ProgLoadAttr, privilege: FuzzPrivilege, level: number): Verdict {
    this.#kernels.manner = {
      logLevel: level,
      capabilities: capabilitiesOf(privilege),
      ...(privilege === 'careful' && this.#lowered && { lowered: this.#lowered }),
    };
    try {
      this.#kernels.closeFd(this.#kernels.bpf.prog_load(attr).fd);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
    const judgement = this.#kernels.judged.splice(0).at(-1)!;
    const { linux, skep } = judgement;
    const outcome: Outcome =
      skep.crash !== undefined
        ? 'crash'
        : skep.accepted === linux.accepted
          ? 'agree'
          : skep.accepted
            ? 'softer'
            : 'harder';
    const words = (answer: Answer): string => messageClass(verdictMessage(answer.log));
    const cause =
      outcome === 'crash'
        ? messageClass(skep.crash!.split('\n')[0]!)
        : outcome === 'softer'
          ? words(linux)
          : words(skep);
    return { outcome, accepted: linux.accepted, cause, judgement };
  }

  /** The smallest program found that still disagrees in the same way. */
  minimise(program: FuzzProgram): FuzzProgram {
    const first = this.judge(program, 1);
    let tries = 0;
    const same = (candidate: FuzzProgram | undefined): candidate is FuzzProgram => {
      if (!candidate || tries++ > 3000) return false;
      const now = this.judge(candidate, 1);
      return now.outcome === first.outcome && now.cause === first.cause;
    };
    let best = program;
    for (let flag = 1; flag < 1 << 10; flag <<= 1) {
      const plain = { ...best, flags: best.flags & ~flag };
      if (best.flags & flag && same(plain)) best = plain;
    }
    for (let changed = true; changed; ) {
      changed = false;
      const all = (): FuzzInsn[] => best.functions.flatMap((f) => f.insns);
      for (let chunk = Math.max(1, all().length >> 1); chunk >= 1; chunk >>= 1) {
        for (let at = 0; at < all().length; ) {
          const candidate = without(best, new Set(all().slice(at, at + chunk)));
          if (same(candidate)) {
            best = candidate;
            changed = true;
          } else at += chunk;
        }
      }
      for (const insn of all()) {
        for (const imm of [0, 1]) {
          if (insn.target || insn.map !== undefined || insn.imm === 0 || insn.imm === imm || insn.op === 0x85)
            continue;
          const candidate = replaced(best, insn, { ...insn, imm });
          if (!same(candidate)) continue;
          best = candidate;
          changed = true;
          break;
        }
        if (changed) break;
      }
    }
    return best;
  }

  /** Runs an accepted program on a random packet in both kernels. @returns what differs, or `undefined` */
  run(program: FuzzProgram, seed: number): string | 'not run' | undefined {
    const random = new Random(seed);
    const packet = Uint8Array.from({ length: 15 + random.below(100) }, () => random.below(256));
    if (random.chance(0.8)) packet.set([8, 0, 0x45], 12);
    using embedded = createKernel({ capabilities: capabilitiesOf(program.privilege) });
    const [ours, theirs] = [
      this.#runIn(embedded, program, packet),
      this.#runIn(this.#linux, program, packet),
    ];
    if (ours === undefined || theirs === undefined) return 'not run';
    return ours === theirs ? undefined : `Linux: ${theirs}\nskep:  ${ours}`;
  }

  #runIn(kernel: Kernel, program: FuzzProgram, packet: Uint8Array): string | undefined {
    const world = new World(kernel);
    try {
      const { fd } = kernel.bpf.prog_load(world.attr(program));
      try {
        const { retval, data_out } = kernel.bpf.prog_test_run({ prog_fd: fd, data_in: packet });
        return JSON.stringify({ retval, packet: hex(data_out), ...this.#contents(kernel, world) });
      } finally {
        kernel.closeFd(fd);
      }
    } catch (error) {
      if (error instanceof InputError) return undefined;
      throw error;
    } finally {
      world.close();
    }
  }

  #contents(kernel: Kernel, world: World): Record<string, string[]> {
    const found: Record<string, string[]> = {};
    for (const map of [MAP.hash, MAP.array, MAP.single, MAP.lru]) {
      const map_fd = world.fds[map]!;
      const rows: string[] = [];
      let key = kernel.bpf.map_get_next_key({ map_fd });
      while (key !== undefined) {
        const value = kernel.bpf.map_lookup_elem({ map_fd, key });
        rows.push(`${hex(key)}=${value ? hex(value) : ''}`);
        key = kernel.bpf.map_get_next_key({ map_fd, key });
      }
      found[MAPS[map]!.map_name!] = rows.toSorted();
    }
    return found;
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
