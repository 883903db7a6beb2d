import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { skep, temporaryFolder } from './harness.ts';

const has = (shell: string): boolean => spawnSync(shell, ['--version']).error === undefined;
const folder = temporaryFolder();

beforeAll(async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { code, stdout } = await skep(['completion', shell]);
    expect(code).toBe(0);
    writeFileSync(join(folder, shell), stdout);
  }
  writeFileSync(join(folder, 'thing.o'), '');
});

/** What bash offers for the last of the words. */
function offered(...words: string[]): string[] {
  const list = ['skep', ...words].map((word) => `'${word}'`).join(' ');
  const { stdout, stderr } = spawnSync(
    'bash',
    [
      '--norc',
      '-c',
      `source ./bash; COMP_WORDS=(${list}); COMP_CWORD=${words.length}; _skep; printf '%s\\n' "\${COMPREPLY[@]}"`,
    ],
    { cwd: folder, encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  return stdout.split('\n').filter((word) => word !== '');
}

describe.skipIf(!has('bash'))('completion in bash', () => {
  it.each([
    ['objects and commands', ['ma'], ['map']],
    ["an object's commands", ['prog', 'lo'], ['load', 'loadall']],
    ['what selects a program', ['prog', 'show', ''], ['id', 'pinned', 'tag', 'name']],
    ['map types', ['map', 'create', '/p', 'type', 'lpm'], ['lpm_trie']],
    ['program types', ['prog', 'load', 'a.o', '/p', 'type', 'cgroup/bind'], ['cgroup/bind4', 'cgroup/bind6']],
    ['the words after a value', ['map', 'create', '/p', 'type', 'hash', 'k'], ['key']],
    ['the words behind an option', ['-j', '--kernel', 'linux', 'link', 'de'], ['detach']],
    ['the value of an option', ['--kernel', 'l'], ['linux']],
    ['options of bpftool', ['map', 'show', '--pre'], ['--pretty']],
    ["options of skep's own", ['run', 'a.o', '--pc'], ['--pcap']],
    ['their choices', ['run', 'a.o', '--kernel', ''], ['embedded', 'linux']],
    ["iproute2's words", ['tc', 'filter', 'add', 'dev', 'eth0', 'eg'], ['egress']],
    ['actions', ['kernel', 'sta'], ['start', 'status']],
    ['files', ['prog', 'load', 'th'], ['thing.o']],
    ['files of options', ['run', '--pcap', 'th'], ['thing.o']],
    ['nothing for a number', ['prog', 'show', 'id', ''], []],
  ])('offers %s', (_, words, expected) => {
    expect(offered(...words)).toEqual(expected);
  });
});

describe.each([
  ['bash', ['-n']],
  ['zsh', ['-n']],
  ['fish', ['--no-execute']],
])('the script for %s', (shell, options) => {
  it.skipIf(!has(shell))('is of its language', () => {
    const { stderr, status } = spawnSync(shell, [...options, join(folder, shell)], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });
});

describe('skep completion', () => {
  it('refuses a shell that it does not know', async () => {
    const { code, stderr } = await skep(['completion', 'fis']);
    expect(code).toBe(2);
    expect(stderr).toContain('did you mean fish?');
  });
});
