import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { delegations } from '../../src/cli/token/show.ts';
import { embeddedWorld } from '../../src/cli/world/embedded.ts';
import { createKernel } from '../../src/index.ts';
import { skep, temporaryFolder } from './harness.ts';

const folder = temporaryFolder();

/** Mounts a BPF file system that delegates in the folder of the test, for as long as the test runs. */
function mounted(): string | undefined {
  const path = join(folder, 'a bpf');
  mkdirSync(path, { recursive: true });
  const options = 'delegate_cmds=map_create:prog_load,delegate_maps=any';
  const { status, error } = spawnSync('mount', ['-t', 'bpf', '-o', options, 'bpf', path]);
  if (error || status !== 0) return undefined;
  onTestFinished(() => void spawnSync('umount', [path]));
  return path;
}

describe('token', () => {
  it('reads what mounts delegate', () => {
    const mounts = [
      'proc /proc proc rw 0 0',
      'bpf /sys/fs/bpf bpf rw,mode=700 0 0',
      'none /run/a\\040b bpf rw,delegate_cmds=map_create:prog_load,delegate_attachs=0x1 0 0',
      '',
    ].join('\n');
    expect([...delegations(mounts)]).toEqual([
      {
        folder: '/run/a b',
        allowed: new Map([
          ['allowed_cmds', ['map_create', 'prog_load']],
          ['allowed_maps', []],
          ['allowed_progs', []],
          ['allowed_attachs', ['0x1']],
        ]),
      },
    ]);
  });

  it('has none on the embedded kernel', async () => {
    using kernel = createKernel();
    const world = () => embeddedWorld(kernel);
    expect(await skep(['token', 'show'], { world })).toEqual({ code: 0, stdout: '', stderr: '' });
    expect((await skep(['-j', 'token'], { world })).stdout).toBe('[]\n');
    const extra = await skep(['token', 'list', 'x'], { world });
    expect(extra).toMatchObject({ code: 255, stderr: "Error: what is 'x'?\n" });
  });

  it('shows a BPF file system of Linux that delegates', async ({ skip }) => {
    const path = mounted();
    if (path === undefined) return skip('needs Linux 6.9 and the right to mount');
    const { code, stdout } = await skep(['--kernel', 'linux', 'token', 'show']);
    expect(code).toBe(0);
    const pad = (name: string) => name.padEnd(20);
    expect(stdout).toContain(
      `token_info  ${path}\n\tallowed_cmds:\n\t  ${pad('map_create')}${pad('prog_load')}\n` +
        `\tallowed_maps:\n\t  ${pad('any')}\n\tallowed_progs:\n\tallowed_attachs:\n`,
    );
    const json = await skep(['--kernel', 'linux', '-j', 'token']);
    expect(JSON.parse(json.stdout)).toContainEqual({
      token_info: path,
      allowed_cmds: ['map_create', 'prog_load'],
      allowed_maps: ['any'],
      allowed_progs: [],
      allowed_attachs: [],
    });
  });
});
