import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { SYN, skep, temporaryFolder } from './harness.ts';

const folder = temporaryFolder();

const SOURCE = `
.map counts hash 4 8 16
.map table array 4 128 1
.map events ringbuf 0 0 4096
.section xdp
fine:
  r0 = 2
  exit
no_null_check:
  r1 = *(u32 *)(r1 + 12)
  *(u32 *)(r10 - 4) = r1
  r2 = r10
  r2 += -4
  r1 = counts ll
  call bpf_map_lookup_elem
  r1 = *(u64 *)(r0 + 0)
  r0 = 2
  exit
short_packet:
  r2 = *(u32 *)(r1 + 0)
  r3 = *(u32 *)(r1 + 4)
  r4 = r2
  r4 += 14
  if r4 > r3 goto Lout
  r0 = *(u8 *)(r2 + 23)
Lout:
  r0 = 2
  exit
leak:
  r1 = events ll
  r2 = 8
  r3 = 0
  call bpf_ringbuf_reserve
  if r0 == 0 goto Lnone
  r1 = 0
  *(u64 *)(r0 + 0) = r1
Lnone:
  r0 = 2
  exit
loops:
  r0 = 0
Lround:
  r0 += 1
  if r0 != 100 goto Lround
  exit
`;

const object = join(folder, 'cases.o');

beforeAll(async () => {
  const text = join(folder, 'cases.s');
  writeFileSync(text, SOURCE);
  expect(await skep(['asm', text, '-o', object])).toMatchObject({ code: 0 });
});

const verifyJson = async (...words: string[]) => {
  const { code, stdout } = await skep(['verify', object, ...words, '--json']);
  return { code, report: JSON.parse(stdout) };
};

describe('skep verify', () => {
  it('accepts an example', async () => {
    const { code, stdout } = await skep(['verify', SYN]);
    expect(stdout).toMatch(/^count_syns: accepted \(\d+ instructions, \d+ states, stack \d+\)\n$/);
    expect(code).toBe(0);
  });

  it('judges every program, a line each, and answers 1 when one is refused', async () => {
    const { code, stdout } = await skep(['verify', object]);
    expect(code).toBe(1);
    expect(stdout).toContain('fine: accepted');
    expect(stdout).toContain(
      "no_null_check: refused: Register Type Safety: R0 invalid mem access 'map_value_or_null' (EACCES)",
    );
  });

  it('explains a missing null check by the call that the pointer came from', async () => {
    const { report } = await verifyJson('no_null_check');
    const { diagnosis } = report.programs[0];
    expect(diagnosis).toMatchObject({ category: 'register', errno: 'EACCES', at: { insn: 7 } });
    expect(diagnosis.registers).toEqual([
      {
        register: 'r0',
        value: 'map_value_or_null(id=1,map=counts,ks=4,vs=8)',
        says: 'a pointer to a value of map counts (8 bytes), or null',
      },
    ]);
    expect(diagnosis.causes.at(-1)).toMatchObject({
      insn: 6,
      kind: 'call',
      says: 'bpf_map_lookup_elem() returns a pointer to a value of map counts (8 bytes), or null',
    });
    expect(diagnosis.suggestion).toContain('test the pointer for null');
  });

  it('says how many bytes of the packet must be compared', async () => {
    const { report } = await verifyJson('short_packet');
    const { diagnosis } = report.programs[0];
    expect(diagnosis.suggestion).toContain('if (data + 24 > data_end)');
    expect(diagnosis.causes.map(({ kind }: { kind: string }) => kind)).toEqual(['load', 'branch']);
  });

  it('says what was acquired, and on which path it is not given back', async () => {
    const { report } = await verifyJson('leak');
    const { diagnosis } = report.programs[0];
    expect(diagnosis.title).toBe('Resource Lifetime Safety');
    expect(diagnosis.causes[0]).toMatchObject({ insn: 4, says: 'bpf_ringbuf_reserve() acquires it' });
    expect(diagnosis.suggestion).toContain('bpf_ringbuf_submit() or bpf_ringbuf_discard()');
  });

  it('judges with the capabilities that are given', async () => {
    expect((await verifyJson('loops')).code).toBe(0);
    const { code, report } = await verifyJson('loops', '--cap', 'none');
    expect(code).toBe(1);
    expect(report.programs[0].diagnosis.problem).toContain('back-edge');
  });

  it('judges as an older Linux offers', async () => {
    const { report } = await verifyJson('leak', 'loops', '--kernel-version', '4.19');
    const reasons = report.programs.map(({ diagnosis }: never) => (diagnosis as { reason: string }).reason);
    expect(reasons).toEqual(['the map type ringbuf needs Linux ≥ 5.8', 'a loop needs Linux ≥ 5.3']);
  });

  it('prints a row for each long-term version', async () => {
    const { stdout } = await skep(['verify', object, 'loops', '--matrix']);
    expect(stdout).toContain('Linux 4.19   loops: a loop needs Linux ≥ 5.3\n');
    expect(stdout).toContain('Linux 5.4    all accepted\n');
  });

  it('prints the log that is asked for', async () => {
    const { stdout } = await skep(['verify', object, 'fine', '--log', '2']);
    expect(stdout).toContain('0: R1=ctx() R10=fp0\n');
    expect(stdout).toMatch(/processed 2 insns \(limit 1000000\)/);
  });

  it('tells where the work goes', async () => {
    const { report } = await verifyJson('loops', '--stats');
    const { lines, loops } = report.programs[0].stats;
    expect(lines[0].processed).toBe(100);
    expect(loops).toHaveLength(1);
  });

  it.each([
    [['nothing'], 'there is no program nothing'],
    [['--cap', 'root'], 'root is none of them'],
    [['--kernel-version', 'new'], '--kernel-version is a version'],
    [['--log', '3'], '--log is 0 or 1 or 2 or 4'],
  ])('refuses %j', async (words, message) => {
    const { code, stderr } = await skep(['verify', object, ...words]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});
