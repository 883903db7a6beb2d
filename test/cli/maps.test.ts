/** `skep map` on an embedded kernel. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadObject, parseObject } from '../../src/loader/index.ts';
import { SYN } from './harness.ts';
import { kernelWorld } from './kernel-world.ts';

const { run, ok, kernel } = kernelWorld();
const P = '/sys/fs/bpf';

describe('skep map', () => {
  it('makes, fills, shows and empties a map', async () => {
    expect(
      await ok(`map create ${P}/my_syn_counts type hash key 4 value 4 entries 1024 name my_syn_counts`),
    ).toBe('');
    expect(await ok('map update name my_syn_counts key 10 0 0 1 value hex 2a 00 00 00')).toBe('');
    expect(await ok(`map lookup pinned ${P}/my_syn_counts key 10 0 0 1`)).toBe(
      'key: 0a 00 00 01  value: 2a 00 00 00\n',
    );
    expect(await ok('map dump name my_syn_counts')).toBe(
      'key: 0a 00 00 01  value: 2a 00 00 00\nFound 1 element\n',
    );
    const shown = JSON.parse(await ok(`-jf map show pinned ${P}/my_syn_counts`));
    expect(Object.keys(shown)).toEqual([
      'id',
      'type',
      'name',
      'flags',
      'bytes_key',
      'bytes_value',
      'max_entries',
      'bytes_memlock',
      'frozen',
      'pinned',
    ]);
    expect(shown).toMatchObject({
      type: 'hash',
      max_entries: 1024,
      frozen: 0,
      pinned: [`${P}/my_syn_counts`],
    });
    expect(await ok('map delete name my_syn_counts key 10 0 0 1')).toBe('');
    const absent = await run('map lookup name my_syn_counts key 10 0 0 1');
    expect([absent.code, absent.stdout]).toEqual([254, 'key:\n0a 00 00 01\n\nNot found\n']);
  });

  it('writes a value for each CPU', async () => {
    await ok(`map create ${P}/cpus type percpu_array key 4 value 4 entries 1 name cpus`);
    await ok(`map update pinned ${P}/cpus key 0 0 0 0 value 1 2 3 4`);
    expect(await ok(`map lookup pinned ${P}/cpus key 0 0 0 0`)).toBe(
      'key:\n00 00 00 00\nvalue (CPU 00): 01 02 03 04\nvalue (CPU 01): 01 02 03 04\n',
    );
  });

  it('breaks what is long over lines', async () => {
    await ok(`map create ${P}/wide type hash key 4 value 20 entries 1 name wide`);
    await ok(`map update pinned ${P}/wide key 1 0 0 0 value ${'7 '.repeat(20).trim()}`);
    expect(await ok(`map dump pinned ${P}/wide`)).toBe(
      'key:\n01 00 00 00\nvalue:\n07 07 07 07 07 07 07 07  07 07 07 07 07 07 07 07\n07 07 07 07\nFound 1 element\n',
    );
  });

  it('puts maps into maps', async () => {
    await ok(
      `map create ${P}/outer type array_of_maps key 4 value 4 entries 1 name outer inner_map pinned ${P}/wide`,
    );
    await ok(`map update pinned ${P}/outer key 0 0 0 0 value pinned ${P}/wide`);
    const id = JSON.parse(await ok(`-j map show pinned ${P}/wide`)).id as number;
    expect(await ok(`map lookup pinned ${P}/outer key 0 0 0 0`)).toContain(
      `value: ${id.toString(16).padStart(2, '0')} 00 00 00`,
    );
  });

  it('prints values by their types', async () => {
    using object = loadObject(kernel, parseObject(readFileSync(SYN), SYN));
    const key = Uint8Array.of(10, 0, 0, 1);
    const value = new Uint8Array(24);
    value[0] = 3;
    kernel.bpf.map_update_elem({ map_fd: object.map('syn_counts').fd, key, value });
    expect(await ok('map dump name syn_counts')).toBe(
      '[{\n        "key": 16777226,\n        "value": {\n            "syns": 3,\n            "dropped": 0,\n' +
        '            "last_port": 0,\n            "last_ttl": 0\n        }\n    }\n]\n',
    );
    const [entry] = JSON.parse(await ok('-j map dump name syn_counts'));
    expect(entry.formatted).toEqual({
      key: 16777226,
      value: { syns: 3, dropped: 0, last_port: 0, last_ttl: 0 },
    });
    expect(entry.key).toEqual(['0x0a', '0x00', '0x00', '0x01']);
  });

  it('pushes, peeks and pops', async () => {
    await ok(`map create ${P}/queue type queue key 0 value 4 entries 2 name queue`);
    await ok(`map push pinned ${P}/queue value 1 0 0 0`);
    await ok(`map enqueue pinned ${P}/queue value 2 0 0 0`);
    expect(await ok(`map peek pinned ${P}/queue`)).toBe('value: 01 00 00 00\n');
    expect(await ok(`map pop pinned ${P}/queue`)).toBe('value: 01 00 00 00\n');
    expect(await ok(`map dequeue pinned ${P}/queue`)).toBe('value: 02 00 00 00\n');
    const empty = await run(`map pop pinned ${P}/queue`);
    expect([empty.code, empty.stdout]).toEqual([254, 'Error: empty map\n']);
  });

  it('freezes', async () => {
    await ok(`map create ${P}/cold type array key 4 value 4 entries 1 name cold`);
    expect(await ok(`-j map freeze pinned ${P}/cold`)).toBe('null\n');
    const refused = await run(`map update pinned ${P}/cold key 0 0 0 0 value 1 0 0 0`);
    expect([refused.code, refused.stderr.split('\n')[0]]).toEqual([
      255,
      'Error: update failed: Operation not permitted',
    ]);
    expect(await ok(`map show pinned ${P}/cold`)).toMatch(/\n\tfrozen\n$/);
  });

  it.each<[string, number, string]>([
    ['map show id 4711', 255, 'get map by id (4711): No such file or directory'],
    ['map show pinned /etc/passwd', 255, 'bpf obj get (/etc): directory not in bpf file system (bpffs)'],
    ['map show name', 255, ''],
    [`map lookup pinned ${P}/cold key 1 2 3`, 255, 'key expected 4 bytes got 3'],
    [`map lookup pinned ${P}/cold key 1 2 3 z`, 255, 'error parsing byte: z'],
    [`map update pinned ${P}/cold key 1 2 3 4`, 255, 'did not find value'],
    [`map create ${P}/bad type hsah key 4 value 4 entries 1 name bad`, 255, 'unrecognized map type: hsah'],
    [`map create ${P}/bad type hash key 4 value 4 entries 1 color red`, 255, 'unknown arg color'],
    [
      `map create ${P}/bad type hash key 4 value 4 entries 0 name bad`,
      255,
      'map create failed: Invalid argument',
    ],
    [`map pin pinned ${P}/cold ${P}/queue`, 255, `can't pin BPF object: path '${P}/queue' already exists`],
    [`map pin pinned ${P}/cold ${P}/no/x`, 255, `can't pin BPF object: dir '${P}/no' doesn't exist`],
    [
      `map pin pinned ${P}/cold /tmp/x -n`,
      255,
      'no BPF file system found, not mounting it due to --nomount option',
    ],
  ])('%s', async (line, code, error) => {
    const answer = await run(line);
    expect(answer.code).toBe(code);
    if (error !== '') expect(answer.stderr.split('\n')[0]).toBe(`Error: ${error}`);
    if (error !== '') expect(JSON.parse((await run(`-j ${line}`)).stdout)).toEqual({ error });
  });

  it('closes what a command opened', async () => {
    const before = JSON.parse(await ok('-j map show')).length;
    await ok('map show');
    await run(`map create ${P}/queue type array key 4 value 4 entries 1 name again`);
    expect(JSON.parse(await ok('-j map show')).length).toBe(before);
  });
});
