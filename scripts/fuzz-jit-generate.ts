/**
 * Makes up programs that the verifier accepts, as LLVM's notation, each from a seed of its own.
 *
 * A program checks the packet's length once, fills its stack, then does a random walk over pieces: arithmetic of both widths,
 * shifts, rotations, byte swaps, sign extensions; loads, stores and atomic operations on packet, stack and map values, at
 * constant and at variable places; lookups, updates and deletions in maps; queues, a ring buffer, a Bloom filter; calls of a
 * subprogram, callbacks, tail calls; branches forward and loops that count down. r0, r7 and r8 hold numbers all the time, r6
 * the packet, r9 the context; r1 to r5 come and go.
 */
import { MAP_CREATE_FLAGS, type MapCreateAttr } from '../src/sys/index.ts';
import { Random } from './fuzz-program.ts';

export const PACKET_BYTES = 64;

const NO_PREALLOC = MAP_CREATE_FLAGS.BPF_F_NO_PREALLOC;
/** In the order of their numbers in the text: `map[fd:1000]` is the first. */
export const FUZZ_MAPS = [
  { map_name: 'array', map_type: 'array', key_size: 4, value_size: 16, max_entries: 6 },
  { map_name: 'percpu', map_type: 'percpu_array', key_size: 4, value_size: 16, max_entries: 6 },
  { map_name: 'hash', map_type: 'hash', key_size: 4, value_size: 16, max_entries: 6 },
  { map_name: 'percpu_hash', map_type: 'percpu_hash', key_size: 4, value_size: 16, max_entries: 6 },
  { map_name: 'lru', map_type: 'lru_hash', key_size: 4, value_size: 16, max_entries: 64 },
  {
    map_name: 'wide',
    map_type: 'hash',
    key_size: 16,
    value_size: 16,
    max_entries: 5,
    map_flags: NO_PREALLOC,
  },
  {
    map_name: 'prefixes',
    map_type: 'lpm_trie',
    key_size: 8,
    value_size: 16,
    max_entries: 10,
    map_flags: NO_PREALLOC,
  },
  { map_name: 'queue', map_type: 'queue', key_size: 0, value_size: 8, max_entries: 4 },
  { map_name: 'stack', map_type: 'stack', key_size: 0, value_size: 8, max_entries: 4 },
  {
    map_name: 'bloom',
    map_type: 'bloom_filter',
    key_size: 0,
    value_size: 8,
    max_entries: 16,
    map_flags: MAP_CREATE_FLAGS.BPF_F_ZERO_SEED,
  },
  { map_name: 'ring', map_type: 'ringbuf', key_size: 0, value_size: 0, max_entries: 4096 },
  { map_name: 'hops', map_type: 'prog_array', key_size: 4, value_size: 4, max_entries: 4 },
] as const satisfies readonly MapCreateAttr[];

export type FuzzMapName = (typeof FUZZ_MAPS)[number]['map_name'];
export type FuzzProgType = 'xdp' | 'sched_cls';

/** What a file descriptor in the text stands for: maps by their number from here on. */
export const MAP_BASE = 1000;
/** Functions by their place in {@link FUNCTIONS}. */
export const FUNC_BASE = 2000;
/** The functions that a program may have, as labels; it begins with the first. */
export const FUNCTIONS = ['main', 'sub', 'round', 'visit'] as const;

const mapNumber = (name: FuzzMapName): number =>
  MAP_BASE + FUZZ_MAPS.findIndex(({ map_name }) => map_name === name);
type FunctionName = Exclude<(typeof FUNCTIONS)[number], 'main'>;

const CONSTANTS = [1, 0, -1, 2, 7, 31, 63, 255, 0x7fff, 0x7fff_ffff, -0x8000_0000, 0x1234_5678];
const NUMBERS = [0, 7, 8] as const;
const BINARY = ['+=', '-=', '*=', '&=', '|=', '^=', '/=', '%=', 's/=', 's%='];
const TESTS = ['==', '!=', '>', '>=', '<', '<=', 's>', 's<', 's>=', 's<=', '&'];
const SWAPS = ['be16', 'be32', 'be64', 'le16', 'le32', 'bswap16', 'bswap32', 'bswap64'];
/** How deep branches and loops nest. Callbacks are called outside of them: the verifier walks them for each path. */
const TOP = 2;
/** Bytes of the stack that are filled at the start; keys and saved numbers lie below. */
const FILLED = 64;
/** Offsets below the frame pointer: keys, values, saved r0, loops' counters, a callback's context. */
const PLACE = { key: 96, value: 112, save: 120, loop: 128, context: 160 } as const;
/** Where the context has the packet's begin and end. */
const CONTEXT = { xdp: { data: 0, end: 4 }, sched_cls: { data: 76, end: 80 } } as const;
/** Words of `struct __sk_buff` that a classifier reads and writes: mark, priority, tc_index, cb[0] to cb[4]. */
const SKB_WORDS = [8, 32, 44, 48, 52, 56, 60, 64];
/** And those that it only reads: len, vlan_present, protocol. */
const SKB_READ = [0, 20, 16];

const HELPER = {
  map_lookup_elem: 1,
  map_update_elem: 2,
  map_delete_elem: 3,
  get_smp_processor_id: 8,
  tail_call: 12,
  map_push_elem: 87,
  map_pop_elem: 88,
  map_peek_elem: 89,
  ringbuf_output: 130,
  ringbuf_reserve: 131,
  ringbuf_submit: 132,
  ringbuf_discard: 133,
  ringbuf_query: 134,
  for_each_map_elem: 164,
  loop: 181,
} as const;

/** Helpers that answer with a value of the map, and those that keys of 4 bytes open. */
const KEYED: readonly FuzzMapName[] = ['array', 'percpu', 'hash', 'percpu_hash', 'lru', 'wide', 'prefixes'];

class Writer {
  readonly #random: Random;
  readonly #type: FuzzProgType;
  #labels = 0;
  readonly #used = new Set<FunctionName>();

  constructor(seed: number, type: FuzzProgType) {
    this.#random = new Random(seed);
    this.#type = type;
  }

  text(): string {
    return [
      'main:',
      'r9 = r1',
      ...this.#packet(),
      'r0 = *(u64 *)(r6 + 0)',
      'r7 = *(u64 *)(r6 + 8)',
      'r8 = *(u64 *)(r6 + 16)',
      ...Array.from(
        { length: FILLED / 8 },
        (_, i) => `*(u64 *)(r10 - ${8 * (i + 1)}) = r${[7, 8, 0][i % 3]}`,
      ),
      ...[PLACE.key, PLACE.key - 8, PLACE.context].map((place) => `*(u64 *)(r10 - ${place}) = r8`),
      ...this.#body(TOP),
      ...this.#body(TOP),
      ...this.#body(TOP - 1),
      'r0 ^= r7',
      'r0 += r8',
      'r1 = r0',
      'r1 >>= 32',
      'r0 ^= r1',
      'exit',
      'short:',
      'r0 = 0',
      'exit',
      ...[...this.#used].flatMap((name) => this.#functions[name]()),
    ].join('\n');
  }

  readonly #functions = {
    /** With a stack of its own. */
    sub: () => [
      'sub:',
      'r0 = r1',
      `r0 ${this.#pick(BINARY)} r2`,
      `w0 ${this.#pick(BINARY)} w1`,
      '*(u64 *)(r10 - 8) = r2',
      'r1 = *(u32 *)(r10 - 4)',
      'r0 ^= r1',
      'exit',
    ],
    /** A round of bpf_loop: mixes its number into the context, and sometimes ends the loop. */
    round: () => [
      'round:',
      'r3 = *(u64 *)(r2 + 0)',
      `r3 ${this.#pick(BINARY)} r1`,
      `r3 += ${this.#pick(CONSTANTS)}`,
      '*(u64 *)(r2 + 0) = r3',
      'r0 = 0',
      `if r3 & ${2 ** this.#below(8)} goto more`,
      'r0 = 1',
      'more:',
      'exit',
    ],
    /** An element of bpf_for_each_map_elem: whatever the order, the sum is the same. */
    visit: () => [
      'visit:',
      'r5 = *(u64 *)(r3 + 0)',
      'r1 = *(u64 *)(r4 + 0)',
      'r1 += r5',
      '*(u64 *)(r4 + 0) = r1',
      ...(this.#chance(0.5) ? ['r5 += 3', '*(u64 *)(r3 + 8) = r5'] : []),
      'r0 = 0',
      'exit',
    ],
  } as const satisfies Record<FunctionName, () => string[]>;

  #func(name: FunctionName): string {
    this.#used.add(name);
    return name;
  }
  /** What stands for its address. */
  #number(name: FunctionName): number {
    return FUNC_BASE + FUNCTIONS.indexOf(this.#func(name) as FunctionName);
  }

  #below(n: number): number {
    return this.#random.below(n);
  }
  #pick<T>(list: readonly T[]): T {
    return this.#random.pick(list);
  }
  #chance(share: number): boolean {
    return this.#random.chance(share);
  }
  #label(name: string): string {
    return `${name}${this.#labels++}`;
  }

  /** r6 points to the packet, of which at least {@link PACKET_BYTES} are there. */
  #packet(): string[] {
    const { data, end } = CONTEXT[this.#type];
    return [
      `r6 = *(u32 *)(r9 + ${data})`,
      `r1 = *(u32 *)(r9 + ${end})`,
      'r2 = r6',
      `r2 += ${PACKET_BYTES}`,
      'if r2 > r1 goto short',
    ];
  }

  #operand(width: 'r' | 'w'): string {
    return this.#chance(0.5) ? `${width}${this.#pick(NUMBERS)}` : String(this.#pick(CONSTANTS));
  }

  /** A number that may be divided by: constants of 0 are refused. */
  #divisor(width: 'r' | 'w'): string {
    const found = this.#operand(width);
    return found === '0' ? '3' : found;
  }

  #body(depth: number): string[] {
    return Array.from({ length: 1 + this.#below(5) }, () => this.#piece(depth)).flat();
  }

  #piece(depth: number): string[] {
    const pieces = [
      () => this.#arithmetic(),
      () => this.#arithmetic(),
      () => this.#arithmetic(),
      () => this.#shift(),
      () => this.#rotation(),
      () => this.#unary(),
      () => this.#packetAccess(),
      () => this.#packetAccess(),
      () => this.#variablePacket(),
      () => this.#stackAccess(),
      () => this.#variableStack(),
      () => this.#atomic('r10', 8 * (1 + this.#below(FILLED / 8))),
      () => this.#mapCall(depth),
      () => this.#mapCall(depth),
      () => this.#mapCall(depth),
      () => this.#queueCall(),
      () => this.#ring(),
      () => this.#subprogram(depth),
      () => this.#context(),
      () => this.#tailCall(),
      ...(depth > 0 ? [() => this.#branch(depth), () => this.#branch(depth), () => this.#branch(depth)] : []),
      // A loop in a loop is walked for each round of the outer one.
      ...(depth === TOP || (depth >= 0 && this.#chance(0.03))
        ? [() => this.#loop(depth), () => this.#loop(depth)]
        : []),
    ];
    return this.#pick(pieces)();
  }

  #arithmetic(): string[] {
    const x = this.#pick(['r', 'w'] as const);
    const op = this.#pick(BINARY);
    const by = /[/%]/.test(op) ? this.#divisor(x) : this.#operand(x);
    return [`${x}${this.#pick(NUMBERS)} ${op} ${by}`];
  }

  #shift(): string[] {
    const [x, width] = this.#chance(0.5) ? (['r', 64] as const) : (['w', 32] as const);
    const by = this.#chance(0.5) ? String(this.#below(width)) : `${x}${this.#pick(NUMBERS)}`;
    return [`${x}${this.#pick(NUMBERS)} ${this.#pick(['<<=', '>>=', 's>>='])} ${by}`];
  }

  #rotation(): string[] {
    const [x, width] = this.#chance(0.5) ? ['r', 64] : ['w', 32];
    const r = this.#pick(NUMBERS);
    const by = 1 + this.#below(width - 1);
    return [`${x}1 = ${x}${r}`, `${x}1 <<= ${by}`, `${x}${r} >>= ${width - by}`, `${x}${r} |= ${x}1`];
  }

  #unary(): string[] {
    const r = this.#pick(NUMBERS);
    const from = this.#pick(NUMBERS);
    return this.#pick([
      [`r${r} = ${this.#pick(SWAPS)} r${r}`],
      [`r${r} = -r${r}`],
      [`w${r} = -w${r}`],
      [`r${r} = (s${this.#pick([8, 16, 32])})r${from}`],
      [`w${r} = (s${this.#pick([8, 16])})w${from}`],
      [`w${r} = w${from}`],
      [`r${r} = ${this.#random.next()}${this.#random.next() >>> 8} ll`],
    ]);
  }

  #size(): { size: number; bits: number } {
    const size = this.#pick([1, 2, 4, 8]);
    return { size, bits: size * 8 };
  }

  /** A load or a store, at a pointer of which `room` bytes are there. */
  #access(pointer: string, room: number, aligned = false): string {
    const { size, bits } = this.#size();
    const off = aligned ? size * this.#below(room / size) : this.#below(room - size + 1);
    const r = this.#pick(NUMBERS);
    if (this.#chance(0.15)) return `*(u${bits} *)(${pointer} + ${off}) = ${this.#pick(CONSTANTS)}`;
    if (this.#chance(0.5)) return `*(u${bits} *)(${pointer} + ${off}) = r${r}`;
    return `r${r} = *(${this.#pick(['u', size < 8 ? 's' : 'u'])}${bits} *)(${pointer} + ${off})`;
  }

  #packetAccess(): string[] {
    return [this.#access('r6', PACKET_BYTES)];
  }

  #variablePacket(): string[] {
    const far = this.#label('far');
    return [
      `r1 = r${this.#pick(NUMBERS)}`,
      `r1 &= ${this.#pick([15, 31, 63])}`,
      'r2 = r6',
      'r2 += r1',
      'r3 = r2',
      'r3 += 16',
      `r4 = *(u32 *)(r9 + ${CONTEXT[this.#type].end})`,
      `if r3 > r4 goto ${far}`,
      this.#access('r2', 16),
      `${far}:`,
    ];
  }

  #stackAccess(): string[] {
    const { size, bits } = this.#size();
    const off = size * (1 + this.#below(FILLED / size));
    const r = this.#pick(NUMBERS);
    return this.#chance(0.5)
      ? [`*(u${bits} *)(r10 - ${off}) = r${r}`]
      : [`r${r} = *(${this.#pick(['u', size < 8 ? 's' : 'u'])}${bits} *)(r10 - ${off})`];
  }

  #variableStack(): string[] {
    return [
      `r1 = r${this.#pick(NUMBERS)}`,
      `r1 &= ${this.#pick([8, 16, 24, 40])}`,
      'r2 = r10',
      `r2 += -${FILLED}`,
      'r2 += r1',
      this.#access('r2', 16, true),
    ];
  }

  /** An atomic operation on 8 aligned bytes. @param off below a frame pointer, above anything else */
  #atomic(pointer: string, off: number): string[] {
    const place = pointer === 'r10' ? `r10 - ${off}` : `${pointer} + ${off}`;
    const [x, bits] = this.#chance(0.5) ? ['r', 64] : ['w', 32];
    const r = this.#pick([7, 8]);
    const onStack = pointer === 'r10';
    // What is fetched from the stack goes through the packet, so that it is not known: Linux 6.18 does not follow it when it
    // looks for what a comparison depends on, and takes what one path knows of the stack for all.
    const through = (reg: number) =>
      onStack ? [`*(u64 *)(r6 + 8) = r${reg}`, `r${reg} = *(u64 *)(r6 + 8)`] : [];
    return this.#pick([
      [`lock *(u${bits} *)(${place}) ${this.#pick(['+=', '|=', '&=', '^='])} ${x}${r}`],
      [
        `${x}${r} = atomic_fetch_${this.#pick(['add', 'or', 'and', 'xor'])}((u${bits} *)(${place}), ${x}${r})`,
        ...through(r),
      ],
      [`${x}${r} = xchg_${bits}(${place}, ${x}${r})`.replace('xchg_32', 'xchg32_32'), ...through(r)],
      // Half of them with the value that is there.
      [
        ...(onStack && this.#chance(0.5) ? [`r0 = *(u${bits} *)(${place})`] : []),
        ...(onStack ? [] : ['r1 = r0', 'r0 = r7']),
        `${x}0 = cmpxchg_${bits}(${place.replace('r0', 'r1')}, ${x}0, ${x}${r})`.replace(
          'cmpxchg_32',
          'cmpxchg32_32',
        ),
        // Linux forgets to clear the upper half where another path to what follows was verified first (6.18).
        ...(bits === 32 ? ['w0 = w0'] : []),
        ...through(0),
        ...(onStack ? [] : ['r7 ^= r0', 'r0 = r1']),
      ],
    ]);
  }

  /** Puts a key on the stack, one of few, so that keys meet. */
  #key(map: FuzzMapName): string[] {
    const key = `r10 - ${PLACE.key}`;
    const number = [`r1 = r${this.#pick(NUMBERS)}`, `r1 &= ${this.#pick([3, 7])}`];
    if (map === 'prefixes') {
      return [
        ...number,
        `r2 = r${this.#pick(NUMBERS)}`,
        `r2 &= ${this.#pick([31, 63, 7])}`,
        `*(u32 *)(${key}) = r2`,
        'r1 *= 0x24924925',
        `*(u32 *)(r10 - ${PLACE.key - 4}) = r1`,
      ];
    }
    if (map !== 'wide') {
      // Mostly a variable one; a constant one is known to the compiler.
      return this.#chance(0.3)
        ? [`*(u32 *)(${key}) = ${this.#below(7)}`]
        : [...number, `*(u32 *)(${key}) = r1`];
    }
    return [...number, `*(u64 *)(${key}) = r1`, 'r1 ^= 5', `*(u64 *)(r10 - ${PLACE.key - 8}) = r1`];
  }

  #mapCall(depth: number): string[] {
    const map = this.#pick(KEYED);
    const set = ['r2 = r10', `r2 += -${PLACE.key}`, `r1 = map[fd:${mapNumber(map)}] ll`];
    const saved = `*(u64 *)(r10 - ${PLACE.save}) = r0`;
    const restore = ['r7 ^= r0', `r0 = *(u64 *)(r10 - ${PLACE.save})`];
    if (depth === TOP && this.#chance(0.15) && map !== 'wide' && map !== 'prefixes') return this.#visit(map);
    switch (this.#below(6)) {
      case 0:
        return [
          saved,
          ...this.#key(map),
          `*(u64 *)(r10 - ${PLACE.value}) = r7`,
          `*(u64 *)(r10 - ${PLACE.value - 8}) = r8`,
          ...set,
          'r3 = r10',
          `r3 += -${PLACE.value}`,
          `r4 = ${this.#pick([0, 0, 0, 1, 2, 3])}`,
          `call ${HELPER.map_update_elem}`,
          ...restore,
        ];
      case 1:
        return [saved, ...this.#key(map), ...set, `call ${HELPER.map_delete_elem}`, ...restore];
      default: {
        const miss = this.#label('miss');
        return [
          saved,
          ...this.#key(map),
          ...set,
          `call ${HELPER.map_lookup_elem}`,
          `if r0 == 0 goto ${miss}`,
          ...this.#value(),
          `${miss}:`,
          `r0 = *(u64 *)(r10 - ${PLACE.save})`,
        ];
      }
    }
  }

  /** Works on the value of 16 bytes that r0 points to. */
  #value(): string[] {
    return this.#pick([
      ['r1 = *(u64 *)(r0 + 0)', 'r7 ^= r1', `r1 += r${this.#pick([7, 8])}`, '*(u64 *)(r0 + 0) = r1'],
      ['r1 = *(u32 *)(r0 + 12)', 'r1 += 1', '*(u32 *)(r0 + 12) = r1', 'r8 += r1'],
      this.#atomic('r0', 8),
      [
        `r1 = r${this.#pick([7, 8])}`,
        'r1 &= 7',
        'r0 += r1',
        'r2 = *(u8 *)(r0 + 4)',
        'r8 += r2',
        '*(u8 *)(r0 + 1) = r7',
      ],
    ]);
  }

  #visit(map: FuzzMapName): string[] {
    return [
      `*(u64 *)(r10 - ${PLACE.save}) = r0`,
      `r1 = map[fd:${mapNumber(map)}] ll`,
      `r2 = map[fd:${this.#number('visit')}] ll`,
      'r3 = r10',
      `r3 += -${PLACE.context}`,
      'r4 = 0',
      `call ${HELPER.for_each_map_elem}`,
      'r8 += r0',
      `r0 = *(u64 *)(r10 - ${PLACE.context})`,
      'r7 ^= r0',
      `r0 = *(u64 *)(r10 - ${PLACE.save})`,
    ];
  }

  #queueCall(): string[] {
    const map = this.#pick(['queue', 'stack', 'bloom'] as const);
    const helper = this.#pick(['map_push_elem', 'map_pop_elem', 'map_peek_elem'] as const);
    const number = [`r1 = r${this.#pick(NUMBERS)}`, 'r1 &= 15', `*(u64 *)(r10 - ${PLACE.value}) = r1`];
    return [
      `*(u64 *)(r10 - ${PLACE.save}) = r0`,
      ...number,
      'r2 = r10',
      `r2 += -${PLACE.value}`,
      `r3 = ${this.#pick(map === 'bloom' ? [0] : [0, 0, 2])}`,
      `r1 = map[fd:${mapNumber(map)}] ll`,
      `call ${HELPER[map === 'bloom' && helper === 'map_pop_elem' ? 'map_peek_elem' : helper]}`,
      'r7 ^= r0',
      `r0 = *(u64 *)(r10 - ${PLACE.value})`,
      'r8 += r0',
      `r0 = *(u64 *)(r10 - ${PLACE.save})`,
    ];
  }

  #ring(): string[] {
    const ring = `r1 = map[fd:${mapNumber('ring')}] ll`;
    const saved = `*(u64 *)(r10 - ${PLACE.save}) = r0`;
    const restore = `r0 = *(u64 *)(r10 - ${PLACE.save})`;
    const full = this.#label('full');
    switch (this.#below(4)) {
      case 0:
        return [
          saved,
          ring,
          'r2 = r10',
          `r2 += -${FILLED}`,
          `r3 = ${this.#pick([1, 8, 13, FILLED])}`,
          `r4 = ${this.#below(4)}`,
          `call ${HELPER.ringbuf_output}`,
          'r7 ^= r0',
          restore,
        ];
      case 1:
        return [saved, ring, `r2 = ${this.#below(5)}`, `call ${HELPER.ringbuf_query}`, 'r8 += r0', restore];
      default: {
        const size = this.#pick([8, 24, 64, 1000]);
        return [
          saved,
          ring,
          `r2 = ${size}`,
          'r3 = 0',
          `call ${HELPER.ringbuf_reserve}`,
          `if r0 == 0 goto ${full}`,
          // Nobody clears a record: what is not written would be compared, too.
          ...(size === 1000
            ? []
            : Array.from({ length: size / 8 }, (_, i) => `*(u64 *)(r0 + ${8 * i}) = r${7 + (i % 2)}`)),
          'r1 = r0',
          `r2 = ${this.#below(3)}`,
          `call ${size === 1000 || this.#chance(0.3) ? HELPER.ringbuf_discard : HELPER.ringbuf_submit}`,
          'r8 += 1',
          `${full}:`,
          restore,
        ];
      }
    }
  }

  #subprogram(depth: number): string[] {
    if (depth < TOP || this.#chance(0.3)) return ['r1 = r7', 'r2 = r8', `call ${this.#func('sub')}`];
    return [
      `*(u64 *)(r10 - ${PLACE.save}) = r0`,
      ...(this.#chance(0.5) ? [`r1 = ${this.#below(6)}`] : ['r1 = r7', 'r1 &= 15']),
      `r2 = map[fd:${this.#number('round')}] ll`,
      'r3 = r10',
      `r3 += -${PLACE.context}`,
      'r4 = 0',
      `call ${HELPER.loop}`,
      'r8 += r0',
      `r0 = *(u64 *)(r10 - ${PLACE.context})`,
      'r7 ^= r0',
      `r0 = *(u64 *)(r10 - ${PLACE.save})`,
    ];
  }

  /** Fields of the context, legacy loads, the processor's number. */
  #context(): string[] {
    const r = this.#pick([7, 8]);
    if (this.#type === 'xdp' || this.#chance(0.2)) {
      return [
        `*(u64 *)(r10 - ${PLACE.save}) = r0`,
        `call ${HELPER.get_smp_processor_id}`,
        `r${r} += r0`,
        `r0 = *(u64 *)(r10 - ${PLACE.save})`,
        ...(this.#type === 'xdp' ? [`r1 = *(u32 *)(r9 + 12)`, 'r8 ^= r1'] : []),
      ];
    }
    switch (this.#below(3)) {
      case 0:
        return [`*(u32 *)(r9 + ${this.#pick(SKB_WORDS)}) = r${r}`];
      case 1:
        return [`r${r} = *(u32 *)(r9 + ${this.#pick([...SKB_WORDS, ...SKB_READ])})`];
      default: {
        const { size, bits } = this.#pick([
          { size: 1, bits: 8 },
          { size: 2, bits: 16 },
          { size: 4, bits: 32 },
        ]);
        const at = this.#chance(0.1) ? 70 : this.#below(PACKET_BYTES - size + 1);
        return [
          `*(u64 *)(r10 - ${PLACE.save}) = r0`,
          'r6 = r9',
          ...(this.#chance(0.5)
            ? [`r0 = *(u${bits} *)skb[${at}]`]
            : ['r1 = r8', 'r1 &= 7', `r0 = *(u${bits} *)skb[r1 + ${at}]`]),
          `r${r} ^= r0`,
          `r0 = *(u64 *)(r10 - ${PLACE.save})`,
          ...this.#packet(),
        ];
      }
    }
  }

  /** To a slot that is there, one that is empty, or one that can't be. Rarely: what follows is not run. */
  #tailCall(): string[] {
    if (this.#chance(0.6)) return this.#arithmetic();
    return [
      `*(u64 *)(r10 - ${PLACE.save}) = r0`,
      // Not a number that an atomic operation may have fetched: Linux 6.18 then takes another path's constant for it.
      ...(this.#chance(0.5)
        ? [`r3 = ${this.#below(6)}`]
        : [`r3 = *(u8 *)(r6 + ${this.#below(PACKET_BYTES)})`, 'r3 &= 7']),
      'r1 = r9',
      `r2 = map[fd:${mapNumber('hops')}] ll`,
      `call ${HELPER.tail_call}`,
      `r0 = *(u64 *)(r10 - ${PLACE.save})`,
    ];
  }

  #branch(depth: number): string[] {
    const skip = this.#label('skip');
    const x = this.#pick(['r', 'w'] as const);
    const test = `if ${x}${this.#pick(NUMBERS)} ${this.#pick(TESTS)} ${this.#operand(x)} goto ${skip}`;
    if (this.#chance(0.6)) return [test, ...this.#body(depth - 1), `${skip}:`];
    const both = this.#label('both');
    return [
      test,
      ...this.#body(depth - 1),
      `${this.#pick(['goto', 'gotol'])} ${both}`,
      `${skip}:`,
      ...this.#body(depth - 1),
      `${both}:`,
    ];
  }

  /** The depth of what is in a loop: mostly without branches. */
  #inside(depth: number): number {
    return depth > 0 && this.#chance(0.4) ? depth - 1 : Math.min(depth - 1, 0);
  }

  #loop(depth: number): string[] {
    const again = this.#label('again');
    const done = this.#label('done');
    const slot = PLACE.loop + 8 * depth;
    const tail = [`r1 = *(u64 *)(r10 - ${slot})`, 'r1 += -1', `*(u64 *)(r10 - ${slot}) = r1`];
    if (this.#chance(0.3)) {
      return [
        `r1 = ${1 + this.#below(6)}`,
        `*(u64 *)(r10 - ${slot}) = r1`,
        `${again}:`,
        `may_goto ${done}`,
        ...this.#body(this.#inside(depth)),
        ...tail,
        `if r1 != 0 goto ${again}`,
        `${done}:`,
      ];
    }
    return [
      `r1 = ${2 + this.#below(3)}`,
      `*(u64 *)(r10 - ${slot}) = r1`,
      `${again}:`,
      ...this.#body(this.#inside(depth)),
      ...tail,
      `if r1 != 0 goto ${again}`,
    ];
  }
}

export interface FuzzText {
  readonly type: FuzzProgType;
  readonly text: string;
}

/** The program of a seed. */
export function fuzzText(seed: number): FuzzText {
  const type = new Random(seed ^ 0x5bd1e995).chance(0.25) ? 'sched_cls' : 'xdp';
  return { type, text: new Writer(seed, type).text() };
}

/**
 * What the slots of the prog array are, by slot: the first changes the packet, the second goes on to the first, the third
 * calls itself until Linux lets it no more and counts that in the array; the fourth is empty.
 */
export function hopTexts(type: FuzzProgType): readonly string[] {
  const { data, end } = CONTEXT[type];
  const packet = [
    `r2 = *(u32 *)(r1 + ${data})`,
    `r3 = *(u32 *)(r1 + ${end})`,
    'r4 = r2',
    'r4 += 16',
    'r0 = 5',
    'if r4 > r3 goto out',
    'r0 = *(u8 *)(r2 + 3)',
    'r0 += 7',
    '*(u8 *)(r2 + 3) = r0',
    'out:',
    'exit',
  ];
  const onward = (slot: number) => [
    `r2 = map[fd:${mapNumber('hops')}] ll`,
    `r3 = ${slot}`,
    `call ${HELPER.tail_call}`,
    'r0 = 9',
    'exit',
  ];
  const count = [
    'r6 = r1',
    '*(u32 *)(r10 - 4) = 0',
    'r2 = r10',
    'r2 += -4',
    `r1 = map[fd:${mapNumber('array')}] ll`,
    `call ${HELPER.map_lookup_elem}`,
    'if r0 == 0 goto none',
    'r1 = 1',
    'lock *(u64 *)(r0 + 0) += r1',
    'none:',
    'r1 = r6',
  ];
  return [packet, onward(0), [...count, ...onward(2)]].map((lines) => lines.join('\n'));
}
