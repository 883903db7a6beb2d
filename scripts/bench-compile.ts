/** How long compiling takes, and a whole `skep run` from the start of the process to its end. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { assembleLlvm } from '../src/isa/index.ts';
import { createKernel } from '../src/kernel/index.ts';
import { cpuTime, median } from './bench-sides.ts';

/** A program of about so many instructions, in the shape of an unrolled loop: loads, arithmetic, jumps to far exits. */
export function largeProgram(count: number, salt: number): Uint8Array {
  let last = 'out0';
  const lines = [
    'r6 = *(u32 *)(r1 + 0)',
    'r7 = *(u32 *)(r1 + 4)',
    'w0 = 1',
    'r2 = r6',
    'r2 += 64',
    'if r2 > r7 goto out0',
    `r8 = ${salt}`,
    'r9 = 0',
  ];
  // Jumps reach 32,767 instructions, so there is an exit every thousand rounds.
  const ROUNDS = 1000;
  for (let i = 0; lines.length + 14 < count; i++) {
    if (i > 0 && i % ROUNDS === 0) lines.push(`goto part${i}`, `out${i / ROUNDS - 1}:`, 'exit', `part${i}:`);
    const out = `out${Math.floor(i / ROUNDS)}`;
    last = out;
    lines.push(
      `r1 = *(u32 *)(r6 + ${(i * 4) % 60})`,
      `r2 = *(u8 *)(r6 + ${(i * 7) % 64})`,
      `w0 = ${i & 0xffff}`,
      `if w1 == ${i * 77} goto ${out}`,
      'r8 ^= r1',
      'r8 <<= 3',
      `if w2 > ${i % 200} goto next${i}`,
      'w9 += w2',
      '*(u64 *)(r10 - 8) = r8',
      `next${i}:`,
      'r3 = r8',
      'r3 >>= 13',
      'r9 += r3',
    );
  }
  lines.push('r0 = r9', `${last}:`, 'exit');
  return assembleLlvm(lines.join('\n')).bytes;
}

/** Median milliseconds from a verified program to one that can run. */
export function compileTime(count: number, times: number): number {
  const spent: number[] = [];
  for (let i = 0; i < times; i++) {
    const kernel = createKernel();
    const jit = kernel.runtime.jit!;
    const compile = jit.compile.bind(jit);
    jit.compile = (program) => {
      const begin = cpuTime();
      try {
        return compile(program);
      } finally {
        spent.push(cpuTime() - begin);
      }
    };
    const { fd } = kernel.bpf.prog_load({
      prog_type: 'xdp',
      insns: largeProgram(count, i + 1000 * count),
      license: 'GPL',
    });
    kernel.bpf.prog_test_run({ prog_fd: fd, data_in: new Uint8Array(64) });
    kernel.close();
  }
  return median(spent);
}

const CLI = 'dist/cli.js';
const SMALL_RUN = [CLI, 'run', 'examples/syn_counter.o', '--pcap', 'examples/captures/mixed.pcap'];
const EMPTY_RUN = ['-e', '0'];

/**
 * Whole processes, interleaved: `skep run` of a small object over a small capture, and Node that does nothing.
 * @returns medians in milliseconds of the wall clock, or why there are none
 */
export function processTimes(rounds: number): { readonly run: number; readonly node: number } | string {
  if (!existsSync(CLI)) return `${CLI} is missing: npm run build makes it`;
  const times = { run: [] as number[], node: [] as number[] };
  for (let round = -2; round < rounds; round++) {
    for (const [name, args] of [['node', EMPTY_RUN] as const, ['run', SMALL_RUN] as const]) {
      const begin = performance.now();
      const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
      if (status !== 0) return `${args.join(' ')} failed: ${stderr.slice(0, 200)}`;
      if (round >= 0) times[name].push(performance.now() - begin);
    }
  }
  return { run: median(times.run), node: median(times.node) };
}
