/** `skep prog` on an embedded kernel. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SYN, temporaryFolder } from './harness.ts';
import { kernelWorld } from './kernel-world.ts';

const { run, ok, kernel } = kernelWorld();
const folder = temporaryFolder();
const P = '/sys/fs/bpf';

describe('skep prog', () => {
  it('loads, shows and pins', async () => {
    expect(await ok(`prog load ${SYN} ${P}/syn`)).toBe('');
    const shown = JSON.parse(await ok(`-jf prog show pinned ${P}/syn`));
    expect(shown).toMatchObject({
      type: 'xdp',
      name: 'count_syns',
      gpl_compatible: true,
      jited: true,
      pinned: [`${P}/syn`],
    });
    const text = await ok(`prog show pinned ${P}/syn`);
    expect(text).toMatch(
      /^\d+: xdp {2}name count_syns {2}tag [0-9a-f]{16} {2}gpl\n\tloaded_at \d{4}-\d\d-\d\dT[\d:]+[+-]\d{4} {2}uid 0\n/,
    );
    expect(await ok(`prog show tag ${shown.tag}`)).toBe(text);
    await ok(`prog pin id ${shown.id} ${P}/again`);
    expect(JSON.parse(await ok(`-j prog show pinned ${P}/again`)).id).toBe(shown.id);
  });

  it('pins all programs and maps, or none', async () => {
    await ok(`prog loadall ${SYN} ${P}/all pinmaps ${P}/maps`);
    expect([...names(`${P}/all`), ...names(`${P}/maps`)]).toEqual([
      'count_syns',
      'syn_coun_rodata',
      'syn_counts',
    ]);
    await ok(`map create ${P}/taken type array key 4 value 4 entries 1 name taken`);
    const failed = await run(`prog loadall ${SYN} ${P}/other pinmaps ${P}/taken/maps`);
    expect(failed.code).toBe(255);
    expect('errno' in kernel.bpffs.list(`${P}/other`)).toBe(true);
  });

  it('uses a map that is there', async () => {
    await ok(`prog load ${SYN} ${P}/reuse map name syn_counts pinned ${P}/maps/syn_counts`);
    const id = JSON.parse(await ok(`-j map show pinned ${P}/maps/syn_counts`)).id;
    expect(JSON.parse(await ok(`-j prog show pinned ${P}/reuse`)).map_ids).toContain(id);
    const unknown = await run(`prog load ${SYN} ${P}/no map name nothing pinned ${P}/maps/syn_counts`);
    expect(unknown.stderr).toContain("Error: unable to find map 'nothing'\n");
  });

  it('takes the type from the command line', async () => {
    expect(await ok(`prog load test/cli/objects/syn.o ${P}/my_tcp_syn_tracer type tracepoint`)).toBe('');
    expect(await ok(`prog show pinned ${P}/my_tcp_syn_tracer`)).toContain(
      ': tracepoint  name my_tcp_syn_tra',
    );
    const without = await run(`prog load test/cli/objects/syn.o ${P}/x`);
    expect([without.code, without.stderr]).toEqual([
      255,
      expect.stringContaining("failed to guess program type from 'tracer'"),
    ]);
  });

  it('lists instructions with sources, bytes and as a graph', async () => {
    const plain = await ok(`prog dump xlated pinned ${P}/syn`);
    expect(plain).toMatch(
      /^int count_syns\(struct xdp_md \* ctx\):\n; int count_syns\(struct xdp_md \*ctx\)\n {3}0: \(b4\) w0 = 2\n/,
    );
    expect(await ok(`prog dump xlated pinned ${P}/syn linum opcodes`)).toMatch(
      /\[file:.* line_num:27 line_col:0\]\n.*\n {7}b4 00 00 00 02 00 00 00\n/,
    );
    const json = JSON.parse(await ok(`-j prog dump xlated pinned ${P}/syn opcodes`));
    expect(json[0]).toMatchObject({
      disasm: '(b4) w0 = 2',
      opcodes: { code: '0xb4', src_reg: '0x0', dst_reg: '0x0', imm: ['0x02', '0x00', '0x00', '0x00'] },
    });
    const graph = await ok(`prog dump xlated pinned ${P}/syn visual`);
    expect(graph).toMatch(/^digraph "DOT graph for eBPF program" \{\nsubgraph "cluster_0" \{/);
    const nodes = new Set([...graph.matchAll(/^\t(fn_0_bb_\d+) \[/gm)].map(([, name]) => name));
    const edges = [...graph.matchAll(/(fn_0_bb_\d+):s -> (fn_0_bb_\d+):n/g)];
    expect(edges.length).toBeGreaterThan(nodes.size / 2);
    for (const [, from, to] of edges) expect(nodes.has(from) && nodes.has(to)).toBe(true);
    const file = join(folder, 'insns');
    await ok(`prog dump xlated pinned ${P}/syn file ${file}`);
    expect(readFileSync(file).length).toBe(JSON.parse(await ok(`-j prog show pinned ${P}/syn`)).bytes_xlated);
  });

  it('shows the WebAssembly that a program is compiled to', async () => {
    const text = await ok(`prog dump jited pinned ${P}/syn`);
    expect(text).toMatch(/^\(module\n {2}\(import "skep" "memory"/);
    expect(text).toContain('(func $run');
    expect(text).not.toContain('unknown');
    expect(text.split('(').length).toBe(text.split(')').length);
  });

  it('runs a program on a packet', async () => {
    const stdin = new Uint8Array(64);
    expect(await ok(`prog run pinned ${P}/syn data_in -`, { stdin })).toMatch(
      /^Return value: 2, duration: \d+ns\n$/,
    );
    const json = JSON.parse(await ok(`-j prog run pinned ${P}/syn data_in - data_out - repeat 3`, { stdin }));
    expect(json).toMatchObject({ retval: 2, data_out: [...stdin] });
    expect((await run(`prog run pinned ${P}/syn data x`)).stderr).toContain(
      "Error: ambiguous prefix: 'data' could be 'data_in' or 'data_out' or 'data_size_out'",
    );
  });

  it('follows the trace pipe until it is interrupted', async () => {
    expect(await ok('prog tracelog', { interrupt: true })).toBe('');
    expect(await ok('-j prog tracelog', { interrupt: true })).toBe('[]\n');
  });

  it('counts runs until it is interrupted', async () => {
    expect(await ok(`prog profile pinned ${P}/syn duration 1`, { interrupt: true })).toMatch(
      / 0 run_cnt +\n/,
    );
  });

  it.each<[string, number, string]>([
    ['prog show id 4711', 255, 'Error: get by id (4711): No such file or directory'],
    ['prog show tag xyz', 255, "Error: can't parse tag"],
    ['prog show name nobody', 255, 'there is no program named nobody'],
    ['prog dump bogus id 1', 255, "Error: expected 'xlated' or 'jited', got: bogus"],
    ['prog load missing.o /sys/fs/bpf/x', 255, 'Error: failed to open object file'],
    [`prog load ${SYN} ${P}/syn`, 255, `Error: can't pin BPF object: path '${P}/syn' already exists`],
    [
      `prog load ${SYN} /tmp/x -n`,
      255,
      'Error: no BPF file system found, not mounting it due to --nomount option',
    ],
    [`prog load ${SYN} ${P}/x offload_dev lo`, 255, 'Error: failed to load object file'],
    [`prog attach pinned ${P}/syn bogus pinned ${P}/taken`, 234, 'Error: invalid attach/detach type'],
    [`prog attach pinned ${P}/syn msg_verdict pinned ${P}/taken`, 234, 'Error: failed prog attach to map'],
    ['link detach', 1, 'Error: link specifier is invalid or missing'],
    ['link show id 4711', 254, 'Error: failed to get link with ID 4711: No such file or directory'],
  ])('%s', async (line, code, error) => {
    const answer = await run(line);
    expect([answer.code, answer.stderr.split('\n')[0]]).toEqual([code, error]);
  });
});

function names(path: string): string[] {
  const entries = kernel.bpffs.list(path);
  return 'errno' in entries ? [] : entries.map(({ name }) => name);
}
