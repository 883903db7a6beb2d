/**
 * Calls of helpers with arguments at the edges of what they take, in all types of programs that BPF_PROG_TEST_RUN runs, on
 * both kernels: what each call answers, what it leaves in memory, in the packet, the context and the maps must be the same.
 * The embedded kernel runs each program twice, compiled and interpreted.
 *
 *     taskset -c 0 npm run fuzz:helpers [-- --programs N] [--seed N] [--show N] [--helper REGEX]
 *
 * The number of the processor is the same where the process stays on the first.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { InputError } from '../src/base/error.ts';
import { parseBtf } from '../src/btf/index.ts';
import { assembleLlvm } from '../src/isa/index.ts';
import { takesMapType } from '../src/kernel/helpers/map-types.ts';
import { prototype } from '../src/kernel/helpers/prototypes.ts';
import type { Arg } from '../src/kernel/helpers/prototypes-arg.ts';
import { helperState } from '../src/kernel/helpers/states.ts';
import { createKernel } from '../src/kernel/index.ts';
import { helpersOf } from '../src/kernel/programs/index.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import {
  type Fd,
  type Helper,
  helperId,
  type Kernel,
  MAP_CREATE_FLAGS,
  type MapCreateAttr,
  type ProgType,
} from '../src/sys/index.ts';

const { values } = parseArgs({
  options: {
    programs: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    show: { type: 'string', default: '20' },
    /** Helpers whose name matches, at least one in each program. */
    helper: { type: 'string', default: '.' },
  },
});

const TYPES: readonly ProgType[] = [
  'sched_cls',
  'xdp',
  'syscall',
  'socket_filter',
  'cgroup_skb',
  'lwt_in',
  'lwt_out',
  'lwt_xmit',
  'raw_tracepoint',
];
const RETURNS: Readonly<Partial<Record<ProgType, number>>> = { cgroup_skb: 1, xdp: 2 };

/** Their answers depend on the machine, or on what the process does beside; some would end it. */
const ELSEWHERE: ReadonlySet<Helper> = new Set<Helper>([
  'ktime_get_ns',
  'ktime_get_boot_ns',
  'ktime_get_coarse_ns',
  'ktime_get_tai_ns',
  'jiffies64',
  'get_prandom_u32',
  'get_current_task',
  'get_current_task_btf',
  'get_current_cgroup_id',
  'get_current_ancestor_cgroup_id',
  'get_ns_current_pid_tgid',
  'get_stack',
  'get_stackid',
  'get_task_stack',
  'send_signal',
  'send_signal_thread',
  'sys_bpf',
  'sys_close',
  'kallsyms_lookup_name',
  'fib_lookup',
  'get_hash_recalc',
  'get_netns_cookie',
  'trace_printk',
  'trace_vprintk',
  'tail_call',
  'tcp_raw_gen_syncookie_ipv4',
  'tcp_raw_gen_syncookie_ipv6',
]);

const RDONLY = MAP_CREATE_FLAGS.BPF_F_RDONLY_PROG;
const ENTRIES = 4;
/** Bytes of the results: answers, then the buffers. */
const ANSWERS = 64;
const BUFFER = 256;
/** The first is for the results, the second has strings, the others are for the helpers. */
const MAPS: readonly MapCreateAttr[] = [
  { map_type: 'array', key_size: 4, value_size: ANSWERS + BUFFER, max_entries: 1 },
  { map_type: 'array', key_size: 4, value_size: 1024, max_entries: 1, map_flags: RDONLY },
  { map_type: 'array', key_size: 4, value_size: 16, max_entries: ENTRIES },
  { map_type: 'hash', key_size: 4, value_size: 16, max_entries: ENTRIES },
  { map_type: 'percpu_array', key_size: 4, value_size: 16, max_entries: ENTRIES },
  { map_type: 'lru_hash', key_size: 4, value_size: 16, max_entries: ENTRIES },
  { map_type: 'lpm_trie', key_size: 8, value_size: 16, max_entries: ENTRIES, map_flags: 1 },
  { map_type: 'queue', key_size: 0, value_size: 16, max_entries: ENTRIES },
  { map_type: 'stack', key_size: 0, value_size: 16, max_entries: ENTRIES },
  { map_type: 'bloom_filter', key_size: 0, value_size: 16, max_entries: ENTRIES },
  { map_type: 'ringbuf', key_size: 0, value_size: 0, max_entries: 4096 },
  { map_type: 'perf_event_array', key_size: 4, value_size: 4, max_entries: ENTRIES },
  { map_type: 'devmap', key_size: 4, value_size: 4, max_entries: ENTRIES },
  { map_type: 'cpumap', key_size: 4, value_size: 4, max_entries: ENTRIES },
];
/** Texts by 32 bytes: formats, numbers, names. */
const STRINGS = [
  '%d %u %x',
  '%lld|%llx|%llu',
  '%5d|%-5d|%05d',
  '%+d % d',
  '%c%c%c',
  '%%',
  '%llx%u',
  '%i %X %08x',
  '%-20d',
  '%pI4 %pI6',
  '%px',
  'plain',
  '',
  '%hd',
  '%lu %zu %ld',
  'héllo',
  '%d%',
  '%d %d %d %d %d',
  '[%20pI4] %d',
  '%pI6%d %lld',
  '%px|%20px|%-20px|',
  '% 5d|%+5d|%-+5d|% 05d',
  '%5c|%-5c|%c',
  '%pi4|%pi6|%x',
];
const SLOT = 32;

const EDGES: readonly bigint[] = [
  0n,
  1n,
  2n,
  3n,
  4n,
  5n,
  7n,
  8n,
  10n,
  12n,
  13n,
  14n,
  15n,
  16n,
  17n,
  18n,
  20n,
  24n,
  28n,
  32n,
  33n,
  34n,
  36n,
  40n,
  42n,
  44n,
  50n,
  54n,
  59n,
  60n,
  61n,
  64n,
  100n,
  128n,
  192n,
  255n,
  256n,
  257n,
  320n,
  1000n,
  1280n,
  1500n,
  3000n,
  4095n,
  4096n,
  0x0800n,
  0x86ddn,
  0x8100n,
  0xa888n,
  0xdd86n,
  0x0008n,
  0xfffn,
  0x1000n,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x10000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_fff0n,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x7fff_ffff_ffff_ffffn,
  1n << 63n,
  (1n << 64n) - 1n,
  (1n << 64n) - 4n,
  (1n << 64n) - 14n,
  (1n << 64n) - 20n,
  (1n << 64n) - 40n,
];
/** Where nothing is. */
const ADDRESSES: readonly bigint[] = [
  0n,
  1n,
  8n,
  1n << 47n,
  0xffff_8000_0000_0000n,
  (1n << 64n) - 1n,
  (1n << 64n) - 4096n,
  1n << 63n,
  0xffff_ffff_ff60_0000n,
];
const SIZES = [0, 1, 2, 3, 4, 6, 8, 12, 14, 16, 20, 24, 28, 32, 40, 44, 48, 64, 100, 128];

/**
 * Kernel functions on strings: P is a pointer, which may lead nowhere, N a count, C a character. All program types that
 * kernel functions are for may call them.
 */
const STRING_KFUNCS: Readonly<Record<string, string>> = {
  bpf_strcmp: 'PP',
  bpf_strcasecmp: 'PP',
  bpf_strchr: 'PC',
  bpf_strchrnul: 'PC',
  bpf_strnchr: 'PNC',
  bpf_strrchr: 'PC',
  bpf_strlen: 'P',
  bpf_strnlen: 'PN',
  bpf_strspn: 'PP',
  bpf_strcspn: 'PP',
  bpf_strstr: 'PP',
  bpf_strnstr: 'PPN',
};
/** Stands before the id of a kernel function until the call is marked as one. */
const KFUNC_BASE = 0x4000_0000;
const LETTERS = [0x61, 0x62, 0x41, 0x42, 0x61, 0x20, 0x00, 0xe9];
const COUNTS: readonly bigint[] = [
  0n,
  1n,
  2n,
  3n,
  8n,
  100n,
  65_535n,
  65_536n,
  65_537n,
  1n << 32n,
  (1n << 64n) - 1n,
];

type Random = (below: number) => number;

function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)]!;
/** What of bits helpers take as flags. */
const flags = (random: Random): bigint => BigInt(random(2) === 0 ? 1 << random(12) : random(256));

const SIMPLE: ReadonlySet<Arg['kind']> = new Set<Arg['kind']>([
  'anything',
  'ctx',
  'const_map_ptr',
  'map_key',
  'map_value',
  'mem',
  'const_size',
  'const_size_or_zero',
  'const_str',
]);

const named = new RegExp(values.helper);
const candidates = new Map<ProgType, readonly Helper[]>(
  TYPES.map((type) => {
    const all = [...helpersOf({ type, caps: new Set(['sys_admin']), attach: undefined })];
    const able = all.filter(
      (name) =>
        helperState(name).state === 'implemented' &&
        !ELSEWHERE.has(name) &&
        prototype(name, type).args.every(({ kind }) => SIMPLE.has(kind)),
    );
    return [type, able];
  }),
);

/** Instructions that put the arguments of a call in place; `undefined` where there is no map for it. */
function argumentsOf(random: Random, helper: Helper, args: readonly Arg[]): string[] | undefined {
  const lines: string[] = [];
  const maps = MAPS.map(({ map_type }, i) => ({ map_type, i })).filter(
    ({ map_type, i }) => i >= 2 && takesMapType(helper, map_type as never),
  );
  const map = maps.length > 0 ? pick(random, maps) : undefined;
  for (const [i, { kind, nullable, size }] of args.entries()) {
    const reg = `r${i + 1}`;
    const buffer = () => lines.push(`${reg} = r10`, `${reg} += -${BUFFER - 8 * random(8)}`);
    if (nullable && random(6) === 0) {
      lines.push(`${reg} = 0`);
      continue;
    }
    switch (kind) {
      case 'ctx':
        lines.push(`${reg} = r6`);
        break;
      case 'const_map_ptr':
        if (!map) return undefined;
        lines.push(`${reg} = map[id:${map.i}]`);
        break;
      case 'map_key':
        // Keys are small numbers, of which there are some beside the buffers.
        lines.push(`${reg} = r10`, `${reg} += -${BUFFER + 8 + 8 * random(4)}`);
        break;
      case 'map_value':
      case 'mem':
        if (size === undefined) buffer();
        else lines.push(`${reg} = r10`, `${reg} += -${BUFFER - 8 * random(8)}`);
        break;
      case 'const_size':
      case 'const_size_or_zero': {
        const before = lines.at(-1);
        const least = kind === 'const_size' ? 1 : 0;
        const wanted = Math.max(pick(random, SIZES), least);
        lines.push(`${reg} = ${before === `r${i} = 0` ? 0 : wanted}`);
        break;
      }
      case 'const_str':
        lines.push(`${reg} = map[id:1][0]+${SLOT * random(STRINGS.length)}`);
        break;
      default: {
        // Low addresses are user space's on Linux, and the kernel's own memory here.
        const address = helper.startsWith('probe_read') || helper === 'copy_from_user';
        const value = address
          ? pick(random, ADDRESSES)
          : random(3) === 0
            ? flags(random)
            : pick(random, EDGES);
        lines.push(`${reg} = ${BigInt.asIntN(64, value)} ll`);
      }
    }
  }
  return lines;
}

/** A call of a kernel function on strings. */
function stringCall(random: Random): { readonly name: string; readonly lines: string[] } {
  const name = pick(random, Object.keys(STRING_KFUNCS));
  const lines = [...STRING_KFUNCS[name]!].flatMap((kind, i) => {
    const reg = `r${i + 1}`;
    if (kind === 'C') return [`${reg} = ${pick(random, LETTERS)}`];
    if (kind === 'N') return [`${reg} = ${BigInt.asIntN(64, pick(random, COUNTS))} ll`];
    if (random(12) === 0) return [`${reg} = ${BigInt.asIntN(64, pick(random, ADDRESSES))} ll`];
    return [`${reg} = r10`, `${reg} += -${BUFFER - random(64)}`];
  });
  return { name, lines };
}

/** Marks the calls of kernel functions. */
function markKfuncs(insns: Uint8Array): void {
  const view = new DataView(insns.buffer, insns.byteOffset, insns.length);
  for (let at = 0; at < insns.length; at += 8) {
    if (insns[at] === 0x85 && view.getInt32(at + 4, true) >= KFUNC_BASE) {
      insns[at + 1] = 0x20;
      view.setInt32(at + 4, view.getInt32(at + 4, true) - KFUNC_BASE, true);
    }
    if (insns[at] === 0x18) at += 8;
  }
}

interface Program {
  readonly type: ProgType;
  readonly text: string;
  readonly calls: readonly string[];
}

/** Eight characters. */
function letters(random: Random): bigint {
  let value = 0n;
  for (let i = 0; i < 8; i++) value = (value << 8n) | BigInt(pick(random, LETTERS));
  return value;
}

function generate(random: Random): Program | undefined {
  const type = pick(random, TYPES);
  const able = candidates.get(type)!;
  const wanted = able.filter((name) => named.test(name));
  const strings = random(4) === 0 && named.test('bpf_str') && type !== 'raw_tracepoint';
  if (wanted.length === 0 && !strings) return undefined;
  const lines = ['r6 = r1'];
  for (let at = 8; at <= BUFFER; at += 8) {
    const value =
      random(3) === 0 ? 0n : strings ? letters(random) : pick(random, EDGES) * BigInt(1 + random(1 << 16));
    lines.push(`r1 = ${BigInt.asIntN(64, value)} ll`, `*(u64 *)(r10 - ${at}) = r1`);
  }
  for (let i = 0; i < 4; i++) lines.push(`*(u64 *)(r10 - ${BUFFER + 8 + 8 * i}) = ${i === 3 ? 9 : i}`);
  const count = 1 + random(4);
  const calls: string[] = [];
  for (let i = 0; i < 8; i++) lines.push(`*(u64 *)(r10 - ${BUFFER + 40 + 8 * i}) = 0`);
  for (let i = 0; i < count; i++) {
    if (strings) {
      const { name, lines: made } = stringCall(random);
      lines.push(...made, `call ${name}`, 'w0 = w0', `*(u64 *)(r10 - ${BUFFER + 40 + 8 * i}) = r0`);
      calls.push(`${name}(${made.join('; ')})`);
      continue;
    }
    const helper = pick(random, i === 0 || random(2) === 0 ? wanted : able);
    const made = argumentsOf(random, helper, prototype(helper, type).args);
    if (!made) return undefined;
    const { ret } = prototype(helper, type);
    lines.push(...made, `call ${helper}`);
    calls.push(`${helper}(${made.join('; ')})`);
    // Addresses are this kernel's own: whether there is one is all that can be compared.
    if (ret.endsWith('or_null')) lines.push(`if r0 == 0 goto none${i}`, 'r0 = 1', `none${i}:`);
    if (ret !== 'void') lines.push(`*(u64 *)(r10 - ${BUFFER + 40 + 8 * i}) = r0`);
  }
  lines.push(`*(u32 *)(r10 - ${BUFFER + 8}) = 0`, 'r1 = map[id:0]', 'r2 = r10', `r2 += -${BUFFER + 8}`);
  lines.push('call map_lookup_elem', 'if r0 == 0 goto out');
  for (let i = 0; i < 8; i++)
    lines.push(`r1 = *(u64 *)(r10 - ${BUFFER + 40 + 8 * i})`, `*(u64 *)(r0 + ${8 * i}) = r1`);
  for (let at = 0; at < BUFFER; at += 8)
    lines.push(`r1 = *(u64 *)(r10 - ${BUFFER - at})`, `*(u64 *)(r0 + ${ANSWERS + at}) = r1`);
  lines.push('out:', `r0 = ${RETURNS[type] ?? 0}`, 'exit');
  return { type, text: lines.join('\n'), calls };
}

/** A packet of some protocol, as its headers say, or not. */
function packet(random: Random): Uint8Array {
  const bytes = new Uint8Array(pick(random, [14, 34, 54, 60, 60, 60, 64, 100, 300, 1500]));
  for (let i = 14; i < bytes.length; i++) bytes[i] = random(256);
  const type = pick(random, [0x0800, 0x0800, 0x0800, 0x86dd, 0x86dd, 0x8100, 0x0806]);
  bytes.set([type >> 8, type & 0xff], 12);
  const at = type === 0x8100 ? 18 : 14;
  if (type === 0x8100 && bytes.length > 18) bytes.set([0, 5, 8, 0], 14);
  if (bytes.length > at + 10) {
    bytes[at] = type === 0x86dd ? 0x60 : 0x45;
    if (type === 0x86dd) bytes[at + 6] = pick(random, [6, 17, 58]);
    else bytes[at + 9] = pick(random, [1, 6, 17]);
  }
  return bytes;
}

/** One kernel with the maps that programs use. */
class Side {
  readonly kernel: Kernel;
  readonly #maps: Fd[];

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.#maps = [];
  }

  #renew(): void {
    for (const fd of this.#maps) this.kernel.closeFd(fd);
    this.#maps.length = 0;
    for (const attr of MAPS) this.#maps.push(this.kernel.bpf.map_create(attr));
    const text = new Uint8Array(1024);
    for (const [i, one] of STRINGS.entries()) text.set(new TextEncoder().encode(one), SLOT * i);
    const map_fd = this.#maps[1]!;
    this.kernel.bpf.map_update_elem({ map_fd, key: new Uint8Array(4), value: text });
    this.kernel.bpf.map_freeze({ map_fd });
  }

  /** Text of all that can be seen of the run; `refused` where it can't be loaded. */
  run({ type, text }: Program, data: Uint8Array): string[] {
    this.#renew();
    const source = text.replace(/map\[id:(\d+)\]/g, (_, n) => `map[id:${this.#maps[Number(n)]}]`);
    const { bytes } = assembleLlvm(source, {
      helper: (name) => (name in STRING_KFUNCS ? KFUNC_BASE + kfuncId(name) : helperId(name as Helper)),
    });
    markKfuncs(bytes);
    let fd: Fd;
    try {
      ({ fd } = this.kernel.bpf.prog_load({ prog_type: type, insns: bytes, license: 'GPL' }));
    } catch (error) {
      if (error instanceof InputError)
        return [`refused: ${error.detail?.trimEnd().split('\n').at(-2) ?? error.message}`];
      throw error;
    }
    try {
      const onPacket = type !== 'syscall' && type !== 'raw_tracepoint';
      const { retval, data_out, ctx_out } = this.kernel.bpf.prog_test_run({
        prog_fd: fd,
        ...(onPacket ? { data_in: data, data_size_out: 8192 } : { ctx_in: new Uint8Array(64) }),
        ...(onPacket && { ctx_size_out: type === 'xdp' ? 24 : 192 }),
      });
      return [
        `retval ${retval}`,
        `packet ${hex(data_out)}`,
        `context ${hex(ctx_out)}`,
        ...this.#maps.flatMap((map, i) => (i === 1 ? [] : this.#contents(map, i))),
      ];
    } catch (error) {
      if (error instanceof InputError) return [`errno ${error.errno}`];
      throw error;
    } finally {
      this.kernel.closeFd(fd);
    }
  }

  #contents(map_fd: Fd, index: number): string[] {
    const lines: string[] = [];
    const name = index === 0 ? 'results' : `${MAPS[index]!.map_type}`;
    try {
      for (
        let key = this.kernel.bpf.map_get_next_key({ map_fd });
        key;
        key = this.kernel.bpf.map_get_next_key({ map_fd, key })
      ) {
        const value = this.kernel.bpf.map_lookup_elem({ map_fd, key });
        lines.push(`${name} ${hex(key)} ${value && hex(value)}`);
      }
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
    return lines.toSorted();
  }
}

/** Where two lines differ first, and how; of results the answers word by word. */
function difference(own: string, linux: string): string {
  const at = [...own].findIndex((char, i) => char !== linux[i]);
  const start = Math.max(0, at - 16);
  if (!own.startsWith('results ') || !linux.startsWith('results ')) {
    return `  at ${at}: own ${own.slice(start, start + 200)}\n${' '.repeat(`  at ${at}`.length)}linux ${linux.slice(start, start + 200)}`;
  }
  const words = (line: string): string[] => line.slice(17).match(/.{16}/g) ?? [];
  const [ours, theirs] = [words(own), words(linux)];
  const show = (word: string): string =>
    `${BigInt.asIntN(64, BigInt(`0x${word.match(/../g)!.reverse().join('')}`))}`;
  return ours
    .map((word, i) =>
      word === theirs[i]
        ? ''
        : i < 8
          ? `  answer ${i + 1}: own ${show(word)}, linux ${show(theirs[i]!)}`
          : `  r10 - ${BUFFER - 8 * (i - 8)}: own ${word} linux ${theirs[i]}`,
    )
    .filter((line) => line !== '')
    .slice(0, 6)
    .join('\n');
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const status = linuxStatus();
if (!status.ok) {
  console.log(`skipped: ${status.reason}`);
  process.exit(0);
}
using opened = openLinux();
const comm = readFileSync('/proc/self/comm', 'latin1').trimEnd();
const btf = opened.vmlinuxBtf();
const types = btf && parseBtf(btf, 'vmlinux');
const kfuncId = (name: string): number => types?.find(name, 'func') ?? 0;
const world = {
  ...(btf && { btf }),
  cpus: opened.possibleCpus,
  task: { pid: process.pid, tgid: process.pid, uid: 0, gid: 0, comm },
};
using compiledKernel = createKernel(world);
using interpretedKernel = createKernel({ ...world, interpret: true });
const linux = new Side(opened);
const sides = [
  ['compiled', new Side(compiledKernel)],
  ['interpreted', new Side(interpretedKernel)],
] as const;
const random = randomFrom(Number(values.seed));
const counts = { programs: 0, ran: 0, differences: 0 };
const called = new Map<string, number>();
const blamed = new Map<string, number>();
while (counts.programs < Number(values.programs)) {
  const program = generate(random);
  if (!program) continue;
  const data = packet(random);
  counts.programs++;
  const theirs = linux.run(program, data);
  if (!theirs[0]!.startsWith('refused')) {
    counts.ran++;
    for (const call of program.calls) {
      const name = call.slice(0, call.indexOf('('));
      called.set(name, (called.get(name) ?? 0) + 1);
    }
  }
  for (const [how, side] of sides) {
    const ours = side.run(program, data);
    if (theirs[0]!.startsWith('refused') && ours[0]!.startsWith('refused')) break;
    const lines = Array.from({ length: Math.max(ours.length, theirs.length) }, (_, i) => i).filter(
      (i) => ours[i] !== theirs[i],
    );
    if (lines.length === 0) continue;
    counts.differences++;
    const names = program.calls.map((call) => call.slice(0, call.indexOf('('))).join(' ');
    blamed.set(names, (blamed.get(names) ?? 0) + 1);
    if (counts.differences <= Number(values.show)) {
      console.log(
        `program ${counts.programs}: ${program.type}, ${how}, ${data.length} bytes ${hex(data.subarray(12, 26))}`,
      );
      for (const call of program.calls) console.log(`  ${call}`);
      for (const i of lines.slice(0, 4)) console.log(difference(ours[i] ?? '', theirs[i] ?? ''));
    }
    break;
  }
}
for (const [names, count] of [...blamed].toSorted(([, a], [, b]) => b - a).slice(0, 30))
  console.log(`${count} ${names}`);
const never = [...new Set([...candidates.values()].flat())].filter((name) => !called.has(name));
if (never.length > 0 && values.helper === '.') console.log(`never called: ${never.join(' ')}`);
console.log(`figure helperfuzz_programs ${counts.programs}`);
console.log(`figure helperfuzz_ran ${counts.ran}`);
console.log(`figure helperfuzz_helpers ${called.size}`);
console.log(`figure helperfuzz_differences ${counts.differences}`);
if (counts.ran === 0 || counts.differences > 0) process.exitCode = 1;
