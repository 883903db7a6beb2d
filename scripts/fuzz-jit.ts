/**
 * Generates programs that the verifier accepts and runs each compiled and interpreted, over random packets and map
 * contents: r0, the packet and the maps must come out the same.
 *
 *     npx tsx scripts/fuzz-jit.ts [--programs N] [--seed N]
 *
 * A program checks the packet's length once, then does a random walk over blocks: arithmetic of both widths, byte swaps,
 * loads and stores of packet and stack, atomic operations, array, per-CPU array and hash elements, calls of a subprogram,
 * branches forward, and a loop that counts down. Every third program is run with its maps as the one before left them.
 * Prints `figure jit_programs` and `figure jit_differences`; exit code 1 when a program differs or none was accepted.
 */
import { parseArgs } from 'node:util';
import { InputError } from '../src/base/error.ts';
import { assembleLlvm } from '../src/isa/index.ts';
import { createKernel, type EmbeddedKernel } from '../src/kernel/index.ts';
import type { Fd } from '../src/sys/index.ts';

const { values } = parseArgs({
  options: { programs: { type: 'string', default: '200000' }, seed: { type: 'string', default: '1' } },
});
const wanted = Number(values.programs);
let state = Number(values.seed) >>> 0;

function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}
const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;

const PACKET_BYTES = 64;
const CONSTANTS = [0, 1, -1, 2, 7, 31, 63, 255, 0x7fff, 0x7fff_ffff, -0x8000_0000, 0x1234_5678];
/** Hold numbers: r6 is the packet, r9 the context, r1 to r5 come and go. */
const NUMBERS = [0, 7, 8] as const;
const BINARY = ['+=', '-=', '*=', '&=', '|=', '^=', '/=', '%=', 's/=', 's%='];

function operand(width: string): string {
  return random(2) === 0 ? `${width}${pick(NUMBERS)}` : String(pick(CONSTANTS) || 3);
}

let label = 0;

/** Looks up a map's element by a number and adds to it. */
function mapLines(map: number): string[] {
  const miss = `miss${label++}`;
  return [
    `r1 = r${pick(NUMBERS)}`,
    'r1 &= 7',
    '*(u32 *)(r10 - 44) = r1',
    '*(u64 *)(r10 - 56) = r0',
    'r2 = r10',
    'r2 += -44',
    `r1 = map[fd:MAP${map}] ll`,
    'call 1',
    `if r0 == 0 goto ${miss}`,
    'r1 = *(u64 *)(r0 + 0)',
    'r7 ^= r1',
    `r1 += r${pick([7, 8])}`,
    '*(u64 *)(r0 + 0) = r1',
    `${miss}:`,
    'r0 = *(u64 *)(r10 - 56)',
  ];
}

function updateLines(): string[] {
  return [
    'r1 = r8',
    'r1 &= 15',
    '*(u32 *)(r10 - 44) = r1',
    '*(u64 *)(r10 - 56) = r7',
    'r2 = r10',
    'r2 += -44',
    'r3 = r10',
    'r3 += -56',
    `r4 = ${random(3)}`,
    'r1 = map[fd:MAP2] ll',
    'call 2',
  ];
}

function lines(depth: number): string[] {
  const r = pick(NUMBERS);
  const size = pick([1, 2, 4, 8]);
  const bits = size * 8;
  switch (random(depth > 0 ? 14 : 12)) {
    case 0:
    case 1:
      return [`r${r} ${pick(BINARY)} ${operand('r')}`];
    case 2:
    case 3:
      return [`w${r} ${pick(BINARY)} ${operand('w')}`];
    case 4: {
      const wide = random(2) === 0;
      return [`${wide ? 'r' : 'w'}${r} ${pick(['<<=', '>>=', 's>>='])} ${random(wide ? 64 : 32)}`];
    }
    case 5: {
      // A rotation, of either width.
      const [x, width] = random(2) === 0 ? ['r', 64] : ['w', 32];
      const by = 1 + random(width - 1);
      return [`${x}1 = ${x}${r}`, `${x}1 <<= ${by}`, `${x}${r} >>= ${width - by}`, `${x}${r} |= ${x}1`];
    }
    case 6:
      return [
        `r${r} = ${pick(['be16', 'be32', 'be64', 'le16', 'le32', 'bswap16', 'bswap32', 'bswap64'])} r${r}`,
      ];
    case 7:
      return [
        `r${r} = *(${pick(['u', size < 8 ? 's' : 'u'])}${bits} *)(r6 + ${random(PACKET_BYTES - size + 1)})`,
      ];
    case 8:
      return [`*(u${bits} *)(r6 + ${random(PACKET_BYTES - size + 1)}) = r${r}`];
    case 9: {
      const off = -8 * (1 + random(4));
      return [
        `*(u64 *)(r10 ${off}) = r${r}`.replace(' -', ' - '),
        ...(random(2) === 0 ? [`lock *(u64 *)(r10 - ${-off}) += r${pick(NUMBERS)}`] : []),
        `r${pick(NUMBERS)} = *(u64 *)(r10 - ${-off})`,
      ];
    }
    case 10:
      return random(4) === 0 ? updateLines().concat('r0 = r0') : mapLines(random(3));
    case 11:
      return ['r1 = r7', 'r2 = r8', 'call sub'];
    case 12: {
      const skip = `skip${label++}`;
      const x = pick(['r', 'w']);
      const test = pick(['==', '!=', '>', '>=', '<', '<=', 's>', 's<', 's>=', 's<=', '&']);
      return [`if ${x}${r} ${test} ${operand(x)} goto ${skip}`, ...body(depth - 1), `${skip}:`];
    }
    default: {
      const again = `again${label++}`;
      const slot = 64 + 8 * depth;
      return [
        `r1 = ${2 + random(5)}`,
        `*(u64 *)(r10 - ${slot}) = r1`,
        `${again}:`,
        ...body(depth - 1),
        `r1 = *(u64 *)(r10 - ${slot})`,
        'r1 += -1',
        `*(u64 *)(r10 - ${slot}) = r1`,
        `if r1 != 0 goto ${again}`,
      ];
    }
  }
}

function body(depth: number): string[] {
  return Array.from({ length: 1 + random(6) }, () => lines(depth)).flat();
}

function programText(): string {
  label = 0;
  return [
    'r9 = r1',
    'r6 = *(u32 *)(r9 + 0)',
    'r1 = *(u32 *)(r9 + 4)',
    'r2 = r6',
    `r2 += ${PACKET_BYTES}`,
    'if r2 > r1 goto short',
    'r0 = *(u64 *)(r6 + 0)',
    'r7 = *(u64 *)(r6 + 8)',
    'r8 = *(u64 *)(r6 + 16)',
    ...body(2),
    ...body(2),
    'r0 ^= r7',
    'r0 += r8',
    'exit',
    'short:',
    'r0 = 0',
    'exit',
    'sub:',
    'r0 = r1',
    `r0 ${pick(BINARY)} r2`,
    `w0 ${pick(BINARY)} w1`,
    '*(u64 *)(r10 - 8) = r2',
    'r1 = *(u32 *)(r10 - 4)',
    'r0 ^= r1',
    'exit',
  ].join('\n');
}

class Side {
  readonly kernel: EmbeddedKernel;
  readonly maps: readonly Fd[];

  constructor(interpret: boolean) {
    this.kernel = createKernel({ interpret, cpus: 2, cpu: 1 });
    const shape = { key_size: 4, value_size: 8, max_entries: 6 } as const;
    this.maps = (['array', 'percpu_array', 'hash'] as const).map((map_type) =>
      this.kernel.bpf.map_create({ map_type, ...shape }),
    );
  }

  load(text: string): Fd {
    const filled = text.replace(/MAP(\d)/g, (_, i) => String(this.maps[Number(i)]));
    return this.kernel.bpf.prog_load({ prog_type: 'xdp', insns: assembleLlvm(filled).bytes, license: 'GPL' })
      .fd;
  }

  run(prog_fd: Fd, data_in: Uint8Array): string {
    const { retval, data_out } = this.kernel.bpf.prog_test_run({ prog_fd, data_in });
    return `${retval} ${Buffer.from(data_out).toString('hex')} ${this.#contents()}`;
  }

  #contents(): string {
    const { bpf } = this.kernel;
    const found: string[] = [];
    for (const map_fd of this.maps) {
      for (let key = bpf.map_get_next_key({ map_fd }); key; key = bpf.map_get_next_key({ map_fd, key })) {
        const value = bpf.map_lookup_elem({ map_fd, key });
        found.push(
          `${map_fd} ${Buffer.from(key).toString('hex')} ${value && Buffer.from(value).toString('hex')}`,
        );
      }
    }
    return found.toSorted().join(' ');
  }
}

let sides = [new Side(false), new Side(true)] as const;
let accepted = 0;
let refused = 0;
let differences = 0;
const begin = performance.now();
while (accepted < wanted) {
  if (random(3) !== 0) {
    for (const side of sides) side.kernel.close();
    sides = [new Side(false), new Side(true)];
  }
  const text = programText();
  const [compiled, interpreted] = sides;
  let fds: readonly [Fd, Fd];
  try {
    fds = [compiled.load(text), interpreted.load(text)];
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    refused++;
    if (refused > 1000 + accepted * 20) throw error;
    continue;
  }
  accepted++;
  for (let i = 0; i < 3; i++) {
    const packet = Uint8Array.from({ length: PACKET_BYTES }, () => pick([0, 1, 127, 128, 255, random(256)]));
    const [a, b] = [compiled.run(fds[0], packet), interpreted.run(fds[1], packet)];
    if (a === b) continue;
    differences++;
    console.log(
      `packet ${Buffer.from(packet).toString('hex')}\ncompiled    ${a}\ninterpreted ${b}\n${text}\n`,
    );
    break;
  }
  for (const [i, side] of sides.entries()) side.kernel.closeFd(fds[i]!);
  if (accepted % 10_000 === 0) console.error(`${accepted} programs, ${differences} differences`);
}
const seconds = (performance.now() - begin) / 1000;
console.log(`${accepted} programs ran, ${refused} were refused, in ${seconds.toFixed(0)} s`);
console.log(`figure jit_programs ${accepted}`);
console.log(`figure jit_differences ${differences}`);
if (differences > 0 || accepted === 0) process.exitCode = 1;
