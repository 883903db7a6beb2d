/**
 * How fast the real kernel is reached: calls a second of what a differential fuzzer and a parity run make most. Prints a
 * line `figure NAME VALUE` for each.
 */
import { assembleLlvm } from '../src/isa/index.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import type { ProgLoadAttr } from '../src/sys/index.ts';

const SECONDS = 1;

function rate(name: string, call: () => void): void {
  for (let i = 0; i < 1000; i++) call();
  let calls = 0;
  const start = performance.now();
  let elapsed = 0;
  while (elapsed < SECONDS * 1000) {
    for (let i = 0; i < 1000; i++) call();
    calls += 1000;
    elapsed = performance.now() - start;
  }
  const perSecond = Math.round((calls / elapsed) * 1000);
  console.log(`${name.padEnd(32)} ${perSecond.toLocaleString('en').padStart(12)} a second`);
  console.log(`figure ${name} ${perSecond}`);
}

const status = linuxStatus();
if (!status.ok) {
  console.error(`skipped: ${status.reason}`);
  process.exit(0);
}
const kernel = openLinux();
const { bpf } = kernel;
const insns = assembleLlvm('r0 = 2\nexit').bytes;
const attr: ProgLoadAttr = { prog_type: 'xdp', insns, license: 'GPL' };

for (const log_level of [0, 1, 2, 4]) {
  rate(`linux_loads_log${log_level}`, () => kernel.closeFd(bpf.prog_load({ ...attr, log_level }).fd));
}
const refused: ProgLoadAttr = { ...attr, insns: insns.subarray(8), log_level: 1 };
rate('linux_refusals_log1', () => {
  try {
    kernel.closeFd(bpf.prog_load(refused).fd);
  } catch {
    return;
  }
  throw new Error('a program without a result was accepted');
});

const data_in = new Uint8Array(64);
for (const prog_type of ['xdp', 'sched_cls'] as const) {
  const { fd: prog_fd } = bpf.prog_load({ ...attr, prog_type });
  rate(`linux_test_runs_${prog_type}`, () => bpf.prog_test_run({ prog_fd, data_in }));
}

const map_fd = bpf.map_create({ map_type: 'hash', key_size: 4, value_size: 8, max_entries: 1 });
const key = new Uint8Array(4);
const value = new Uint8Array(8);
rate('linux_map_updates', () => bpf.map_update_elem({ map_fd, key, value }));
rate('linux_map_lookups', () => bpf.map_lookup_elem({ map_fd, key }));

const rss = Math.round(process.memoryUsage().rss / 2 ** 20);
console.log(`${'memory at the end'.padEnd(32)} ${String(rss).padStart(12)} MiB`);
console.log(`figure linux_bench_rss_mib ${rss}`);
kernel.close();
