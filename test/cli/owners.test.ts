/** Which processes have an object open, as the listings say it. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ownersText } from '../../src/cli/grammar/owners.ts';
import { embeddedWorld } from '../../src/cli/world/embedded.ts';
import { createKernel, linuxStatus, openLinux } from '../../src/index.ts';
import type { Kernel } from '../../src/sys/index.ts';
import { skep } from './harness.ts';

/** `r0 = 0; exit` */
const RETURN_0 = new Uint8Array([0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);
const MAP = { map_type: 'array', key_size: 4, value_size: 4, max_entries: 1 } as const;

function open(kernel: Kernel): { readonly map: number; readonly prog: number } {
  const map = kernel.bpf.map_create(MAP);
  const prog = kernel.bpf.prog_load({ prog_type: 'xdp', insns: RETURN_0, license: 'GPL' }).fd;
  const idOf = (bpf_fd: typeof map) => {
    const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd });
    return 'id' in info ? info.id : 0;
  };
  return { map: idOf(map), prog: idOf(prog) };
}

describe('on the embedded kernel', () => {
  it('are the clients whose commands have it open now', async () => {
    using kernel = createKernel();
    const first = embeddedWorld(kernel, undefined, { pid: 11, comm: 'skep' });
    const second = embeddedWorld(kernel, undefined, { pid: 7, comm: 'skep' });
    const { map, prog } = open(first.kernel);
    second.kernel.bpf.map_get_fd_by_id({ map_id: map as never });
    const run = (...argv: string[]) => skep(argv, { world: () => embeddedWorld(kernel) });
    expect((await run('map', 'show', 'id', String(map))).stdout).toMatch(/\n\tpids skep\(7\), skep\(11\)\n$/);
    const listed = JSON.parse((await run('-j', 'prog', 'show')).stdout) as Record<string, unknown>[];
    expect(listed.find(({ id }) => id === prog)).toMatchObject({ pids: [{ pid: 11, comm: 'skep' }] });
    second[Symbol.dispose]();
    expect((await run('map', 'show')).stdout).toMatch(/\n\tpids skep\(11\)\n$/);
    first[Symbol.dispose]();
    expect((await run('map', 'show')).stdout).toBe('');
  });
});

it('tells the cookie of a perf event beside them', () => {
  expect(
    ownersText(
      [
        { pid: 3, comm: 'a' },
        { pid: 4, comm: 'b' },
      ],
      7n,
    ),
  ).toBe('\n\tbpf_cookie 7\n\tpids a(3), b(4)');
  expect(ownersText([], 7n)).toBe('');
});

describe.skipIf(!linuxStatus().ok)('on Linux', () => {
  const comm = () => readFileSync('/proc/self/comm', 'utf8').trim();

  it('are the processes that have a file descriptor of it', async () => {
    using kernel = openLinux();
    const { map, prog } = open(kernel);
    const pids = [{ pid: process.pid, comm: comm() }];
    for (const [kind, id] of [
      ['map', map],
      ['prog', prog],
    ] as const) {
      const argv = ['--kernel', 'linux', kind, 'show', 'id', String(id)];
      const shown = JSON.parse((await skep(['-j', ...argv])).stdout) as { readonly pids: unknown };
      expect(shown.pids).toEqual(pids);
      const { stdout } = await skep(argv);
      expect(stdout.endsWith(`\n\tpids ${comm()}(${process.pid})\n`)).toBe(true);
    }
  });

  it('are each named once, and left out when they have ended', async () => {
    using kernel = openLinux();
    const map = kernel.bpf.map_create(MAP);
    const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: map });
    const id = info.kind === 'map' ? info.id : 0;
    kernel.bpf.map_get_fd_by_id({ map_id: id as never });
    const child = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', map] });
    const shown = async () =>
      JSON.parse((await skep(['--kernel', 'linux', '-j', 'map', 'show', 'id', String(id)])).stdout) as {
        readonly pids: readonly { readonly pid: number }[];
      };
    const expected = [process.pid, child.pid!].sort((a, b) => a - b);
    expect((await shown()).pids.map(({ pid }) => pid)).toEqual(expected);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill();
    await ended;
    expect((await shown()).pids.map(({ pid }) => pid)).toEqual([process.pid]);
  });
});
