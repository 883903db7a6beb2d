/** C skeletons: against bpftool's, and compiled and run against libbpf. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { linuxStatus } from '../../src/index.ts';
import { skep, temporaryFolder } from './harness.ts';

const folder = temporaryFolder();
const runs = (program: string, ...argv: string[]) => spawnSync(program, argv).status === 0;
const bpftool = runs('bpftool', 'version');
const version = bpftool ? execFileSync('bpftool', ['-j', 'version'], { encoding: 'utf8' }) : '';
const isOld = version.includes('"libbpf_version":"1.1"');
const compiler = ['gcc', 'clang'].find((name) => runs(name, '--version'));
const libbpf =
  compiler !== undefined && compiles('#include <bpf/libbpf.h>\nint main(void) { return 0; }\n', 'probe');

/** Opens the skeleton, which needs no privilege, and asks for a part of what is not loaded. */
const PROGRAM = `
#include <linux/types.h>
#include <stdio.h>
struct value { __u64 packets, bytes; };
#include "whole.h"
#include "part.h"

int main(void)
{
  struct features *skel = features__open();
  if (!skel) return 1;
  skel->rodata->threshold++;
  skel->rodata->threshold--;
  printf("%s: %u %lld %d, %d maps\\n", bpf_object__name(skel->obj), skel->rodata->threshold,
         (long long)skel->rodata->signed_limit, skel->rodata->verbose, skel->skeleton->map_cnt);
  struct part *part = part__open(skel->obj);
  part__destroy(part);
  features__destroy(skel);
  return 0;
}
`;

/** Loads a light skeleton into Linux. */
const LIGHT = `
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/types.h>
#include "light.h"

int main(void)
{
  struct syn_counter *skel = syn_counter__open();
  if (!skel) return 1;
  skel->rodata->syn_limit = 3;
  int err = syn_counter__load(skel);
  printf("limit %d, %s\\n", (int)skel->rodata->syn_limit, skel->progs.count_syns.prog_fd > 0 ? "loaded" : "not loaded");
  syn_counter__destroy(skel);
  return err < 0;
}
`;

function compiles(source: string, name: string): boolean {
  writeFileSync(join(folder, `${name}.c`), source);
  const argv = ['-Wall', '-Werror', '-o', join(folder, name), join(folder, `${name}.c`), '-lbpf'];
  return spawnSync(compiler!, argv, { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0;
}

async function header(...argv: string[]): Promise<string> {
  const options = argv.filter((word) => word === '-L');
  const { code, stdout, stderr } = await skep([...options, 'gen', ...argv.filter((word) => word !== '-L')]);
  expect(code, stderr).toBe(0);
  return stdout;
}

/** The bytes of the C string that `elf_bytes` holds. */
function embedded(text: string): Buffer {
  const [, hex = ''] = /elf_bytes\(size_t \*sz\)\n\{[^"]*"\\\n([^"]*)"/.exec(text) ?? [];
  const bytes = [...hex.replaceAll('\\\n', '').matchAll(/\\(0|x[0-9a-f]{2})/g)];
  return Buffer.from(bytes.map(([, code]) => Number.parseInt(code!.replace('x', ''), 16)));
}

describe('gen skeleton --c', () => {
  it.each(['', '=1.8'])('holds the object, byte for byte (--c%s)', async (edition) => {
    const text = await header('skeleton', `--c${edition}`, 'examples/firewall.o');
    expect(embedded(text)).toEqual(readFileSync('examples/firewall.o'));
    expect(text).toContain('struct rule built_in[8];');
    expect(text).toContain(`_Static_assert(sizeof(s->rodata->built_in) == 608`);
  });

  it('gives tables of functions a shadow and a link from libbpf 1.8 on', async () => {
    const old = await header('skeleton', '--c', 'test/loader/struct_ops.o');
    expect(old).not.toContain('struct_ops;');
    const text = await header('skeleton', '--c=1.8', 'test/loader/struct_ops.o');
    expect(text).toMatch(/\} \*\w+;\n\t\} struct_ops;\n/);
    expect(text).toMatch(/struct bpf_program \*\w+;/);
    expect(text).toMatch(/map->link = &obj->links\.\w+;/);
  });

  it('takes a name, and refuses what can be none in C', async () => {
    expect(await header('skeleton', '--c', 'examples/firewall.o', 'name', 'wall')).toContain(
      'wall__open(void)',
    );
    const { code, stderr } = await skep(['gen', 'skeleton', '--c', 'examples/firewall.o', 'name', 'a-b']);
    expect([code, stderr]).toEqual([
      255,
      "Error: a-b can't be the name of an object; letters, digits and _ can\n",
    ]);
  });

  it.each([
    [
      ['skeleton', '--c=2.0', 'examples/firewall.o'],
      255,
      '--c=2.0: C skeletons are written for libbpf 1.1 and 1.8',
    ],
    [['skeleton', '--c', 'nothing.o'], 255, 'failed to stat() nothing.o: No such file or directory'],
    [['skeleton', '--c', 'examples'], 255, 'failed to mmap() examples: No such device'],
    [['skeleton', '--c', 'package.json'], 95, 'failed to open BPF object file: BPF object format invalid'],
    [['subskeleton', 'package.json'], 255, 'failed to open BPF object file: BPF object format invalid'],
    [
      ['skeleton', '--c', 'test/loader/iproute2.o'],
      161,
      'failed to open BPF object file: Operation not supported',
    ],
    [
      ['skeleton', '--c', 'examples/firewall.o', 'nam'],
      255,
      "'examples/firewall.o' needs at least 2 arguments",
    ],
    [['skeleton', '--c', 'examples/firewall.o', 'as', 'x'], 255, 'unknown arg as'],
    [['-L', 'subskeleton', 'examples/firewall.o'], 255, 'cannot use loader for subskeletons'],
  ])('%j fails with %i: %s', async (argv, code, message) => {
    const answer = await skep(['gen', ...argv]);
    expect(answer.code).toBe(code);
    expect(answer.stderr).toContain(`Error: ${message}`.slice(0, 60));
    expect(answer.stdout).toBe('');
  });
});

describe('gen skeleton -L', () => {
  it('writes a program that loads the object, and no object', async () => {
    const text = await header('-L', 'skeleton', 'examples/syn_counter.o');
    expect(text).toContain('#include <bpf/skel_internal.h>');
    expect(text).toContain('struct bpf_prog_desc count_syns;');
    expect(text).toContain('err = bpf_load_and_run(&opts);');
    expect(text).not.toContain('elf_bytes');
  });

  it("refuses what a loader program can't load", async () => {
    const answer = await skep(['-L', 'gen', 'skeleton', 'test/loader/features.o']);
    expect(answer).toMatchObject({
      code: 161,
      stdout: '',
      stderr:
        "Error: failed to load object file\n  a light skeleton can't be written: map tails starts with programs, which a loader program can't put there\n",
    });
  });

  it('is written as libbpf 1.8 does, too', async () => {
    const text = await header('-L', 'skeleton', '--c=1.8', 'examples/syn_counter.o');
    expect(text).toContain('opts.insns_sz = sizeof(opts_insn) - 1;');
  });
});

describe.skipIf(!bpftool)('beside bpftool', () => {
  const edition = isOld ? '1.1' : '1.8';

  it.each([
    'examples/firewall.o',
    'examples/pipeline.o',
    'test/loader/features.o',
    'test/loader/struct_ops.o',
    'test/cli/objects/syn.o',
  ])('%s has the same headers', async (file) => {
    for (const command of ['skeleton', 'subskeleton']) {
      const expected = execFileSync('bpftool', ['gen', command, file], { encoding: 'utf8', stdio: 'pipe' });
      expect(await header(command, `--c=${edition}`, file)).toBe(expected);
    }
  });
});

describe.skipIf(!isOld || !linuxStatus().ok)('beside a bpftool with libbpf 1.1', () => {
  it.each(['examples/firewall.o', 'examples/syn_counter.o', 'test/linux/objects/iterators.o'])(
    '%s has the same light skeleton',
    async (file) => {
      const argv = ['-L', 'gen', 'skeleton', file];
      const { stdout } = spawnSync('bpftool', argv, { encoding: 'utf8', maxBuffer: 1 << 26 });
      expect((await skep(['--kernel', 'linux', ...argv])).stdout).toBe(stdout);
    },
  );
});

describe.skipIf(!libbpf)('compiled against libbpf', () => {
  it.skipIf(!linuxStatus().ok)('loads the object by its loader program', async () => {
    for (const edition of ['1.1', '1.8']) {
      const text = await header('-L', 'skeleton', `--c=${edition}`, 'examples/syn_counter.o');
      writeFileSync(join(folder, 'light.h'), text);
      expect(compiles(LIGHT, 'loads')).toBe(true);
      expect(execFileSync(join(folder, 'loads'), { encoding: 'utf8' })).toBe('limit 3, loaded\n');
    }
  });

  it('opens the object and shows its globals', async () => {
    writeFileSync(join(folder, 'whole.h'), await header('skeleton', '--c', 'test/loader/features.o'));
    writeFileSync(
      join(folder, 'part.h'),
      await header('subskeleton', 'test/loader/features.o', 'name', 'part'),
    );
    expect(compiles(PROGRAM, 'opens')).toBe(true);
    expect(execFileSync(join(folder, 'opens'), { encoding: 'utf8' })).toBe('features: 7 -5 1, 14 maps\n');
  });
});
