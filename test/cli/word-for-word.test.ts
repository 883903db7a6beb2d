/**
 * Command lines as they stand in tutorials, with skep for bpftool, on both kernels. On Linux they run in a mount namespace with a
 * BPF file system and a cgroup of the test's own where those of the machine would be.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleCli } from '../../scripts/bundle-cli.ts';
import { linux } from '../linux/support.ts';
import { temporaryFolder } from './harness.ts';

const folder = temporaryFolder();
const objects = join(import.meta.dirname, 'objects');
const VMLINUX = '/sys/kernel/btf/vmlinux';
const root = process.getuid?.() === 0;
const clang = ['clang-19', 'clang'].find((name) => spawnSync(name, ['--version']).status === 0);
let cli = '';
beforeAll(() => {
  cli = bundleCli(folder);
}, 120_000);

const LINES = [
  'prog load bpf_sockops.o /sys/fs/bpf/bpf_sockop',
  'cgroup attach /sys/fs/cgroup/unified/ sock_ops pinned /sys/fs/bpf/bpf_sockop',
  'cgroup show /sys/fs/cgroup/unified/',
  'map create /sys/fs/bpf/my_syn_counts type hash key 4 value 4 entries 1024 name my_syn_counts',
  'map update pinned /sys/fs/bpf/my_syn_counts key 10 0 0 1 value 42 0 0 0',
  'map lookup pinned /sys/fs/bpf/my_syn_counts key 10 0 0 1',
  'map dump pinned /sys/fs/bpf/my_syn_counts',
  'prog load syn.o /sys/fs/bpf/my_tcp_syn_tracer type tracepoint',
  '-j prog show pinned /sys/fs/bpf/my_tcp_syn_tracer',
  'cgroup detach /sys/fs/cgroup/unified/ sock_ops pinned /sys/fs/bpf/bpf_sockop',
];

/** What the lines print, one after the other; what differs from run to run has no digits. */
function expectAnswers(text: string): void {
  const [show, lookup, ...rest] = text.trimEnd().split(/\n(?=key:|\{)/);
  expect(show).toMatch(/^ID +AttachType +AttachFlags +Name +\n\d+ +cgroup_sock_ops +bpf_sockop +$/);
  expect(lookup).toBe('key: 0a 00 00 01  value: 2a 00 00 00');
  expect(rest[0]).toBe('key: 0a 00 00 01  value: 2a 00 00 00\nFound 1 element');
  expect(JSON.parse(rest[1]!)).toMatchObject({ type: 'tracepoint', name: 'my_tcp_syn_tracer' });
}

describe('word for word', () => {
  it('on the embedded kernel', () => {
    const runtime = join(folder, 'run');
    mkdirSync(runtime, { mode: 0o700 });
    const env = { ...process.env, XDG_RUNTIME_DIR: runtime, SKEP_INSTANCE: 'words' };
    const skep = (line: string) =>
      spawnSync(process.execPath, [cli, ...line.split(' ')], { env, cwd: objects, encoding: 'utf8' });
    try {
      let text = '';
      for (const line of LINES) {
        const { status, stdout, stderr } = skep(line);
        expect([line, status, stderr]).toEqual([line, 0, '']);
        text += stdout;
      }
      expectAnswers(text);
    } finally {
      skep('kernel stop');
    }
  }, 120_000);

  describe.skipIf(linux === undefined || !root)('on Linux', () => {
    const parent = existsSync('/sys/fs/cgroup/unified') ? '/sys/fs/cgroup/unified' : '/sys/fs/cgroup';
    const cgroup = `${parent}/skep_words_${process.pid}`;
    afterAll(() => {
      if (existsSync(cgroup)) rmdirSync(cgroup);
    });

    it('with --kernel linux', () => {
      mkdirSync(cgroup);
      const script = `set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/own
mount --bind ${cgroup} /mnt/own
mount -t tmpfs tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/unified
mount --move /mnt/own /sys/fs/cgroup/unified
mount -t bpf bpf /sys/fs/bpf
${LINES.map((line) => `${process.execPath} ${cli} ${line}`).join('\n')}
`;
      const { status, stdout, stderr } = spawnSync(
        'unshare',
        ['-m', '--propagation', 'private', 'sh', '-c', script],
        {
          env: { ...process.env, SKEP_KERNEL: 'linux' },
          cwd: objects,
          encoding: 'utf8',
        },
      );
      expect([status, stderr]).toEqual([0, '']);
      expectAnswers(stdout);
    }, 120_000);
  });

  it.skipIf(!existsSync(VMLINUX) || clang === undefined)(
    'writes a vmlinux.h that clang compiles',
    () => {
      const { status, stdout } = spawnSync(
        process.execPath,
        [cli, 'btf', 'dump', 'file', VMLINUX, 'format', 'c'],
        { encoding: 'utf8', maxBuffer: 1 << 28 },
      );
      expect(status).toBe(0);
      writeFileSync(join(folder, 'vmlinux.h'), stdout);
      // A function that the kernel offers is called through its prototype there.
      const kfunc = /^extern struct task_struct \*bpf_task_acquire\(/m.test(stdout);
      writeFileSync(
        join(folder, 'uses.c'),
        `#include "vmlinux.h"
int pid_of(struct task_struct *task) { return task->pid; }
${kfunc ? 'struct task_struct *held(struct task_struct *task) { return bpf_task_acquire(task); }' : ''}
`,
      );
      const argv = ['-target', 'bpf', '-O2', '-g', '-c', 'uses.c', '-o', 'uses.o'];
      const compiled = spawnSync(clang!, argv, { cwd: folder, encoding: 'utf8' });
      expect([compiled.status, compiled.stderr]).toEqual([0, '']);
      expect(readFileSync(join(folder, 'uses.o')).subarray(0, 4).toString('latin1')).toBe('\x7fELF');
    },
    120_000,
  );
});
