/** bpftool's grammar: options, abbreviations, layouts, batch files, exit codes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseFlags } from '../../src/cli/grammar/flags.ts';
import { JsonWriter } from '../../src/cli/grammar/json-writer.ts';
import { OBJECTS } from '../../src/cli/grammar/objects.ts';
import { parseNumber } from '../../src/cli/grammar/words.ts';
import { routeOf } from '../../src/cli/route.ts';
import { skep, temporaryFolder } from './harness.ts';
import { kernelWorld } from './kernel-world.ts';

const { run, ok } = kernelWorld();
const folder = temporaryFolder();
const MAP = '/sys/fs/bpf/grammar';

describe('the JSON writer', () => {
  const write = (pretty: boolean) => {
    let text = '';
    const json = new JsonWriter((part) => {
      text += part;
    }, pretty);
    json
      .startArray()
      .startObject()
      .field('id', 1)
      .name('key')
      .startArray()
      .raw('"0x01"')
      .raw('"0x02"')
      .endArray();
    json.endObject().startObject().field('name', 'a"b').endObject().endArray();
    return text;
  };
  it('writes one line', () => {
    expect(write(false)).toBe('[{"id":1,"key":["0x01","0x02"]},{"name":"a\\"b"}]');
    expect(JSON.parse(write(false))).toEqual(JSON.parse(write(true)));
  });
  it('writes members on lines and elements side by side', () => {
    expect(write(true)).toBe(
      '[{\n        "id": 1,\n        "key": ["0x01","0x02"\n        ]\n    },{\n        "name": "a\\"b"\n    }\n]',
    );
  });
});

describe('options', () => {
  it.each([
    [['-j', 'map', 'show'], ['map', 'show'], { json: true, pretty: false }],
    [['map', 'show', '-jp'], ['map', 'show'], { json: true, pretty: true }],
    [['map', '--pret', 'show'], ['map', 'show'], { json: true, pretty: true }],
    [['-B', 'file', 'btf'], ['btf'], { baseBtf: 'file' }],
    [['--base-btf=file', 'btf'], ['btf'], { baseBtf: 'file' }],
    [['map', '--', '-j'], ['map', '-j'], { json: false }],
    [['-jx', 'map'], [], { json: true, unknown: '-jx' }],
    [['--bogus'], [], { unknown: '--bogus' }],
  ])('%j', (argv, words, flags) => {
    const parsed = parseFlags(argv);
    if (parsed.flags.unknown === undefined) expect(parsed.words).toEqual(words);
    expect(parsed.flags).toMatchObject(flags);
  });
  it.each([
    ['10', 10],
    ['0x10', 16],
    ['010', 8],
    ['-1', 0xffff_ffff],
    ['08', undefined],
    ['1x', undefined],
    ['', undefined],
  ])('the number %s', (text, value) => expect(parseNumber(text)).toBe(value));
});

describe('where a command line runs', () => {
  it.each<[string, Record<string, string>, object]>([
    ['map show', {}, { grammar: 'bpftool', kernel: 'embedded', instance: 'default' }],
    ['m s --instance two', {}, { grammar: 'bpftool', instance: 'two', argv: ['m', 's'] }],
    ['map show --kernel linux', {}, { kernel: 'linux', argv: ['map', 'show'] }],
    ['map show', { SKEP_KERNEL: 'linux' }, { kernel: 'linux' }],
    ['run a.o --kernel linux', {}, { grammar: 'own', argv: ['run', 'a.o', '--kernel', 'linux'] }],
    ['bogus', {}, { grammar: 'own' }],
  ])('%s', (line, env, route) => expect(routeOf(line.split(' '), env)).toMatchObject(route));
  it('is this process where no kernel is needed', () => {
    for (const line of ['map help', 'version', 'btf dump file a.o', 'map show --ephemeral', '-j help']) {
      expect(routeOf(line.split(' '), {}).instance, line).toBeUndefined();
    }
  });
  it('is refused for a kernel that is not known', () => {
    expect(() => routeOf(['map', 'show'], { SKEP_KERNEL: 'bsd' })).toThrow('embedded or linux, not bsd');
  });
});

describe('usage', () => {
  it('of each object begins with its name, and its help exits 0', async () => {
    expect(OBJECTS.length).toBeGreaterThan(2);
    for (const [name, load] of OBJECTS) {
      const object = await load();
      expect(object.name).toBe(name);
      const { code, stdout, stderr } = await run(`${name} help`);
      expect([code, stdout, stderr]).toEqual([0, '', `${object.usage.trimEnd()}\n`]);
      expect(await ok(`-j ${name} help`)).toBe(object.usageIsText ? '\n' : 'null\n');
      for (const [command, action] of object.commands) {
        expect(typeof (await action()), `${name} ${command}`).toBe('function');
      }
    }
  });
  it('follows a word that is none, with the nearest one', async () => {
    const { code, stdout, stderr } = await run('map lookpu');
    expect([code, stdout]).toEqual([255, '']);
    expect(stderr).toContain('Usage: skep map');
    expect(stderr).toContain("did you mean 'lookup'?");
  });
  it('follows an option that is none', async () => {
    const { code, stderr } = await run('--jsno map show');
    expect(code).toBe(255);
    expect(stderr).toContain("Error: unrecognized option '--jsno'\nUsage: ");
    expect((await run('-j --bogus map show')).stdout).toBe('{"error":"unrecognized option \'--bogus\'"}\n');
  });
  it('lists the objects in the overview', async () => {
    const { stdout } = await skep(['help']);
    for (const [name] of OBJECTS) expect(stdout).toContain(`skep ${name} `);
    expect((await skep(['help', 'map'])).stdout).toContain('Usage: skep map');
  });
});

describe('batch files', () => {
  const file = (text: string) => {
    const path = join(folder, 'batch');
    writeFileSync(path, text);
    return path;
  };
  it('run line by line', async () => {
    const path = file(
      `# begin\nmap create ${MAP} type array key 4 value 4 entries 1 name g\n\nmap update pinned ${MAP} \\\n key 0 0 0 0 value 1 2 3 4 # end\nmap dump pinned '${MAP}'\n`,
    );
    expect(await ok(`batch file ${path}`)).toBe(
      'key: 00 00 00 00  value: 01 02 03 04\nFound 1 element\nprocessed 3 commands\n',
    );
    expect(JSON.parse(await ok(`-j batch file ${file(`map lookup pinned ${MAP} key 0 0 0 0\n`)}`))).toEqual([
      {
        command: ['map', 'lookup', 'pinned', MAP, 'key', '0', '0', '0', '0'],
        output: { key: ['0x00', '0x00', '0x00', '0x00'], value: ['0x01', '0x02', '0x03', '0x04'] },
      },
    ]);
  });
  it('come from standard input too', async () => {
    const stdin = new TextEncoder().encode(`map getnext pinned ${MAP}\n`);
    expect(await ok('batch file -', { stdin })).toBe(
      'key: None\nnext key:\n00 00 00 00\nprocessed 1 commands\n',
    );
  });
  it('end at the first failure', async () => {
    const { code, stdout } = await run(`-j batch file ${file('map show id 99\nmap show\n')}`);
    expect(code).toBe(255);
    expect(JSON.parse(stdout)).toEqual([
      {
        command: ['map', 'show', 'id', '99'],
        output: { error: 'get map by id (99): No such file or directory' },
      },
    ]);
  });
});
