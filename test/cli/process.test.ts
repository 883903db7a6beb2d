/** The command line as a process: exit codes, pipes, signals. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { bundleCli } from '../../scripts/bundle-cli.ts';
import { CaptureWriter } from '../../src/pcap/index.ts';
import { MIXED, SYN, temporaryFolder } from './harness.ts';

const folder = temporaryFolder();
let main = '';

beforeAll(() => {
  main = bundleCli(folder);
});

function start(args: readonly string[]) {
  const child = spawn(process.execPath, [main, ...args]);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const done = once(child, 'close').then(([code]) => ({ code: code as number, stdout, stderr }));
  return { child, done };
}

it('reads a capture from standard input', async () => {
  const { child, done } = start(['run', SYN, '--pcap', '-']);
  child.stdin.end(readFileSync(MIXED));
  const { code, stdout, stderr } = await done;
  expect(stderr).toBe('');
  expect(code).toBe(0);
  expect(stdout).toContain('PASS          367  94.3 %');
});

it('ends with 2 and one sentence on wrong input', async () => {
  const { code, stdout, stderr } = await start(['disasm', 'package.json']).done;
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toBe('skep: package.json: not an ELF file: the bytes at offset 0 are not 7f 45 4c 46\n');
});

it('ends quietly when its reader goes away', async () => {
  const { child, done } = start(['disasm', SYN, '--opcodes']);
  child.stdout.destroy();
  const { code, stderr } = await done;
  expect([code, stderr]).toEqual([0, '']);
});

it('on Ctrl-C prints what it had and leaves nothing behind', async () => {
  const long = join(folder, 'long.pcap');
  const writer = new CaptureWriter();
  const packet = writer.packet({ data: new Uint8Array(60), seconds: 1, nanoseconds: 0 });
  writeFileSync(long, Buffer.concat([writer.header(), ...new Array<Uint8Array>(1_000_000).fill(packet)]));
  const before = readdirSync(folder);
  const { child, done } = start(['run', SYN, '--pcap', long, '--out', join(folder, 'out.pcap')]);
  await expect.poll(() => readdirSync(folder).length, { timeout: 20_000 }).toBe(before.length + 1);
  child.kill('SIGINT');
  const { code, stdout, stderr } = await done;
  expect(code).toBe(130);
  expect(stdout).toContain('then interrupted');
  expect(stderr).toContain('out.pcap was not written');
  expect(readdirSync(folder)).toEqual(before);
});
