/** The kernel that stays, as processes: it is started, outlives its clients, is mended, and leaves nothing. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleCli } from '../../scripts/bundle-cli.ts';
import { processState } from '../../src/cli/server/process-state.ts';
import { temporaryFolder } from './harness.ts';

const folder = temporaryFolder();
const runtime = join(folder, 'run');
let cli = '';
const env = { ...process.env, XDG_RUNTIME_DIR: runtime, SKEP_INSTANCE: 'test' };

beforeAll(() => {
  mkdirSync(runtime, { mode: 0o700 });
  cli = bundleCli(folder);
}, 120_000);
afterAll(() => {
  skep('kernel', 'stop');
});

function skep(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...argv], {
    env,
    cwd: folder,
    encoding: 'utf8',
    input: 'map show',
  });
  return { code: status, stdout, stderr };
}
const info = () => JSON.parse(readFileSync(join(runtime, 'skep', 'test.json'), 'utf8')) as { pid: number };
const CREATE = 'map create /sys/fs/bpf/m type hash key 4 value 4 entries 8 name m'.split(' ');

describe.skipIf(process.platform === 'win32')('the kernel process', () => {
  it('is started by the first command, and holds what it made', () => {
    expect(skep(...CREATE)).toEqual({ code: 0, stdout: '', stderr: '' });
    const { stdout } = skep('map', 'show', '-f');
    expect(stdout).toMatch(/^1: hash {2}name m {2}flags 0x0\n.*\n\tpinned \/sys\/fs\/bpf\/m\n$/);
    expect(JSON.parse(skep('kernel', 'status', '--json').stdout)).toMatchObject({
      instance: 'test',
      pid: info().pid,
      maps: 1,
      pins: ['/sys/fs/bpf/m'],
    });
  });

  it('is for its user alone', () => {
    const mode = (path: string) => statSync(join(runtime, 'skep', path)).mode & 0o777;
    expect([mode(''), mode('test.sock'), mode('test.json')]).toEqual([0o700, 0o600, 0o600]);
  });

  it('passes on standard input, the working folder and exit codes', () => {
    expect(skep('batch', 'file', '-').stdout).toContain('processed 1 commands');
    expect(skep('map', 'show', 'id', '99').code).toBe(255);
    expect(skep('prog', 'load', 'nothing.o', '/sys/fs/bpf/p').stderr).toContain('failed to open object file');
  });

  it('interrupts a command that waits', async () => {
    const child = spawn(process.execPath, [cli, 'prog', 'tracelog', '-j'], { env });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    const done = new Promise((resolve) => child.on('close', resolve));
    const again = setInterval(() => child.kill('SIGINT'), 300);
    await done;
    clearInterval(again);
    // Interrupted before it had begun, it prints nothing.
    expect(['', '[]\n']).toContain(stdout);
  });

  it('is another one for another name', () => {
    expect(skep('map', 'show', '--instance', 'other').stdout).toBe('');
    expect(skep('kernel', 'stop', '--instance', 'other').stdout).toContain('It held nothing.');
  });

  it('is started again, and says so, when it was killed', () => {
    const { pid } = info();
    process.kill(pid, 'SIGKILL');
    const { code, stdout, stderr } = skep('map', 'show');
    expect([code, stdout]).toEqual([0, '']);
    expect(stderr).toContain(`the kernel process (pid ${pid}) is dead; what it held is lost`);
    expect(info().pid).not.toBe(pid);
    expect(skep('map', 'show').stderr).toBe('');
  });

  it('is replaced, and says so, when it is of another build', () => {
    skep(...CREATE);
    utimesSync(cli, new Date(), new Date(1));
    const { code, stderr } = skep('map', 'show');
    expect(code).toBe(0);
    expect(stderr).toContain('is of another build than this command');
    expect(stderr).toContain('Lost with it: 1 map, 1 pin (/sys/fs/bpf/m).');
  });

  it('says what is lost when it stops, and leaves nothing', () => {
    skep(...CREATE);
    const { pid } = info();
    expect(skep('kernel', 'stop').stdout).toBe(
      `kernel test (pid ${pid}) is stopped. Lost with it: 1 map, 1 pin (/sys/fs/bpf/m).\n`,
    );
    expect(processState(pid)).toBeUndefined();
    expect(readdirSync(join(runtime, 'skep'))).toEqual([]);
    expect(skep('kernel', 'status').code).toBe(1);
  });

  it('does not answer in a folder that others may enter', () => {
    const open = join(folder, 'open');
    mkdirSync(join(open, 'skep'), { recursive: true, mode: 0o755 });
    const { status, stderr } = spawnSync(process.execPath, [cli, 'map', 'show'], {
      env: { ...env, XDG_RUNTIME_DIR: open },
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([1, expect.stringContaining('is not a folder that only you may enter')]);
  });
});
