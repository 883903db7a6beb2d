import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SYN, skep, temporaryFolder } from './harness.ts';

const folder = temporaryFolder();

/** The first llvm-objdump that knows BTF lines and -mcpu=v4. */
const objdump = ['llvm-objdump-19', 'llvm-objdump-20', 'llvm-objdump'].find((program) => {
  const version = /LLVM version (\d+)/.exec(
    spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout ?? '',
  );
  return version !== null && Number(version[1]) >= 19;
});

const examples = readdirSync('examples').filter((name) => name.endsWith('.o'));

describe('skep disasm', () => {
  it('has examples to list', () => expect(examples.length).toBeGreaterThan(4));

  describe.each(examples)('of %s prints what llvm-objdump prints', (name) => {
    const path = join('examples', name);
    it.skipIf(objdump === undefined).each([
      ['-d --no-show-raw-insn', []],
      ['-d', ['--opcodes']],
      ['-S', ['--opcodes', '--source']],
    ])('%s', async (theirs, ours) => {
      const expected = execFileSync(objdump!, ['--mcpu=v4', ...theirs.split(' '), path], {
        encoding: 'utf8',
      });
      const { code, stdout } = await skep(['disasm', path, ...ours]);
      expect(code).toBe(0);
      expect(stdout).toBe(expected);
    });
  });

  it('prints JSON with source lines', async () => {
    const { stdout } = await skep(['disasm', SYN, '--json']);
    const { sections } = JSON.parse(stdout);
    expect(sections[0].instructions[0]).toEqual({
      insn: 0,
      offset: 0,
      bytes: 'b4 00 00 00 02 00 00 00',
      text: 'w0 = 0x2',
      symbol: 'count_syns',
      source: {
        file: './syn_counter.c',
        line: expect.any(Number),
        column: 0,
        text: 'int count_syns(struct xdp_md *ctx)',
      },
    });
  });
});

describe('skep asm', () => {
  const program = `
.license "Dual MIT/GPL"
.map counts array 4 8 1     # one counter
.section xdp
count:
  *(u32 *)(r10 - 4) = 0
  r2 = r10
  r2 += -4
  r1 = counts ll
  call bpf_map_lookup_elem
  if r0 == 0 goto Lpass
  r1 = 1
  lock *(u64 *)(r0 + 0) += r1
Lpass:
  call verdict              // in another section
  exit
.section .text
.static
verdict:
  r0 = 2
  exit
`;

  it('makes an object that runs', async () => {
    const text = join(folder, 'count.s');
    const object = join(folder, 'count.o');
    writeFileSync(text, program);
    expect(await skep(['asm', text, '-o', object])).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(readdirSync(folder).toSorted()).toEqual(['count.o', 'count.s']);
    const { stdout } = await skep(['run', object, '--pcap', 'examples/captures/vlan.pcap', '--json']);
    const report = JSON.parse(stdout);
    expect(report.verdicts[0]).toEqual({ name: 'PASS', packets: 18, share: 1 });
    expect(report.maps[0].entries).toEqual([{ key: '00 00 00 00', value: '12 00 00 00 00 00 00 00' }]);
  });

  it.each([
    ['', 'bad.s: there is no function: begin one with a label (NAME:)'],
    ['  r0 = 0\n', 'bad.s:1: an instruction stands before any function: begin one with a label (NAME:)'],
    ['f:\n', 'bad.s:1: function f is empty'],
    ['f:\n  r0 = 0\nf:\n  exit\n', 'bad.s:3: f is defined twice'],
    ['.wrong x\n', 'bad.s:1: there is no directive .wrong; there are .section, .license, .map and .static'],
    ['.map m hush 4 4 1\n', 'bad.s:1: there is no map type hush; there are'],
    ['.map m hash 4\n', 'bad.s:1: .map takes NAME TYPE KEY VALUE MAX [FLAGS]'],
    ['.map m hash 4 4 many\n', 'bad.s:1: many is no number of 32 bits'],
    ['f:\n  r1 = m ll\n  exit\n', 'bad.s:2: m is neither a map nor a function of this file'],
    ['f:\n\n  r0 == 1\n  exit\n', 'bad.s:3:'],
  ])('refuses %j', async (text, message) => {
    const path = join(folder, 'bad.s');
    writeFileSync(path, text);
    const { code, stderr } = await skep(['asm', path, '-o', join(folder, 'bad.o')]);
    expect(stderr.replace(`${folder}/`, '')).toContain(`skep: ${message}`);
    expect(code).toBe(2);
    expect(readdirSync(folder)).not.toContain('bad.o');
  });
});

describe('help', () => {
  it.each(['run', 'disasm', 'asm', 'help'])('of %s names every option', async (name) => {
    const { code, stdout } = await skep(['help', name]);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^usage: skep ${name}`));
    expect((await skep([name, '--help'])).stdout).toBe(stdout);
  });

  it('lists the commands', async () => {
    const { code, stdout } = await skep(['help']);
    expect(code).toBe(0);
    for (const name of ['run', 'disasm', 'asm']) expect(stdout).toContain(`skep ${name}`);
    expect((await skep([])).code).toBe(2);
    expect((await skep(['--version'])).stdout).toMatch(/^skep /);
  });
});
